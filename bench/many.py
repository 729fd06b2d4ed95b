"""Many small files, by the command line and one by one; `python -m bench.many FOLDER URL PREFIX` is the loop of puts.

Programs of their own, as users start them: what starting costs is a part of what `cp -r` of a folder takes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from bench.contestants import ROOT
from bench.load import metered
from bench.measurement import LoadError, Sample
from bench.processes import LOAD_CORES, pinned
from bench.rows.row import Lane
from bench.seeding import KIB
from bench.stage import Stage
from objectstore import RestStore

Way: TypeAlias = Literal["loop", "cp -r"]
SIZE: Final = 4 * KIB
_TOKEN: Final = "OBJECTSTORE_TOKEN"  # noqa: S105  the variable that hands the token on
_PER_FOLDER: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a program took."""

    seconds: float
    cpu: float  # seconds of a processor


def make_files(folder: Path, number: int, size: int = SIZE) -> None:
    """So many files of random bytes, in folders of a hundred; those that are there stay."""
    for one in range(number):
        path = folder / f"{one // _PER_FOLDER}" / f"{one}.bin"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def environment(url: str, token: str) -> dict[str, str]:
    """That of a user, whose programs were compiled before."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "OBJECTSTORE_URL": url, _TOKEN: token}


def run(command: Sequence[str], env: Mapping[str, str], cores: Sequence[int] | None = None) -> Took:
    """Run `python …` to its end. Raises LoadError: it failed."""
    whole = [sys.executable, *command] if cores is None else pinned(cores, sys.executable, *command)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(whole, check=False, capture_output=True, text=True, cwd=ROOT, env=env)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise LoadError(f"{' '.join(command)}:\n{done.stderr}")
    return Took(seconds=seconds, cpu=after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def command_of(way: Way, folder: Path, prefix: str, url: str) -> list[str]:
    """What follows `python` to store the files below the prefix."""
    if way == "loop":
        return ["-m", "bench.many", str(folder), url, prefix]
    return ["-m", "objectstore", "cp", "-r", f"{folder}/", f"os:{prefix}", "--quiet"]


def lane(way: Way, server_name: str) -> Lane:
    """Files of 4 KiB stored in a second, on the load's core."""

    def measure(stage: Stage, turn: int) -> Sample:
        server, number = stage.server(server_name), stage.scale.small
        folder = stage.folder / "many-files"
        make_files(folder, number)
        prefix = f"{stage.seed('written').folder}/{way.split()[0]}{turn}/"
        os.sync()
        command = command_of(way, folder, prefix, server.url)
        with metered(server) as meter:
            took = run(command, environment(server.url, server.token), LOAD_CORES)
        shown = " ".join(["python", *command]).replace(str(stage.folder), "SCRATCH")
        return Sample(value=number / took.seconds, cpu=took.cpu / number, peak=meter.peak, command=shown)

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("prefix")
    told = parser.parse_args()
    with RestStore.create(told.url, os.environ[_TOKEN]) as store:
        for path in files_in(told.folder):
            store.put(f"{told.prefix}{path.relative_to(told.folder)}", path)


if __name__ == "__main__":
    main()
