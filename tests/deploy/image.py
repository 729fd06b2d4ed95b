"""The image: its Dockerfile carried out by buildah on a base of Debian's packages, and the result run in a chroot.

A chroot is all of a container that a machine without an engine can have everywhere. What Docker adds of
what docker-compose.yml asks for is done here by the same means of the kernel: mounts, a root that cannot be written,
another account, no capabilities.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.composed import ROOT
from peer import wait_until_healthy

BASE: Final = "localhost/python-base"
NAME: Final = "localhost/objectstore"
_PACKAGES: Final = "python3,python3-venv,ca-certificates,passwd"

_ENTER: Final = """
set -e
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    mount --bind "$2" "$root$3"
    [ "$1" = rw ] || mount -o remount,bind,ro "$root$3"
    shift 3
done
shift
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Mount:
    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True)
class Image:
    """The image as it was built, and its files."""

    configuration: Mapping[str, Any]
    root: Path

    def command(
        self, command: Sequence[str], *, environment: Mapping[str, str], mounts: Sequence[Mount] = (), user: str = ""
    ) -> list[str]:
        """What runs this in the image, as the process itself and not as a child."""
        for mount in mounts:
            place = self.root / mount.target.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(exist_ok=True) if mount.source.is_dir() else place.touch()
        uid, _, gid = (user or self.configuration["User"]).partition(":")
        variables = dict(one.split("=", 1) for one in self.configuration["Env"]) | dict(environment)
        bound = [word for one in mounts for word in ("ro" if one.read_only else "rw", str(one.source), one.target)]
        limits = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        told = [
            f"--chdir={self.configuration['WorkingDir']}",
            *(f"{name}={value}" for name, value in variables.items()),
        ]
        inside = ["setpriv", *limits, "--inh-caps=-all", "env", "-i", *told, *command]
        return ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.root), *bound, "--", *inside]

    def run(self, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        line = self.command(command, environment=environment)
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    @contextlib.contextmanager
    def serving(
        self, port: int, log: Path, *, environment: Mapping[str, str], mounts: Sequence[Mount]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Its own command, ended by its own signal: it has to end well."""
        line = self.command(self.configuration["Cmd"], environment={**environment, "PORT": str(port)}, mounts=mounts)
        with log.open("wb") as out, subprocess.Popen(line, stdout=out, stderr=out) as process:
            try:
                wait_until_healthy(process, port)
                yield process
                process.send_signal(signal.Signals[self.configuration["StopSignal"]])
                assert process.wait(30) == 0, log.read_text()
            finally:
                process.kill()


@contextlib.contextmanager
def built(folder: Path) -> Iterator[Image]:
    """The image, built in `folder` from the Dockerfile, gone when the block is left. Skips where that cannot be."""
    if os.geteuid() != 0:
        pytest.skip("building the image needs root")
    for program in ("buildah", "mmdebstrap", "unshare", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"building the image needs {program}, which is not installed")
    with _storage(folder) as buildah:
        _make_base(buildah)
        options = ["--isolation=chroot", "--layers=false", "--format=docker", "--pull=never", "--quiet"]
        _run(buildah, "build", *options, f"--build-arg=BASE={BASE}", *_registry(folder), f"--tag={NAME}", str(ROOT))
        configuration = json.loads(_run(buildah, "inspect", "--type=image", NAME))["Docker"]["config"]
        container = _run(buildah, "from", "--isolation=chroot", "--pull=never", NAME)
        yield Image(configuration, Path(_run(buildah, "mount", container)))


@contextlib.contextmanager
def _storage(folder: Path) -> Iterator[tuple[str, ...]]:
    """The words that begin a line of buildah. Layers are mounted where the kernel lets us, and copied elsewhere."""
    for driver in ("overlay", "vfs"):
        place = folder / driver
        buildah = ("buildah", f"--root={place / 'root'}", f"--runroot={place / 'run'}", f"--storage-driver={driver}")
        try:
            _run(buildah, "mount", _run(buildah, "from", "--isolation=chroot", "scratch"))
        except AssertionError as error:
            refused = error
            continue
        try:
            yield buildah
        finally:
            # What buildah knows of it goes with the files.
            _run(buildah, "umount", "--all")
            subprocess.run(["rm", "-rf", "--one-file-system", place], check=False)
        return
    pytest.skip(f"buildah does not work here: {refused}")


def _make_base(buildah: tuple[str, ...]) -> None:
    container = _run(buildah, "from", "--isolation=chroot", "scratch")
    root = _run(buildah, "mount", container)
    options = ["--variant=essential", f"--include={_PACKAGES}", "--aptopt=Acquire::Languages none", "--quiet"]
    command = ["mmdebstrap", "--mode=root", "--format=directory", *options, "bookworm", root]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no base can be made of Debian's packages: {made.stderr[-500:]}")
    _run(buildah, "commit", "--quiet", "--rm", container, BASE)


def _registry(folder: Path) -> list[str]:
    """Options that let pip inside get packages as pip does here: its configuration, and the files that this names."""
    found: dict[str, str] = {}
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    for name, value in re.findall(r"^(?:global|install|:env:)\.([\w-]+)=(.+)$", told.stdout, re.MULTILINE):
        found[name] = str(ast.literal_eval(value))
    file = folder / "pip.conf"
    lines = [f"{name} = {' '.join(value.split())}" for name, value in found.items()]
    file.write_text("\n".join(["[global]", *lines]) + "\n")
    named = {word.removeprefix("file://") for value in found.values() for word in value.split()}
    # The folder of a certificate comes whole, or the link that it often is would lead nowhere; so does that around an
    # index, which names files beside it.
    places = {Path(word) for word in named if word.startswith("/") and Path(word).exists()}
    places = {place if place.is_dir() and place.name != "simple" else place.parent for place in places}
    return [f"--volume={file}:/etc/pip.conf:ro", *(f"--volume={place}:{place}:ro" for place in sorted(places))]


def _run(buildah: tuple[str, ...], *arguments: str) -> str:
    done = subprocess.run([*buildah, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments[0]}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()
