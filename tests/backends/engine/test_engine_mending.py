"""Damage in the index and in backups: what is told, what is mended, and what is left alone since it has changed."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.engine.scenes import LARGE, SMALL, assert_sound, blob_files
from backends.engine.test_engine_check import _change
from objectstore.backends.engine import backup, fixity, schema
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.hold import collecting, held
from objectstore.backends.engine.restore import restore
from objectstore.backends.engine.scrub import Scrub
from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State, under_way
from objectstore.backends.engine.stored import Bodies, Stored
from objectstore.errors import Corrupted, StorageFull, Unavailable
from objectstore.values import PutOptions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INLINE = hashlib.shake_256(b"").digest(20_000)  # over several pages, no two of which are alike


def fill(root: Path, bodies: dict[str, bytes], **options: int) -> None:
    async def run() -> None:
        async with EngineBackend(root, **options) as backend:  # type: ignore[arg-type]  # limits, all of them
            for key, body in bodies.items():
                await backend.put(key, body)

    asyncio.run(run())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    fill(tmp_path / "data", {"inline": INLINE, "large": LARGE, "small": SMALL})
    return tmp_path / "data"


@pytest.fixture
def kept(root: Path) -> Path:
    backup.take(root, root.parent / "backup", now=NOW, share=False)
    return root.parent / "backup"


def index_of(kept: Path) -> Path:
    (index,) = (kept / "states").glob("*/index.sqlite3")
    return index


def blob_of(root: Path) -> Path:
    (name,) = blob_files(root)
    return root / "blobs" / name[:2] / name


@contextmanager
def bodies_of(root: Path) -> Iterator[tuple[Bodies, dict[str, Stored]]]:
    with closing(schema.open_for_reading(root / "index.sqlite3")) as connection:
        bodies = Bodies(Directory(root), connection)
        yield bodies, {one.name: one for one in bodies.objects()}


def overwrite_page(index: Path, holding: bytes, cut: slice, data: bytes) -> None:
    """Of the one page that holds these bytes, replace some."""
    pages = bytearray(index.read_bytes())
    (at,) = (at for at in range(0, len(pages), 4096) if holding in pages[at : at + 4096])
    page = pages[at : at + 4096]
    page[cut] = data
    pages[at : at + 4096] = page[:4096]
    index.write_bytes(pages)


def test_a_body_on_a_damaged_page_is_unreadable_and_the_others_are_not(root: Path) -> None:
    # A page in the middle of the body begins with the number of the next one, and there is none of this number.
    overwrite_page(root / "index.sqlite3", INLINE[9_000:9_100], slice(0, 4), b"\xff" * 4)
    with bodies_of(root) as (bodies, found):
        fault = bodies.fault(found["inline"], deep=True)
        assert fault is not None
        assert fault.kind == "unreadable"
        assert bodies.fault(found["large"], deep=True) is None
        assert bodies.fault(found["small"], deep=True) is None


def test_a_damaged_table_of_bodies_leaves_their_rows(root: Path) -> None:
    # The page that says where each body is: that of the small one, which is on it as a whole.
    overwrite_page(root / "index.sqlite3", SMALL, slice(0, 8), b"\xff" * 8)
    with bodies_of(root) as (bodies, found):
        assert list(found) == ["inline", "large", "small"]
        for key in ("inline", "small"):
            fault = bodies.fault(found[key], deep=False)
            assert fault is not None
            assert (fault.kind, "damaged part of the index" in fault.message) == ("unreadable", True)
        assert bodies.fault(found["large"], deep=True) is None


def test_what_is_no_damage_is_not_taken_for_it(root: Path) -> None:
    with bodies_of(root) as (bodies, found):
        pass
    # Its connection is closed.
    with pytest.raises(sqlite3.ProgrammingError):
        list(bodies.objects())
    with pytest.raises(sqlite3.ProgrammingError):
        bodies.look(found["small"], deep=True)


def test_what_contradicts_the_index_itself_is_told(root: Path) -> None:
    with closing(sqlite3.connect(root / "index.sqlite3", isolation_level=None)) as index:
        index.execute("PRAGMA ignore_check_constraints = ON")
        index.execute("INSERT INTO sequence (id, last) VALUES (2, 0)")
    (finding,) = check(root)
    assert (finding.kind, finding.lost, "sequence" in finding.message) == ("damaged-index", True, True)


def test_an_index_that_another_program_keeps_to_itself_is_no_damage(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_READ_TIMEOUT", 0.0)
    with closing(sqlite3.connect(root / "index.sqlite3", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE sequence SET last = last")
        other.execute("COMMIT")
        with pytest.raises(Unavailable, match="another process"):
            list(check(root))


def test_a_backup_without_its_index_mends_and_restores_nothing(root: Path, kept: Path, tmp_path: Path) -> None:
    index_of(kept).unlink()
    with pytest.raises(Unavailable):
        list(check(root, repair=True, backup=kept))
    with pytest.raises(Corrupted, match="is missing"):
        restore(kept, tmp_path / "restored")


def test_a_damaged_index_of_a_backup_is_told_with_what_it_could_not_mend(
    root: Path, kept: Path, tmp_path: Path
) -> None:
    blob_of(root).unlink()
    index = index_of(kept)
    index.write_bytes(index.read_bytes()[:100] + bytes(8000))
    (finding,) = check(root, repair=True, backup=kept)
    assert (finding.kind, finding.repaired) == ("missing", False)
    assert "not repaired" in finding.message
    with pytest.raises(Corrupted, match="damaged"):
        restore(kept, tmp_path / "restored", salvage=True)


def test_a_backup_of_an_index_that_is_gone_is_refused(root: Path, kept: Path) -> None:
    (root / "index.sqlite3").unlink()
    with pytest.raises(Unavailable):
        backup.take(root, kept, now=NOW)


def test_a_file_is_mended_with_a_body_from_the_index_and_with_any_sound_one(tmp_path: Path) -> None:
    root, kept = tmp_path / "data", tmp_path / "backup"
    fill(root, {"a": INLINE}, inline_limit=100)  # a file, which is damaged in the backup
    fill(root, {"b": INLINE}, inline_limit=100_000)  # in the index
    backup.take(root, kept, now=NOW, share=False)
    (blob,) = (kept / "blobs").glob("*/*")
    blob.write_bytes(bytes(len(INLINE)))
    blob_of(root).unlink()
    (finding,) = check(root, repair=True, backup=kept)
    assert (finding.name, finding.repaired) == ("a", True)
    assert blob_of(root).stat().st_mode & 0o777 == 0o600
    assert_sound(root)


def test_a_report_that_is_missing_or_damaged(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl.gz"
    assert list(fixity.read(report)) == []
    for damaged in (b"no gzip", gzip.compress(b"no json\n"), gzip.compress(b'{"other": 1}\n'), gzip.compress(b"")[:-3]):
        report.write_bytes(damaged)
        with pytest.raises(Corrupted, match="scrub again"):
            list(fixity.read(report))


def test_a_pass_that_cannot_go_on_remembers_why(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = ScrubFolder(root)
    with folder.scrubbing() as ours:
        assert ours
        with monkeypatch.context() as full:
            full.setattr("objectstore.backends.engine.directory.RESERVE", 1 << 62)
            with pytest.raises(StorageFull):
                Scrub(root).run()
        assert "nearly full" in (folder.read().trouble or "")
        (root / "index.sqlite3").rename(root / "elsewhere")
        with pytest.raises(Unavailable):
            Scrub(root).run()
        assert "unable to open" in (folder.read().trouble or "")
        (root / "elsewhere").rename(root / "index.sqlite3")
        # What it is written down in by way of.
        blocked = folder.root / "state.new"
        blocked.mkdir()
        with caplog.at_level(logging.WARNING), pytest.raises(Unavailable):
            Scrub(root).run()
        assert "could not be written down" in caplog.text
        blocked.rmdir()
        state = Scrub(root).run()
        assert state.trouble is None
        assert state.last is not None
        assert state.last.bodies == 3


def test_the_state_of_a_later_release_is_not_gone_on_with(root: Path) -> None:
    folder = ScrubFolder(root)
    with folder.scrubbing():
        folder.write(State())
        state = folder.root / "state.json"
        state.write_bytes(state.read_bytes().replace(b'"version": 1', b'"version": 2'))
        with pytest.raises(Corrupted, match="newer release"):
            folder.read()


def test_a_pass_ends_only_when_one_is_under_way(root: Path) -> None:
    folder = ScrubFolder(root)
    with folder.scrubbing():
        with pytest.raises(ValueError, match="no pass"):
            folder.finish(State())
        # Its report was removed by somebody: there is none then, and the pass counts all the same.
        ended = folder.finish(State(now=Pass(began=1.0)))
        assert (ended.now, ended.last) == (None, Pass(began=1.0))
        assert under_way(State(now=Pass(began=2.0))).began == 2.0


def test_a_part_of_the_index_that_is_lost_is_in_the_report(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    _change(root, "DELETE FROM bodies WHERE length(data) < 100")
    with ScrubFolder(root).scrubbing(), caplog.at_level(logging.ERROR):
        state = Scrub(root, piece=1).run()
    assert state.damaged == 1
    assert "'small' is damaged" in caplog.text


def test_a_pass_goes_on_in_the_middle_of_an_upload(root: Path) -> None:
    async def begin() -> str:
        async with EngineBackend(root) as backend:
            upload_id = (await backend.uploads.begin("upload", PutOptions())).upload_id
            for number in (1, 2, 3):
                await backend.uploads.put_part(upload_id, number, SMALL, PutOptions())
            return upload_id

    upload_id = asyncio.run(begin())
    folder = ScrubFolder(root)
    with folder.scrubbing():
        folder.write(State(now=Pass(began=1.0, part=True, after=f"{upload_id}/1")))
        Scrub(root).run()
    assert [one.key for one in fixity.read(folder.report)] == [f"{upload_id}/2", f"{upload_id}/3"]


def test_a_backup_waits_for_a_collector(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as collector:
        assert collector.enter_context(collecting(Directory(root)))
        monkeypatch.setattr("objectstore.backends.engine.hold.time.sleep", lambda _pause: collector.close())
        with held(Directory(root)), collecting(Directory(root)) as allowed:
            assert not allowed
