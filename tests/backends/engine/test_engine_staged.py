"""Files of large bodies without the store: what is synced before what, and what stays for the next opening."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from objectstore.backends.engine import blobs as module
from objectstore.backends.engine import directory as directories
from objectstore.backends.engine import steps
from objectstore.backends.engine.blobs import BATCH_SIZE, Blobs, StagedBlob, names_of
from objectstore.backends.engine.directory import Directory, try_lock
from objectstore.backends.engine.schema import Durability

STEPS = [steps.AFTER_WRITE, steps.AFTER_SYNC, steps.AFTER_RENAME, steps.AFTER_FOLDER_SYNC]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path)
    directory.blobs.mkdir()
    directory.staging.mkdir()
    return directory


@pytest.fixture
def happened(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were passed, and between them what was synced: a file, or which folder."""
    found: list[str] = []
    sync_folder, sync_file = directories.sync_folder, os.fdatasync

    def folder(path: Path | str) -> None:
        name = str(Path(path).relative_to(directory.root))
        found.append(f"sync {'own' if Path(path).parent == directory.staging else name}")
        sync_folder(path)

    def file(fd: int) -> None:
        found.append(f"sync {os.fstat(fd).st_size} bytes")
        sync_file(fd)

    monkeypatch.setattr(module, "sync_folder", folder)
    monkeypatch.setattr(os, "fdatasync", file)
    return found


def opened(directory: Directory, happened: list[str], durability: Durability = "full") -> Blobs:
    blobs = Blobs(directory, durability, happened.append)
    blobs.open()
    return blobs


@pytest.fixture
def blobs(directory: Directory, happened: list[str]) -> Iterator[Blobs]:
    blobs = opened(directory, happened)
    happened.clear()
    yield blobs
    blobs.close()


def path_of(directory: Directory, blob: StagedBlob) -> Path:
    return Path(directory.blob(blob.id))


def markers(directory: Directory) -> list[Path]:
    return list(directory.staging.glob("*/*.batch"))


def test_a_batch_is_256_names_each_in_a_folder_of_its_own() -> None:
    names = names_of("dead")
    assert (names[0], names[16], names[255]) == ("00dead", "10dead", "ffdead")
    assert len({name[:2] for name in names}) == len(names) == BATCH_SIZE == 256


