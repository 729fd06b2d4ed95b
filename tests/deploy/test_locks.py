"""The image installs versions of the one lock: all that the server needs and nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
IN_THE_IMAGE: Final = ("deploy", "s3", "redis", "zstd")
_PINNED: Final = re.compile(r"^(\S+==\S+)(?: ; (.+?))? \\\n((?: {4}--hash=\S+(?: \\)?\n)+)", re.MULTILINE)


def pins(name: str) -> Mapping[str, frozenset[str]]:
    """`package==version` → its hashes."""
    return {pin: frozenset(hashes.split()) - {"\\"} for pin, _, hashes in _PINNED.findall((ROOT / name).read_text())}


def pinned_here(name: str, environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """The packages that a lock has for this Python and this machine, or for another of a few differences."""

    def counts(marker: str) -> bool:
        return not marker or Marker(marker).evaluate(dict(environment or {}))

    found = _PINNED.findall((ROOT / name).read_text())
    return frozenset(pin.partition("==")[0] for pin, marker, _ in found if counts(marker))


def requirements(package: str) -> Iterator[str]:
    if package != "objectstore":
        yield from distribution(package).requires or ()
        return
    # Not what was true when it was installed here in place.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    yield from project["dependencies"]
    for extra, texts in project["optional-dependencies"].items():
        for text in texts:
            wanted, _, marker = text.partition(";")
            yield f"{wanted}; extra == '{extra}'{f' and ({marker})' if marker else ''}"


def needed(name: str, extras: tuple[str, ...]) -> Iterator[str]:
    """What is installed for a package, by what pyproject.toml and the packages that are installed here say."""
    seen: set[tuple[str, str]] = set()
    todo = [(name, extra) for extra in ("", *extras)]
    while todo:
        package, extra = todo.pop()
        if (package, extra) in seen:
            continue
        seen.add((package, extra))
        yield package
        for wanted in map(Requirement, requirements(package)):
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(wanted.name), one) for one in ("", *wanted.extras)]


@pytest.mark.parametrize("name", ["deploy/image.lock", "deploy/build.lock"])
def test_versions_and_hashes_are_those_of_the_lock(name: str) -> None:
    lock = pins("requirements.lock")
    assert pins(name).items() <= lock.items(), "run `make lock`"


def test_the_image_has_what_its_extras_need_and_nothing_else() -> None:
    assert pinned_here("deploy/image.lock") == set(needed("objectstore", IN_THE_IMAGE)) - {"objectstore"}, (
        "run `make lock`"
    )


def test_the_build_has_what_building_needs() -> None:
    assert pinned_here("deploy/build.lock") == set(needed("hatchling", ()))


@pytest.mark.parametrize("name", ["requirements.lock", "deploy/image.lock", "deploy/build.lock"])
def test_a_lock_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^--?(i|index|extra|find)", text, re.MULTILINE)
