"""What scrubs, repairs and backups write down: reports, what was lost, and what a folder of backups holds."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstore.backends.engine import backupset, fixity, rescue, schema
from objectstore.backends.engine.backupset import BackupSet, WantedBlob, wanted, write_file
from objectstore.backends.engine.directory import FORMAT_NAME, Directory, try_lock
from objectstore.backends.engine.fixity import Verified, unfit, verified
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.stored import Fault, Stored
from objectstore.errors import ConfigurationError, Corrupted

AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
SOUND = Verified(kind="object", key="ключ", size=3, sha256="00", verified="when", status="ok")
BROKEN = replace(SOUND, key="b", status="missing", message="the body is missing")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The size of each file as it was synced, and the names in each folder."""
    found: list[object] = []
    monkeypatch.setattr(os, "fsync", lambda fd: found.append(os.fstat(fd).st_size))
    for module in (backupset, rescue):
        monkeypatch.setattr(
            module, "sync_folder", lambda path: found.append(sorted(one.name for one in Path(path).iterdir()))
        )
    return found


# The report of a scrub


def test_a_body_is_written_down_as_it_was_found() -> None:
    body = Stored("key", 3, b"\x01\xff", None, 1)
    expected = Verified(
        kind="object", key="key", size=3, sha256="01ff", verified="2026-01-02T03:04:05.000006Z", status="ok"
    )
    assert verified(body, None, AT) == expected
    assert expected.sound
    fault = Fault("wrong-size", "the body has 2 bytes, not 3")
    broken = verified(replace(body, part=True), fault, AT)
    assert broken == replace(expected, kind="part", status="wrong-size", message=fault.message)
    assert not broken.sound


def test_a_report_grows_piece_by_piece_and_one_cut_short_is_written_over(tmp_path: Path, synced: list[object]) -> None:
    path = tmp_path / "report"
    assert list(fixity.read(path)) == []
    first = fixity.append(path, 0, [SOUND])
    second = fixity.append(path, first, [BROKEN, SOUND])
    assert synced == [first, second] == [first, path.stat().st_size]
    assert mode(path) == 0o600
    assert list(fixity.read(path)) == [SOUND, BROKEN, SOUND]
    assert list(fixity.read(path, second)) == [SOUND, BROKEN, SOUND]
    assert list(fixity.read(path, first)) == [SOUND]
    assert list(fixity.read(path, 0)) == []
    again = fixity.append(path, first, [BROKEN])
    assert again < second
    assert path.stat().st_size == again
    assert list(fixity.read(path)) == [SOUND, BROKEN]
    line, broken = gzip.decompress(path.read_bytes()).decode().splitlines()
    names = ["kind", "key", "size", "sha256", "verified", "status"]
    assert json.loads(line) == {name: value for name, value in asdict(SOUND).items() if name in names}
    assert "ключ" in line, "people read it, too"
    assert json.loads(broken) == asdict(BROKEN)


def test_a_report_of_the_same_is_the_same(tmp_path: Path) -> None:
    for name in "ab":
        fixity.append(tmp_path / name, 0, [SOUND] * 100)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes()[4:8] == bytes(4), "no time"


def test_a_report_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "report"
    size = fixity.append(path, 0, [SOUND] * 3)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[20] ^= 0xFF
    foreign = [gzip.compress(text) for text in (b"{", b"[]", b'{"unknown": 1}')]
    for damage in (whole[:-1], b"?" + whole, bytes(flipped), *foreign):
        path.write_bytes(damage)
        with pytest.raises(Corrupted) as told:
            list(fixity.read(path))
        assert told.value.message.startswith(f"the report {path} is damaged (")
        assert told.value.message.endswith("); scrub again")
    path.write_bytes(whole)
    with pytest.raises(Corrupted):
        list(fixity.read(path, size - 1))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("a/b", None),
        ("a" * 255, None),
        ("a" * 256, "it is too long"),
        ("é" * 128, "it is too long"),
        ("/".join(["a" * 239] * 16) + "b", None),
        ("/".join(["a" * 239] * 16) + "bb", "it is too long"),
        ("a\0b", "it has a NUL in it"),
        ("a//b", "it has an empty part, or one that is . or .."),
        ("/a", "it has an empty part, or one that is . or .."),
        ("a/", "it has an empty part, or one that is . or .."),
        ("a/.", "it has an empty part, or one that is . or .."),
        ("../a", "it has an empty part, or one that is . or .."),
        ("...", None),
    ],
    ids=range(13),
)
def test_not_every_key_can_be_the_path_of_a_file(key: str, reason: str | None) -> None:
    assert unfit(key) == reason