@pytest.mark.parametrize("others", [False, True])
def test_the_disk_is_tried_with_a_file_that_goes_again(
    blobs: Blobs, others: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close
    made: list[tuple[str, int]] = []

    def closed(fd: int) -> None:
        made.extend((path.name, path.stat().st_mode & 0o777) for path in blobs.staging.iterdir())
        if others:  # who tries it at the same time takes it away
            (blobs.staging / "probe").unlink()
        close(fd)

    with monkeypatch.context() as context:
        context.setattr(os, "close", closed)
        blobs.probe()
    assert made == [("probe", 0o600)]
    assert list(blobs.staging.iterdir()) == []


def test_a_process_says_that_it_lives_by_the_lock_of_its_folder(directory: Directory) -> None:
    passed: list[str] = []
    blobs = opened(directory, passed)
    assert passed == [steps.AFTER_CLAIM]
    assert blobs.staging.parent == directory.staging
    process, _, chance = blobs.staging.name.partition("-")
    assert (process, len(chance)) == (str(os.getpid()), 8)
    assert blobs.staging.stat().st_mode & 0o777 == 0o700
    other = os.open(blobs.staging, os.O_RDONLY)
    assert not try_lock(other)
    blobs.close()
    assert try_lock(other)
    os.close(other)
    assert list(directory.staging.iterdir()) == []


def test_the_body_is_on_disk_before_its_name_and_both_before_its_row(
    directory: Directory, blobs: Blobs, happened: list[str]
) -> None:
    blob = blobs.create()
    assert happened == ["sync own", "sync staging", steps.AFTER_RESERVE, steps.AFTER_CREATE]
    (staged,) = [path for path in blobs.staging.iterdir() if path.name == blob.id]
    assert staged.stat().st_mode & 0o777 == 0o600
    (marker,) = markers(directory)
    assert marker.stat().st_mode & 0o777 == 0o600
    assert len(marker.stem) == 22
    assert blob.id in names_of(marker.stem)
    happened.clear()
    blob.write(b"abc")
    blob.write(b"de")
    assert happened == []
    blob.finish()
    folder = f"sync blobs/{blob.id[:2]}"
    assert happened == [STEPS[0], "sync 5 bytes", STEPS[1], "sync blobs", STEPS[2], folder, STEPS[3]]
    assert path_of(directory, blob).read_bytes() == b"abcde"
    assert path_of(directory, blob).parent.stat().st_mode & 0o777 == 0o700
    assert not staged.exists()
    fd = blobs.open_to_read(blob.id)
    assert os.read(fd, 9) == b"abcde"
    os.close(fd)
    spread = blobs.syncs.spread("syncs")
    assert sum(spread.counts) == 1
    assert 0 <= spread.total < 60
    blob.keep()


def test_where_there_is_a_folder_already_none_is_made(directory: Directory, blobs: Blobs, happened: list[str]) -> None:
    for name in names_of(""):
        (directory.blobs / name).mkdir()
    first, second = blobs.create(), blobs.create()
    happened.clear()
    for blob in (first, second):
        blob.finish()
        assert path_of(directory, blob).read_bytes() == b""
        blob.keep()
    once = [STEPS[0], "sync 0 bytes", STEPS[1], STEPS[2], STEPS[3]]
    assert [one for one in happened if not one.startswith("sync blobs/")] == once * 2
    assert len(markers(directory)) == 1


def test_two_who_make_the_same_folder_both_get_their_blob(
    directory: Directory, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def overtaken(path: str, mode: int) -> None:
        mkdir(path, mode)
        mkdir(path, mode)

    blob = blobs.create()
    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", overtaken)
        blob.finish()
    assert path_of(directory, blob).exists()
    blob.keep()


def test_what_is_relaxed_is_not_synced(directory: Directory, happened: list[str]) -> None:
    blobs = opened(directory, happened, "relaxed")
    for name in names_of(""):
        (directory.blobs / name).mkdir()
    happened.clear()
    kept, given_up = blobs.create(), blobs.create()
    kept.finish()
    kept.keep()
    given_up.discard()
    assert happened == [steps.AFTER_RESERVE, steps.AFTER_CREATE, steps.AFTER_CREATE, *STEPS]
    assert sum(blobs.syncs.spread("syncs").counts) == 0
    blobs.close()


def test_a_disk_that_takes_less_at_once_gets_the_rest(
    directory: Directory, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    blob = blobs.create()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        blob.write(b"0123456789")
    blob.finish()
    assert path_of(directory, blob).read_bytes() == b"0123456789"
    blob.keep()


@pytest.mark.parametrize("finished", [False, True])
def test_what_is_discarded_is_gone_from_the_disk_before_its_marker(
    directory: Directory, blobs: Blobs, happened: list[str], monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    monkeypatch.setattr(module, "BATCH_SIZE", 1)
    blob = blobs.create()
    blob.write(b"abc")
    place = blobs.staging / blob.id
    if finished:
        blob.finish()
        place = path_of(directory, blob)
    happened.clear()

    def looked_at(path: Path | str) -> None:
        assert (place.exists(), len(markers(directory))) == (False, 1)
        happened.append(f"sync {path}")

    monkeypatch.setattr(module, "sync_folder", looked_at)
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths
    blob.discard()
    assert happened == [f"sync {place.parent}"]
    assert markers(directory) == []
    assert len(os.listdir("/proc/self/fd")) == open_before - (not finished)  # noqa: PTH208  as above


def test_a_file_that_is_gone_already_is_no_trouble_to_who_discards_it(directory: Directory) -> None:
    blobs = opened(directory, [])
    blob = blobs.create()
    (blobs.staging / blob.id).unlink()
    blob.discard()
    blobs.close()
    assert list(directory.staging.iterdir()) == []


def test_the_marker_stays_until_every_name_is_settled(
    directory: Directory, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_SIZE", 3)
    first, second, third = (blobs.create() for _ in range(3))
    (marker,) = markers(directory)
    fourth = blobs.create()
    (new,) = set(markers(directory)) - {marker}
    for blob in (second, third, fourth):
        blob.finish()
        blob.keep()
        assert marker.exists()
    first.discard()
    assert markers(directory) == [new]


def test_a_name_that_is_taken_is_settled_and_not_used(
    directory: Directory, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    blob = blobs.create()
    (marker,) = markers(directory)
    taken = blobs.staging / names_of(marker.stem)[0]
    taken.write_text("of somebody")
    with pytest.raises(FileExistsError):
        blobs.create()
    blob.discard()
    assert markers(directory) == []
    assert taken.read_text() == "of somebody"
    taken.unlink()


@pytest.mark.parametrize("settled", [False, True])
def test_who_closes_takes_along_what_was_not_used_and_leaves_what_is_not_settled(
    directory: Directory, settled: bool
) -> None:
    blobs = opened(directory, [])
    blob = blobs.create()
    blob.finish()
    if settled:
        blob.keep()
    blobs.close()
    assert len(markers(directory)) == (0 if settled else 1)
    assert blobs.staging.exists() != settled


def test_a_nearly_full_disk_takes_no_new_blob(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "RESERVE", 1 << 62)
    with pytest.raises(OSError, match="No space left on device") as told:
        blobs.create()
    assert told.value.errno == errno.ENOSPC
