"""What the locks hold: versions, for which systems, with which hashes; and what the project asks for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from itertools import product
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parent.parent
LOCKS: Final = ("requirements.lock", "deploy/image.lock", "deploy/build.lock")
PROJECT: Final = "objectstore"

# Where the project may be installed, as far as the packages that it needs differ by it.
_PYTHONS: Final = ("3.11.0", "3.11.9", "3.12.0", "3.13.0", "3.14.0")
_SYSTEMS: Final = (("linux", "posix"), ("darwin", "posix"), ("win32", "nt"), ("emscripten", "posix"))


@dataclass(frozen=True, slots=True)
class Locked:
    """One version of a package. Another version of it may be locked for other systems."""

    name: str  # canonical
    version: Version
    marker: Marker | None  # for which systems; None: all
    hashes: frozenset[str]

    @property
    def here(self) -> bool:
        """Whether it is for the system that this runs on."""
        return self.marker is None or self.marker.evaluate()


def read(lock: str) -> list[Locked]:
    """The entries of the lock, in order. Raises ValueError: a line that names no version."""
    found = []
    for entry in re.findall(r"^[A-Za-z].*(?:\n\s.*)*", (ROOT / lock).read_text(), flags=re.MULTILINE):
        requirement = Requirement(re.sub(r"\\\n\s*", " ", entry).partition(" --hash")[0].strip())
        (specifier,) = requirement.specifier
        if specifier.operator != "==":
            raise ValueError(f"{requirement} is no version")
        hashes = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry))
        name = canonicalize_name(requirement.name)
        found.append(Locked(name, Version(specifier.version), requirement.marker, hashes))
    return found


def asked_for() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for, by extra; "" is what the bare package needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(one) for one in texts] for extra, texts in groups.items()}


def needed(roots: Iterable[Requirement]) -> set[str]:
    """The names of all packages that these requirements lead to, on any system, as those installed here tell."""
    seen: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        for extra in ("", *asked.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += _requirements(name, extra)
    return {name for name, _ in seen} - {PROJECT}


def _requirements(name: str, extra: str) -> Iterator[Requirement]:
    if name == PROJECT:
        yield from asked_for()[extra]
        return
    try:
        told = requires(name) or []
    except PackageNotFoundError:  # it is for other systems
        return
    for one in map(Requirement, told):
        if one.marker is None or _may_hold(str(one.marker), extra):
            yield one


@cache
def _may_hold(marker: str, extra: str) -> bool:
    asked = Marker(marker)
    return any(
        asked.evaluate(
            {
                "extra": extra,
                "python_full_version": python,
                "python_version": python.rpartition(".")[0],
                "sys_platform": system,
                "os_name": family,
            }
        )
        for python, (system, family) in product(_PYTHONS, _SYSTEMS)
    )
