"""A damaged index is made sound in place: what its pages, the files, a backup and a mirror know is there again."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.engine.scenes import LARGE, SMALL, Contents, assert_sound, contents, garbage, seen
from cli.served import invoke
from objectstore.backends.contract import Backend
from objectstore.backends.engine import backup, pages
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import Finding, check
from objectstore.config.build import build
from objectstore.config.schema import load
from objectstore.values import Attributes, PutOptions

PAGE = 4096
LARGE_KEYS = ("key/0150", "key/0151", "zz/large")
BODIES = {f"key/{number:04}": f"{number}".encode() * (1 + number % 40) for number in range(600)}
BODIES |= {key: LARGE + key.encode() for key in LARGE_KEYS}
ATTRIBUTES = Attributes(content_type="text/plain", metadata={"long": "m" * 1800})  # goes on in other pages


async def _fill(store: Backend) -> None:
    async with store as backend:
        for key, body in BODIES.items():
            options = PutOptions(attributes=ATTRIBUTES) if key.endswith("7") else PutOptions()
            await backend.put(key, body, options)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and a backup of it."""
    folder = tmp_path_factory.mktemp("filled")
    asyncio.run(_fill(EngineBackend(folder / "data", durability="relaxed")))
    backup.take(folder / "data", folder / "backup", now=datetime(2026, 1, 1, tzinfo=UTC), share=False)
    return folder


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    (tmp_path / "backup").symlink_to(filled / "backup")
    shutil.copytree(filled / "data", tmp_path / "data")
    return tmp_path / "data"


def _page_of(root: Path, kind: str, key: str = "") -> int:
    """The page of that kind that has the key of an object, or the first of the kind."""
    for page in pages.pages(root / "index.sqlite3"):
        if page.kind == kind and any(len(row) == 10 and (not key or row[0] == key) for row in page.rows):
            return page.number
    raise AssertionError(kind)


def _overwrite(root: Path, *numbers: int) -> None:
    with (root / "index.sqlite3").open("r+b") as file:
        for number in numbers:
            file.seek((number - 1) * PAGE)
            file.write(b"\xff" * PAGE)


def _keys_on(root: Path, number: int) -> set[str]:
    (page,) = (page for page in pages.pages(root / "index.sqlite3") if page.number == number)
    return {str(row[0]) for row in page.rows}


def _contents(root: Path) -> dict[str, bytes]:
    async def run() -> dict[str, bytes]:
        async with EngineBackend(root) as backend:
            found = (await contents(backend)).objects
            await backend.put("new", SMALL)
            await backend.delete("new")
            return found

    return asyncio.run(run())


def _messages(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.kind}: {finding.name}: {finding.message}" for finding in findings)


def test_every_row_is_found_page_by_page(root: Path) -> None:
    found = {row for page in pages.pages(root / "index.sqlite3") for row in page.rows if len(row) == 10}
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection:
        assert found == set(connection.execute("SELECT * FROM objects"))
    assert len(found) == len(BODIES)


def test_a_lost_leaf_costs_its_small_objects_alone(root: Path) -> None:
    page = _page_of(root, "leaf", "key/0150")
    lost = _keys_on(root, page)
    assert 5 < len(lost) < 100
    _overwrite(root, page)
    findings = list(check(root, repair=True))
    lost -= set(LARGE_KEYS)
    assert _contents(root) == {key: body for key, body in BODIES.items() if key not in lost}
    told = _messages(findings)
    assert "cannot be listed: what was there is lost" in told
    assert "key/0150: its row is made anew of its file" in told
    for key in lost:
        if BODIES[key]:
            assert hashlib.sha256(BODIES[key]).hexdigest() in told
    kept = {path.read_bytes() for path in (root / "lost").glob("*.body")}
    assert kept == {BODIES[key] for key in lost}
    assert list(check(root, deep=True)) == []
    assert_sound(root)


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: _overwrite(root, _page_of(root, "leaf", "key/0150")),
        lambda root: _overwrite(root, _page_of(root, "inner")),
        lambda root: _overwrite(root, *(_page_of(root, "leaf", key) for key in ("key/0002", "key/0300", "zz/large"))),
    ],
    ids=["a leaf", "the page above", "several leaves"],
)
def test_a_backup_brings_back_what_was_on_the_page(root: Path, damage: Callable[[Path], object]) -> None:
    damage(root)
    answer = invoke("check", str(root), "--repair", "--from", str(root.parent / "backup"))
    assert answer.returncode == 1, "what was written there after the backup is lost, and nobody knows what"
    assert b"cannot be listed" in answer.stdout
    assert _contents(root) == BODIES
    assert list(check(root, deep=True)) == []

    async def run() -> Attributes:
        async with EngineBackend(root) as backend:
            return (await backend.head("key/0157")).attributes

    assert asyncio.run(run()) == ATTRIBUTES