def test_a_manifest_has_a_line_for_each_sound_object_that_can_be_a_file() -> None:
    manifest = fixity.Manifest()
    lines = [
        manifest.line(replace(SOUND, key=key))
        for key in ("50%", "a", "a-b", "a/b", "a/c", "ab", "b\r\n", "c//", "d", "d.txt", "d/e")
    ]
    kept = ["00  data/50%25", "00  data/a", "00  data/a-b", None, None, "00  data/ab", "00  data/b%0D%0A", None]
    assert lines == [*kept, "00  data/d", "00  data/d.txt", None]
    assert manifest.line(replace(SOUND, kind="part", key="u/1")) is None
    assert manifest.line(BROKEN) is None
    assert manifest.line(replace(BROKEN, message="")) is None
    above = "there is an object {}, which no folder can be beside".format
    assert manifest.left_out == [
        ("a/b", above("'a'")),
        ("a/c", above("'a'")),
        ("c//", "it has an empty part, or one that is . or .."),
        ("d/e", above("'d'")),
        ("b", "the body is missing"),
        ("b", "missing"),
    ]


# Bodies whose rows are lost


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path)
    for name in ("aa1", "aa2", "bb1", "cc1", "cc2"):
        path = Path(directory.blob(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 3)
    return directory


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES)
        yield connection


def name_blobs(database: sqlite3.Connection, *names: str) -> None:
    for name in names:
        values = (name, len(name), bytes(32), name)
        database.execute("INSERT INTO objects VALUES (?, 1, ?, 'e', 0, 0, ?, NULL, NULL, ?)", values)


def test_files_that_no_row_names_are_told_in_order(directory: Directory, database: sqlite3.Connection) -> None:
    name_blobs(database, "aa1")
    database.execute("INSERT INTO garbage VALUES (1, 'cc1')")
    (directory.blobs / ".DS_Store").touch()
    (directory.blobs / "aa" / "@eaDir").mkdir()
    found = list(rescue.nameless(directory, Index(database)))
    assert [body.path for body in found] == [Path(directory.blob(name)) for name in ("aa2", "bb1", "cc2")]
    digest = hashlib.sha256(b"aa2" * 3)
    assert (found[0].size, found[0].sha256) == (9, digest.digest())
    assert str(found[0]) == f"9 bytes, SHA-256 {digest.hexdigest()}"


def test_what_is_lost_is_kept_under_a_second_name(directory: Directory, synced: list[object]) -> None:
    body = rescue.Nameless(Path(directory.blob("aa2")), 9, b"")
    for _ in range(2):
        rescue.keep(directory, body)
    assert (directory.lost / "aa2").samefile(body.path)
    assert synced[-2:] == [["aa2"], ["aa2"]]
    assert mode(directory.lost) == 0o700


