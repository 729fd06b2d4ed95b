"""Many small files and objects: what one step less may not change, of both clients."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from client.both import Both
from client.scripted import Scripted, content
from objectstore import Corrupted
from objectstore.client.transfers import keeping
from objectstore.client.transfers.content import SMALL, read_small
from objectstore.client.transfers.jobs import Download, Transferred, Upload

DATA = b"0123456789" * 100


def fetched(client: Both, key: str, path: Path, size: int) -> Transferred:
    """What comes of downloading it, when it was listed with that size."""
    [result] = client.transfer([Download(key=key, path=path, size=size)])
    assert isinstance(result, Transferred)
    return result


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_small_object_takes_the_place_of_a_file(store: Both, base: str, tmp_path: Path) -> None:
    store.put(f"{base}k", DATA)
    real = tmp_path / "real"
    real.write_bytes(b"before")
    real.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(real)
    (tmp_path / ".real.objectstore-part.json").write_text("{}")  # of a larger one, begun once
    result = fetched(store, f"{base}k", link, len(DATA))
    assert result.info == store.head(f"{base}k")
    assert link.is_symlink()
    assert real.read_bytes() == DATA
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    fetched(store, f"{base}k", tmp_path / "new" / "file", len(DATA))
    (tmp_path / "usual").touch()
    assert (tmp_path / "new" / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert names(tmp_path) == ["link", "new", "real", "usual"]
    assert names(tmp_path / "new") == ["file"]


@pytest.mark.parametrize("now", [b"", b"x", b"x" * SMALL, b"x" * (SMALL + 1), os.urandom(3 * SMALL)])
def test_an_object_that_was_replaced_since_it_was_listed_comes_as_it_is(
    store: Both, base: str, tmp_path: Path, now: bytes
) -> None:
    store.put(f"{base}k", now)
    result = fetched(store, f"{base}k", tmp_path / "file", 10)
    assert result.error is None
    assert result.info is not None
    assert result.info.size == len(now)
    assert (tmp_path / "file").read_bytes() == now


def test_what_arrived_damaged_is_no_file(client: Both, server: Scripted, tmp_path: Path) -> None:
    server.plays(content(DATA, start=0, stop=len(DATA), damage=True))
    result = fetched(client, "k", tmp_path / "file", len(DATA))
    assert isinstance(result.error, Corrupted)
    assert not names(tmp_path)


def test_a_server_without_ranges_is_read_all_the_same(client: Both, server: Scripted, tmp_path: Path) -> None:
    server.plays(content(DATA), content(DATA), content(DATA))
    assert fetched(client, "k", tmp_path / "file", len(DATA)).error is None
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_pipe_is_written_to_and_a_folder_is_not(store: Both, base: str, tmp_path: Path) -> None:
    store.put(f"{base}k", DATA)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert fetched(store, f"{base}k", pipe, len(DATA)).error is None
    reader.join(20)
    assert read == [DATA]
    assert isinstance(fetched(store, f"{base}k", tmp_path, len(DATA)).error, IsADirectoryError)


def test_a_target_that_another_transfer_writes_to_is_left_to_it(store: Both, base: str, tmp_path: Path) -> None:
    store.put(f"{base}k", DATA)
    held = keeping.hold(tmp_path / ".file.objectstore-part")
    assert isinstance(fetched(store, f"{base}k", tmp_path / "file", len(DATA)).error, BlockingIOError)
    os.close(held)
    assert fetched(store, f"{base}k", tmp_path / "file", len(DATA)).error is None


def test_a_pipe_is_not_opened_before_it_is_its_turn(store: Both, base: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert read_small(pipe) is None
    writer = threading.Thread(target=pipe.write_bytes, args=(DATA,), daemon=True)
    writer.start()
    [result] = store.transfer([Upload(source=pipe, key=f"{base}k")])
    writer.join(20)
    assert result.error is None
    assert store.get(f"{base}k") == DATA


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1])
def test_files_around_the_size_that_is_read_at_once(store: Both, base: str, tmp_path: Path, size: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))
    assert (read_small(file) is None) == (size in {0, SMALL + 1})
    [result] = store.transfer([Upload(source=str(file), key=f"{base}k")])
    assert result.error is None
    assert store.get(f"{base}k") == file.read_bytes()