def test_what_was_written_after_the_backup_is_not_replaced_by_it(root: Path) -> None:
    async def write() -> Contents:
        async with EngineBackend(root) as backend:
            await backend.put("key/0150", LARGE[:-1])
            upload = (await backend.uploads.begin("upload", PutOptions())).upload_id
            await backend.uploads.put_part(upload, 1, SMALL, PutOptions())
            await backend.uploads.put_part(upload, 2, LARGE, PutOptions())
            return await contents(backend)

    before = asyncio.run(write())
    waiting = garbage(root)
    assert len(waiting) == 1
    _overwrite(root, _page_of(root, "leaf", "key/0150"))
    told = _messages(list(check(root, repair=True, backup=root.parent / "backup")))
    assert "key/0150: its row is made anew of its file" in told
    assert seen(root) == before
    assert garbage(root) == waiting
    assert list(check(root, deep=True)) == []


def test_bodies_on_a_lost_page_come_from_the_backup(root: Path) -> None:
    page = next(page for page in pages.pages(root / "index.sqlite3") if page.kind == "rows" and len(page.rows) > 5)
    _overwrite(root, page.number)
    findings = list(check(root, repair=True, backup=root.parent / "backup"))
    assert all(finding.repaired for finding in findings), _messages(findings)
    assert _contents(root) == BODIES
    assert list(check(root, deep=True)) == []


def test_without_its_first_page_nothing_is_lost(root: Path) -> None:
    _overwrite(root, 1)
    for name in ("index.rebuilt", "index.rebuilt-wal"):
        (root / name).write_bytes(b"of a repair that was cut short")
    answer = invoke("check", str(root), "--repair")
    assert answer.returncode == 0, answer
    assert _contents(root) == BODIES
    assert list(check(root, deep=True)) == []


def test_an_index_in_use_is_left(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root):
            _overwrite(root, _page_of(root, "leaf", "key/0150"))
            before = (root / "index.sqlite3").read_bytes()
            findings = await asyncio.to_thread(lambda: list(check(root, repair=True)))
            assert "end the servers first" in _messages(findings)
            assert (root / "index.sqlite3").read_bytes() == before

    asyncio.run(run())


def test_a_mirror_brings_back_what_was_on_the_page(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    Path("storage.yaml").write_text(
        "stores:\n"
        "  first: {type: EngineStore, config: {path: data}}\n"
        "  second: {type: EngineStore, config: {path: second}}\n"
        "  mirror: {type: MirroringStore, base: [first, second]}\n"
        "main: mirror\n"
    )
    asyncio.run(_fill(build(load(Path("storage.yaml"), os.environ, "second"))))
    _overwrite(root, _page_of(root, "leaf", "key/0150"))
    assert invoke("check", "data", "--repair", cwd=root.parent).returncode == 1
    assert len(_contents(root)) < len(BODIES)
    answer = invoke("check", "--config", "storage.yaml", "--repair", "--deep", cwd=root.parent)
    assert answer.returncode == 0, answer
    assert _contents(root) == BODIES
    assert invoke("check", "data", "--deep", cwd=root.parent).returncode == 0