def test_what_is_written_down_of_a_loss_is_on_disk(directory: Directory, synced: list[object]) -> None:
    directory.lost.mkdir(mode=0o700)
    (directory.lost / "name.new").write_bytes(b"of a repair that was cut short")
    for data in (b"first and long", b"second"):
        path = rescue.write(directory, "name", data)
        assert path == directory.lost / "name"
        assert path.read_bytes() == data
        assert mode(path) == 0o600
        assert synced[-2:] == [len(data), ["name"]]
    rescue.record(directory, ["one", "ü"])
    rescue.record(directory, ["\udc80"])
    report = directory.lost / "report.txt"
    assert report.read_text(encoding="utf-8") == "one\nü\n\\udc80\n"
    assert mode(report) == 0o600
    assert synced[-2:] == [report.stat().st_size, ["name", "report.txt"]]
    # A line that is half there would be one with what comes after it.
    with report.open("rb") as before:
        rescue.record(directory, ["more"])
        assert before.read().endswith(b"0\n")


def test_who_lives_has_a_locked_folder(directory: Directory) -> None:
    assert rescue.in_use(directory) is False
    for name in ("a", "b", "c"):
        (directory.staging / name).mkdir(parents=True)
    assert rescue.in_use(directory) is False
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths
    fd = os.open(directory.staging / "b", os.O_RDONLY)
    assert try_lock(fd)
    assert rescue.in_use(directory) is True
    os.close(fd)
    assert rescue.in_use(directory) is False
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  as above


# A folder of backups


MANIFEST = backupset.Manifest(
    state="s1", taken="when", sequence=1, objects=2, size=3, blobs=4, blobs_size=5, index_size=6, index_sha256="00"
)


@pytest.fixture
def kept(tmp_path: Path) -> BackupSet:
    return BackupSet(tmp_path / "a" / "backup")


def test_every_part_of_a_backup_has_its_place(kept: BackupSet) -> None:
    found = (kept.manifest, kept.states, kept.blobs, kept.index("s1"))
    names = ("BACKUP", "states", "blobs", "states/s1/index.sqlite3")
    assert found == tuple(kept.root / name for name in names)


def test_one_changes_the_folder_and_nobody_reads_it_meanwhile(kept: BackupSet) -> None:
    with pytest.raises(ConfigurationError) as told, kept.reading():
        raise AssertionError
    assert told.value.message == f"there is no backup in {kept.root}: there is no such folder"
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths
    with kept.changing():
        assert mode(kept.root) == 0o700
        with pytest.raises(ConfigurationError) as told, kept.changing():
            raise AssertionError
        assert told.value.message == f"{kept.root} is in use: another backup or a restore is under way"
        with pytest.raises(ConfigurationError) as told, kept.reading():
            raise AssertionError
        assert told.value.message == f"{kept.root} is in use: a backup is under way"
    with kept.reading(), kept.reading(), pytest.raises(ConfigurationError), kept.changing():
        raise AssertionError
    with kept.changing():
        pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  as above
    file = BackupSet(kept.root / "file")
    file.root.touch()
    with pytest.raises(ConfigurationError, match="there is no such folder"), file.reading():
        raise AssertionError


def test_a_folder_is_claimed_once_and_never_one_of_somebody_else(kept: BackupSet) -> None:
    kept.root.mkdir(parents=True)
    (kept.root / ".BACKUP.new").write_text("of a crash")
    assert kept.claim() is True
    assert kept.read() == backupset.Manifest()
    (kept.root / "more").touch()
    assert kept.claim() is False
    kept.manifest.unlink()
    (kept.root / "another").touch()
    with pytest.raises(ConfigurationError) as told:
        kept.claim()
    assert told.value.message == (
        f"{kept.root} holds no backup and is not empty (it holds 'another'); name an empty or a new folder"
    )
    assert sorted(path.name for path in kept.root.iterdir()) == ["another", "more"]


def test_the_manifest_is_on_disk_before_it_counts(kept: BackupSet, synced: list[object]) -> None:
    kept.root.mkdir(parents=True)
    (kept.root / ".BACKUP.new").write_text("of a crash")
    kept.write(MANIFEST)
    assert synced == [kept.manifest.stat().st_size, ["BACKUP"]]
    assert mode(kept.manifest) == 0o600
    assert kept.read() == MANIFEST
    text = kept.manifest.read_text()
    assert json.loads(text) == {"format": "objectstore backup", "version": 1, **asdict(MANIFEST)}
    assert text.startswith('{\n  "format": "objectstore backup",\n')
    assert text.endswith("}\n")
    kept.write(backupset.Manifest())
    assert kept.read() == backupset.Manifest()


