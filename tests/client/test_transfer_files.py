"""Single files, up and down, of both clients, against a real server."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.both import Both, Kind
from client.scripted import Scripted, content, failure
from objectstore import (
    ONLY_IF_ABSENT,
    AlreadyExists,
    Conditions,
    IncompleteBody,
    InvalidKey,
    InvalidParameter,
    NotFound,
    PreconditionFailed,
    Unavailable,
)
from objectstore.client.transfers.partfile import SUFFIX

PART = 100_000
DATA = hashlib.shake_256(b"transfers").digest(1_234_567)


@pytest.fixture(autouse=True)
def notes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where unfinished uploads are noted."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    return state / "objectstore" / "uploads"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(DATA)
    return path


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if SUFFIX in path.name]


@pytest.mark.parametrize("size", [0, 1, PART, 4 * PART, 4 * PART + 1, len(DATA)])
def test_a_file_goes_up_and_comes_down(store: Both, base: str, tmp_path: Path, notes: Path, size: int) -> None:
    source, target = tmp_path / "source.txt", tmp_path / "target"
    source.write_bytes(DATA[:size])
    up: list[tuple[int, int | None]] = []
    down: list[tuple[int, int | None]] = []
    info = store.upload(source, f"{base}k", part_size=PART, progress=lambda *told: up.append(told))
    assert (info.size, info.digests["sha-256"]) == (size, hashlib.sha256(DATA[:size]).digest())
    assert info.attributes.content_type == "text/plain"
    assert store.download(f"{base}k", target, part_size=PART, progress=lambda *told: down.append(told)) == info
    assert target.read_bytes() == DATA[:size]
    assert not leftovers(tmp_path)
    assert not [*notes.glob("*")]
    for told in (up, down):
        assert told[-1] == (size, size)
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert {total for _, total in told} == {size}


def test_everything_that_can_be_read_can_be_uploaded(store: Both, base: str, file: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(DATA))
    sources: list[Callable[[], Any]] = [
        lambda: str(file),
        lambda: file,
        lambda: DATA,
        lambda: bytearray(DATA),
        lambda: io.BytesIO(DATA),
        lambda: file.open("rb"),
        lambda: file.open("rb", buffering=0),
        lambda: file.open("r+b"),
        lambda: gzip.GzipFile(packed),  # whose descriptor is that of the packed file
        lambda: store.source(DATA[:250_000], DATA[250_000:]),
        lambda: [DATA[:250_000], DATA[250_000:]],
    ]
    for make in sources:
        source = make()
        store.upload(source, f"{base}k", part_size=PART)
        assert store.get(f"{base}k") == DATA
        store.delete(f"{base}k")
        if hasattr(source, "close") and not hasattr(source, "send"):
            assert not source.closed  # what the caller opened stays open
            source.close()


def test_a_file_is_uploaded_from_where_it_stands(store: Both, base: str, file: Path) -> None:
    with file.open("rb") as opened:
        opened.seek(1000)
        assert store.upload(opened, f"{base}k", part_size=PART).size == len(DATA) - 1000
    assert store.get(f"{base}k") == DATA[1000:]


def test_a_pipe_is_uploaded_and_downloaded_to(store: Both, base: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeding = threading.Thread(target=pipe.write_bytes, args=(DATA,))
    feeding.start()
    assert store.upload(pipe, f"{base}k", part_size=PART).size == len(DATA)
    feeding.join()
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reading.start()
    store.download(f"{base}k", pipe, part_size=PART)
    reading.join()
    assert read == [DATA]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_file_of_the_kernel_is_uploaded_although_it_tells_no_size(store: Both, base: str) -> None:
    store.upload("/proc/version", f"{base}k")
    assert store.get(f"{base}k") == Path("/proc/version").read_bytes()


def test_what_is_said_of_an_object_is_kept_and_the_type_is_that_of_the_name(store: Both, base: str, file: Path) -> None:
    said: dict[str, Any] = {"metadata": {"site": "north"}, "cache_control": "no-store"}
    for part_size in (PART, 10**7):
        info = store.upload(file, f"{base}k", part_size=part_size, **said)
        assert info.attributes.content_type == "text/csv"
        assert (info.attributes.metadata, info.attributes.cache_control) == ({"site": "north"}, "no-store")
        info = store.upload(file, f"{base}k", part_size=part_size, content_type="x/y")
        assert info.attributes.content_type == "x/y"
    assert store.upload(b"{}", f"{base}k.json").attributes.content_type == "application/json"


def test_conditions_hold_for_uploads_in_parts_too(store: Both, base: str, file: Path, notes: Path) -> None:
    info = store.upload(file, f"{base}k", part_size=PART, conditions=ONLY_IF_ABSENT)
    for part_size in (PART, 10**7):
        with pytest.raises(AlreadyExists):
            store.upload(file, f"{base}k", part_size=part_size, conditions=ONLY_IF_ABSENT)
    store.upload(file, f"{base}k", part_size=PART, conditions=Conditions(if_match=(info.etag,)))
    with pytest.raises(PreconditionFailed):
        store.upload(file, f"{base}k", part_size=PART, conditions=Conditions(if_match=(info.etag,)))
    assert not [*notes.glob("*")]
    assert not [one for one in store.uploads() if one.key == f"{base}k"]


def test_conditions_hold_for_downloads(store: Both, base: str, tmp_path: Path) -> None:
    info = store.put(f"{base}k", DATA)
    target = tmp_path / "target"
    with pytest.raises(PreconditionFailed):
        store.download(f"{base}k", target, conditions=Conditions(if_match=("other",)))
    store.download(f"{base}k", target, part_size=PART, conditions=Conditions(if_match=(info.etag,)))
    assert target.read_bytes() == DATA


def test_what_cannot_be_done_is_told_and_leaves_nothing(store: Both, base: str, tmp_path: Path, file: Path) -> None:
    with pytest.raises(NotFound):
        store.download(f"{base}absent", tmp_path / "target")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        store.download(f"{base}absent", tmp_path)
    with pytest.raises(IsADirectoryError, match="upload_dir"):
        store.upload(tmp_path, f"{base}k")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        store.upload(tmp_path / "nowhere", f"{base}k")
    with pytest.raises(FileNotFoundError, match="nowhere/target"):
        store.download(f"{base}absent", tmp_path / "nowhere" / "target")
    with pytest.raises(InvalidKey):
        store.upload(file, "")
    with pytest.raises(InvalidParameter):
        store.upload(file, f"{base}k", part_size=0)
    with pytest.raises(InvalidParameter):
        store.download(f"{base}k", file, concurrency=0)
    with pytest.raises(TypeError, match="a key is a str"):
        store.upload("key", b"data in the wrong place")
    with pytest.raises(TypeError, match="open it with mode 'rb'"), file.open(encoding="latin-1") as text:
        store.upload(text, f"{base}k")
    assert sorted(tmp_path.iterdir()) == [file]
    assert not store.exists(f"{base}k")


def test_the_target_is_replaced_with_its_mode_and_links_stay(store: Both, base: str, tmp_path: Path) -> None:
    store.put(f"{base}k", DATA)
    real, link, fresh = tmp_path / "real", tmp_path / "link", tmp_path / "fresh"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    store.download(f"{base}k", link, part_size=PART)
    assert link.is_symlink()
    assert real.read_bytes() == DATA
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    store.download(f"{base}k", fresh)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o666 & ~mask


def test_the_longest_name_can_be_downloaded_to(store: Both, base: str, tmp_path: Path) -> None:
    store.put(f"{base}k", DATA)
    target = tmp_path / ("n" * 255)
    store.download(f"{base}k", target, part_size=PART)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("part_size", [PART, 10**7])
def test_a_file_that_grows_while_it_is_sent_is_not_stored(store: Both, base: str, file: Path, part_size: int) -> None:
    def grow(done: int, _: int | None) -> None:
        if done > len(DATA) // 2:
            with file.open("ab") as more:
                more.write(b"x")

    with pytest.raises(IncompleteBody):
        store.upload(file, f"{base}k", part_size=part_size, progress=grow)
    assert not store.exists(f"{base}k")


def test_two_downloads_to_one_file_do_not_mix(store: Both, base: str, tmp_path: Path) -> None:
    store.put(f"{base}k", DATA)
    target = tmp_path / "target"
    refused: list[Exception] = []

    def again(_done: int, _total: int | None) -> None:
        if not refused:
            refused.append(caught(lambda: store.kind == "sync" and store.download(f"{base}k", target)))

    def caught(call: Callable[[], object]) -> Exception:
        # The other transfer is any that holds the file, in this process or another.
        from objectstore.client.transfers.partfile import PartFile

        with pytest.raises(BlockingIOError, match="another transfer is at work on it"):
            PartFile(target).open()
        if store.kind == "sync":
            with pytest.raises(BlockingIOError):
                call()
        return BlockingIOError()

    store.download(f"{base}k", target, part_size=PART, progress=again)
    assert refused
    assert target.read_bytes() == DATA


def test_what_a_callback_raises_ends_the_transfer(store: Both, base: str, file: Path, tmp_path: Path) -> None:
    def fail(done: int, _: int | None) -> None:
        if done > PART:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.upload(file, f"{base}k", part_size=PART, progress=fail)
    assert not store.exists(f"{base}k")
    store.put(f"{base}k", DATA)
    with pytest.raises(ZeroDivisionError):
        store.download(f"{base}k", tmp_path / "target", part_size=PART, progress=fail)
    assert not (tmp_path / "target").exists()


def test_progress_comes_from_one_thread_at_a_time(store: Both, base: str, file: Path, kind: Kind) -> None:
    busy = threading.Lock()
    threads = set()

    def told(_done: int, _total: int | None) -> None:
        assert busy.acquire(blocking=False)
        threads.add(threading.get_ident())
        busy.release()

    store.upload(file, f"{base}k", part_size=20_000, concurrency=8, progress=told)
    assert len(threads) > 1 or kind == "async"


def test_a_server_without_ranges_is_taken_as_it_is(client: Both, server: Scripted, tmp_path: Path) -> None:
    server.plays(content(DATA), content(DATA))
    client.download("k", tmp_path / "target", part_size=PART)
    assert (tmp_path / "target").read_bytes() == DATA
    assert [one.fields.get("range") for one in server.seen] == [f"bytes=0-{4 * PART - 1}", None]


def test_a_range_of_another_version_is_not_mixed_in(client: Both, server: Scripted, tmp_path: Path) -> None:
    # Each answer is to what was asked, and yet of another version each time: nothing of it becomes a file.
    data = DATA[: 5 * PART]
    for etag in ("e1", "e2", "e3", "e4"):
        server.plays(content(data, start=0, stop=4 * PART, etag=etag), failure(412, "precondition_failed"))
    with pytest.raises(Unavailable, match="was changed 4 times"):
        client.download("k", tmp_path / "target", part_size=PART, concurrency=1)
    assert not (tmp_path / "target").exists()