FOREIGN = "{} is not the manifest of a backup of this store"
UNNAMED = "{} does not say which state of the store it is about"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, FOREIGN),
        ({"format": "another"}, FOREIGN),
        ({"version": "1"}, FOREIGN),
        (
            {"version": 2},
            "the backup format 2; this release reads up to 1: use the release that wrote it, or a newer one",
        ),
        ({"state": None}, UNNAMED),
        ({"state": "a/b"}, UNNAMED),
        ({"state": ".."}, UNNAMED),
    ],
    ids=range(7),
)
def test_another_manifest_is_refused(kept: BackupSet, change: dict[str, object] | None, told: str) -> None:
    kept.root.mkdir(parents=True)
    kept.write(MANIFEST)
    text = "{" if change is None else json.dumps(json.loads(kept.manifest.read_text()) | change)
    kept.manifest.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        kept.read()
    assert refused.value.message.endswith(told.format(kept.manifest))


def test_a_manifest_may_say_more_than_this_release_knows(kept: BackupSet) -> None:
    kept.root.mkdir(parents=True)
    with pytest.raises(ConfigurationError) as told:
        kept.read()
    assert told.value.message == f"there is no backup in {kept.root}: No such file or directory"
    kept.write(MANIFEST)
    kept.manifest.write_text(json.dumps(json.loads(kept.manifest.read_text()) | {"later": 1}))
    assert kept.read() == MANIFEST
    kept.manifest.write_text('["format", "version"]')
    with pytest.raises(ConfigurationError, match="is not the manifest"):
        kept.read()


def test_a_state_of_a_newer_format_is_refused_and_a_damaged_one_is_not(kept: BackupSet) -> None:
    state = kept.states / "s1"
    state.mkdir(parents=True)
    kept.check_format(MANIFEST)
    (state / "FORMAT").write_text(json.dumps({"format": FORMAT_NAME, "version": 1}))
    kept.check_format(MANIFEST)
    (state / "FORMAT").write_text(json.dumps({"format": FORMAT_NAME, "version": 999}))
    with pytest.raises(ConfigurationError, match="format version 999"):
        kept.check_format(MANIFEST)
    (kept.states / "FORMAT").write_text("?")
    kept.check_format(backupset.Manifest())


def test_the_blobs_of_a_folder_are_those_that_begin_like_it(database: sqlite3.Connection) -> None:
    name_blobs(database, "0fff", "10", "10a", "10ff", "11")
    again = (
        "INSERT INTO objects SELECT 'copy ' || key, 2, size, 'e', 0, 0, sha256, NULL, NULL, blob FROM objects LIMIT 3"
    )
    database.execute(again)
    part = WantedBlob("10b", 5, bytes(32))
    database.execute("INSERT INTO parts SELECT 'u', 1, 1, :size, 'e', 0, :sha256, NULL, :name", part._asdict())
    found = wanted(database, "10")
    assert [blob.name for blob in found] == ["10", "10a", "10b", "10ff"]
    assert found[2] == part
    assert (backupset.FOLDERS[0], backupset.FOLDERS[10], backupset.FOLDERS[-1]) == ("00", "0a", "ff")


def test_a_small_file_is_private_synced_and_never_written_over(tmp_path: Path, synced: list[object]) -> None:
    path = tmp_path / "file"
    write_file(path, b"contents")
    assert (path.read_bytes(), mode(path), synced) == (b"contents", 0o600, [8])
    with pytest.raises(FileExistsError):
        write_file(path, b"others")
    assert path.read_bytes() == b"contents"
