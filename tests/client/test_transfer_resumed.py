"""Transfers that are broken off: by a kill, a signal, a cancellation, a full disk, a change. The next one goes on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from client.both import Both, Kind
from objectstore import AsyncRestStore, Corrupted, NotFound, ObjectInfo, PreconditionFailed, RestStore, Unavailable
from objectstore.client.drivers import Driver
from objectstore.client.site import parse_site
from objectstore.client.transfers.jobs import Transferred, Upload
from objectstore.client.transfers.meter import Progress
from objectstore.client.transfers.partfile import SUFFIX
from objectstore.client.transfers.remote import RemoteContent
from objectstore.client.transport import transport_to
from objectstore.testing import Cut, ObjectStoreServer, Received, Refuse, Sent, serve
from objectstore.wire.retries import Retries
from peer import add_token, command_for, free_port, wait_until_healthy

PART = 50_000
COUNT = 20
DATA = hashlib.shake_256(b"resumed").digest(COUNT * PART - 7)
OTHER = DATA[::-1]


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStoreServer]:
    with serve() as running:
        yield running


@pytest.fixture(autouse=True)
def notes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    return state / "objectstore" / "uploads"


@pytest.fixture
def store(client_of: Callable[..., Both], server: ObjectStoreServer) -> Iterator[Both]:
    server.store.delete_many(list(server.store.keys()))
    for upload in list(server.store.uploads()):
        server.store.abort_upload(upload.upload_id)
    yield client_of(server.url, token=server.token, retries=Retries(limit=3, delay=0))
    server.calm()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


T = TypeVar("T")


class Enough(Exception):
    pass


def until(size: int) -> Callable[[int, int | None], None]:
    """A progress that breaks the transfer off."""

    def told(done: int, _total: int | None) -> None:
        if done >= size:
            raise Enough

    return told


def partly_uploaded(store: Both, file: Path) -> set[int]:
    """Break an upload off in the middle; the parts that have arrived."""
    with pytest.raises(Enough):
        store.upload(file, "k", part_size=PART, progress=until(len(DATA) // 2))
    return settled(lambda: arrived(store))


def arrived(store: Both | RestStore) -> set[int]:
    [upload] = store.uploads()
    return {part.number for part in store.get_upload(upload.upload_id).parts}


def partly_downloaded(store: Both, target: Path) -> set[int]:
    """Break a download off in the middle; the parts that are there."""
    store.put("k", DATA)
    with pytest.raises(Enough):
        store.download("k", target, part_size=PART, progress=until(len(DATA) // 2))
    return there(target)


def there(target: Path) -> set[int]:
    told = json.loads(target.with_name(f".{target.name}{SUFFIX}.json").read_text())
    return {part for start, stop in told["done"] for part in range(start, stop)}


def sent(server: ObjectStoreServer) -> list[int]:
    found = [re.search(r"/parts/(\d+)$", one.target) for one in server.requests if one.method == "PUT"]
    return sorted(int(one[1]) for one in found if one)


def gets(server: ObjectStoreServer) -> int:
    return sum(one.method == "GET" for one in server.requests)


def settled(look: Callable[[], T]) -> T:
    """What is seen twice in a row: the server may still be at work on what a killed client sent."""
    deadline = time.monotonic() + 60
    while True:
        seen = look()
        time.sleep(0.05)
        if look() == seen:
            return seen
        assert time.monotonic() < deadline


def forget(server: ObjectStoreServer) -> None:
    # Some of what was broken off may come late.
    settled(lambda: len(server.requests))
    server.forget_requests()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if SUFFIX in path.name)


def test_what_was_sent_is_not_sent_again(store: Both, server: ObjectStoreServer, file: Path, notes: Path) -> None:
    before = partly_uploaded(store, file)
    assert 0 < len(before) < COUNT
    [note] = notes.glob("*.json")
    assert note.stat().st_mode & 0o777 == 0o600
    forget(server)
    told: list[int] = []
    info = store.upload(file, "k", part_size=PART, progress=lambda done, _: told.append(done))
    assert sent(server) == sorted(set(range(1, COUNT + 1)) - before)
    assert info.digests["sha-256"] == hashlib.sha256(DATA).digest()
    assert told[-1] == len(DATA)
    assert not [*notes.iterdir()]
    assert not store.uploads()


def test_what_has_come_is_not_asked_for_again(
    store: Both, server: ObjectStoreServer, target: Path, tmp_path: Path
) -> None:
    before = partly_downloaded(store, target)
    assert 0 < len(before) < COUNT
    assert not target.exists()
    for name in left(tmp_path):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    forget(server)
    told: list[int] = []
    store.download("k", target, part_size=PART, progress=lambda done, _: told.append(done))
    assert gets(server) == COUNT - len(before)
    assert target.read_bytes() == DATA
    assert told[0] >= sum(min(PART, len(DATA) - part * PART) for part in before)
    assert told[-1] == len(DATA)
    assert not left(tmp_path)


# What the child does: it says when it is half done, and goes no further.
CHILD = """
    import asyncio, os, signal, sys
    from objectstore import AsyncRestStore, RestStore

    kind, what, how, url, token, path = sys.argv[1:]
    said = []

    def told(done, total):
        if done >= total // 2 and not said:
            said.append(done)
            print("half", flush=True)
            if how == "waits":
                sys.stdin.read()
            else:
                os.kill(os.getpid(), signal.SIGINT)

    options = {"part_size": PART, "progress": told}
    arguments = (path, "k") if what == "upload" else ("k", path)

    async def main():
        async with AsyncRestStore.create(url, token) as store:
            await getattr(store, what)(*arguments, **options)

    if kind == "sync":
        with RestStore.create(url, token) as store:
            getattr(store, what)(*arguments, **options)
    else:
        asyncio.run(main())
"""


def child(kind: Kind, what: str, how: str, server: ObjectStoreServer, path: Path) -> subprocess.Popen[bytes]:
    program = textwrap.dedent(CHILD).replace("PART", str(PART))
    command = [sys.executable, "-c", program, kind, what, how, server.url, server.token, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def killed(kind: Kind, what: str, server: ObjectStoreServer, path: Path) -> None:
    with child(kind, what, "waits", server, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()


def interrupted(kind: Kind, what: str, server: ObjectStoreServer, path: Path) -> None:
    with child(kind, what, "interrupts", server, path) as process:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGINT
        assert complaint.decode().rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("end", [killed, interrupted])
def test_an_upload_of_which_the_process_ended_goes_on(
    store: Both, server: ObjectStoreServer, file: Path, kind: Kind, end: Callable[..., None]
) -> None:
    end(kind, "upload", server, file)
    assert store.exists("k") is False
    before = settled(lambda: arrived(server.store))
    assert before
    forget(server)
    store.upload(file, "k", part_size=PART)
    assert sent(server) == sorted(set(range(1, COUNT + 1)) - before)
    assert store.get("k") == DATA


@pytest.mark.parametrize("end", [killed, interrupted])
def test_a_download_of_which_the_process_ended_goes_on(
    store: Both, server: ObjectStoreServer, target: Path, tmp_path: Path, kind: Kind, end: Callable[..., None]
) -> None:
    store.put("k", DATA)
    end(kind, "download", server, target)
    assert not target.exists()
    before = there(target)
    assert before
    forget(server)
    store.download("k", target, part_size=PART)
    assert gets(server) == COUNT - len(before)
    assert target.read_bytes() == DATA
    assert not left(tmp_path)


def test_a_cancelled_task_leaves_what_can_be_gone_on_with(
    server: ObjectStoreServer, store: Both, file: Path, target: Path
) -> None:
    async def main() -> None:
        async with AsyncRestStore.create(server.url, server.token) as remote:
            await cancelled(lambda progress: remote.upload(file, "k", part_size=PART, progress=progress))
            await remote.put("other", DATA)
            await cancelled(lambda progress: remote.download("other", target, part_size=PART, progress=progress))

    async def cancelled(call: Callable[..., Any]) -> None:
        def told(done: int, _: int | None) -> None:
            if done >= len(DATA) // 2:
                loop.call_soon_threadsafe(task.cancel)

        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(call(told))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    before = settled(lambda: arrived(server.store))
    forget(server)
    store.upload(file, "k", part_size=PART)
    assert sent(server) == sorted(set(range(1, COUNT + 1)) - before)
    got = there(target)
    assert got
    forget(server)
    store.download("other", target, part_size=PART)
    assert gets(server) == COUNT - len(got)
    assert target.read_bytes() == DATA


def test_an_upload_of_a_file_that_changed_sends_it_as_it_is_now(
    store: Both, server: ObjectStoreServer, file: Path
) -> None:
    before = partly_uploaded(store, file)
    changed = bytearray(DATA)
    changed[0] ^= 1
    file.write_bytes(changed)
    forget(server)
    store.upload(file, "k", part_size=PART)
    assert sent(server) == sorted({1} | set(range(1, COUNT + 1)) - before)
    assert store.get("k") == changed
    store.delete("k")
    partly_uploaded(store, file)
    file.write_bytes(DATA + b"longer")
    store.upload(file, "k", part_size=PART)
    assert store.get("k") == DATA + b"longer"
    assert not store.uploads()


def test_an_upload_that_is_to_be_another_begins_anew(store: Both, file: Path) -> None:
    partly_uploaded(store, file)
    info = store.upload(file, "k", part_size=PART, content_type="x/y")
    assert info.attributes.content_type == "x/y"
    assert not store.uploads()


def test_an_upload_that_the_server_has_forgotten_begins_anew(store: Both, file: Path, notes: Path) -> None:
    partly_uploaded(store, file)
    [upload] = store.uploads()
    store.abort_upload(upload.upload_id)
    store.upload(file, "k", part_size=PART)
    assert store.get("k") == DATA
    assert not [*notes.iterdir()]


def test_an_upload_of_which_only_the_last_answer_was_lost_is_not_sent_again(
    store: Both, server: ObjectStoreServer, file: Path, notes: Path
) -> None:
    kept: list[bytes] = []

    def keep(done: int, _: int | None) -> None:
        if done == len(DATA) and not kept:
            kept.append(next(notes.glob("*.json")).read_bytes())

    info = store.upload(file, "k", part_size=PART, progress=keep)
    partly_uploaded(store, file)
    [note] = notes.glob("*.json")
    note.write_bytes(kept[0])  # as if the crash had come right after the completion
    forget(server)
    assert store.upload(file, "k", part_size=PART) == info
    assert sent(server) == []


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b'{"version": 1}'])
def test_notes_that_cannot_be_read_are_as_good_as_none(
    store: Both, file: Path, target: Path, notes: Path, tmp_path: Path, rubbish: bytes
) -> None:
    partly_uploaded(store, file)
    [note] = notes.glob("*.json")
    note.write_bytes(rubbish)
    store.upload(file, "k", part_size=PART)
    assert store.get("k") == DATA
    partly_downloaded(store, target)
    (tmp_path / f".target{SUFFIX}.json").write_bytes(rubbish)
    store.download("k", target, part_size=PART)
    assert target.read_bytes() == DATA
    assert not left(tmp_path)


def test_without_a_place_for_notes_uploads_go_up_all_the_same(
    store: Both, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no-folder").write_text("x")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "no-folder"))
    store.upload(file, "k", part_size=PART)
    assert store.get("k") == DATA


def test_what_is_abandoned_is_forgotten(store: Both, file: Path, target: Path, notes: Path, tmp_path: Path) -> None:
    partly_uploaded(store, file)
    store.abandon_upload(file, "k")
    assert not store.uploads()
    assert not [*notes.iterdir()]
    store.abandon_upload(file, "k")
    partly_downloaded(store, target)
    assert left(tmp_path)
    store.abandon_download(target)
    assert not left(tmp_path)
    store.abandon_download(target)


def test_two_uploads_of_one_file_both_go_up(server: ObjectStoreServer, store: Both, file: Path, notes: Path) -> None:
    refused: list[str] = []

    def again(_done: int, _total: int | None) -> None:
        if not refused:
            with pytest.raises(BlockingIOError) as caught:
                server.store.abandon_upload(file, "k")
            refused.append(str(caught.value))
            server.store.upload(file, "k", part_size=PART, content_type="x/y")

    info = store.upload(file, "k", part_size=PART, progress=again)
    assert "it is being uploaded" in refused[0]
    assert store.head("k") == info
    assert store.get("k") == DATA
    assert not [*notes.iterdir()]
    assert not store.uploads()


def test_without_resume_nothing_is_left(store: Both, file: Path, target: Path, notes: Path, tmp_path: Path) -> None:
    with pytest.raises(Enough):
        store.upload(file, "k", part_size=PART, resume=False, progress=until(500_000))
    assert not store.uploads()
    assert not notes.exists()
    store.put("k", DATA)
    with pytest.raises(Enough):
        store.download("k", target, part_size=PART, resume=False, progress=until(500_000))
    assert not left(tmp_path)


@pytest.mark.parametrize("at", [30_000, 700_000])
def test_an_object_that_changes_while_it_comes_starts_over(
    store: Both, server: ObjectStoreServer, target: Path, at: int
) -> None:
    store.put("k", DATA)
    changed: list[int] = []
    told: list[int] = []

    def change(done: int, _: int | None) -> None:
        told.append(done)
        if done >= at and not changed:
            changed.append(done)
            server.store.put("k", OTHER)

    info = store.download("k", target, part_size=PART, progress=change)
    assert target.read_bytes() == OTHER
    assert info == server.store.head("k")
    assert told == sorted(told)
    assert told[-1] == len(OTHER)


def test_an_object_that_changed_since_starts_over(store: Both, target: Path) -> None:
    partly_downloaded(store, target)
    store.put("k", OTHER[:-1])
    store.download("k", target, part_size=PART)
    assert target.read_bytes() == OTHER[:-1]


def test_an_object_that_was_deleted_meanwhile_is_not_found(store: Both, target: Path) -> None:
    partly_downloaded(store, target)
    store.delete("k")
    with pytest.raises(NotFound):
        store.download("k", target, part_size=PART)
    assert not target.exists()


def test_what_arrived_damaged_is_no_file(store: Both, target: Path, tmp_path: Path) -> None:
    before = partly_downloaded(store, target)
    part = tmp_path / f".target{SUFFIX}"
    with part.open("r+b") as damaged:
        damaged.seek(min(before) * PART + 10)
        damaged.write(b"\0\0\0\0\0\0\0\0")
    target.write_bytes(b"old")
    with pytest.raises(Corrupted, match="SHA-256"):
        store.download("k", target, part_size=PART)
    assert target.read_bytes() == b"old"
    assert not left(tmp_path)
    store.download("k", target, part_size=PART)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("size", [3 * PART, len(DATA)])
def test_a_download_is_never_cut_short_silently(
    store: Both, server: ObjectStoreServer, target: Path, size: int
) -> None:
    store.put("k", DATA[:size])
    with server.disturb(Cut(Sent(PART // 2)), method="GET", times=5) as cuts:
        store.download("k", target, part_size=PART)
    assert cuts.hits == 5
    assert target.read_bytes() == DATA[:size]
    target.unlink()
    with server.disturb(Cut(Sent(0)), method="GET"), pytest.raises(Unavailable):
        store.download("k", target, part_size=PART)
    assert not target.exists()


def test_parts_of_uploads_are_tried_again(store: Both, server: ObjectStoreServer, file: Path) -> None:
    # No more of them than a part has tries, since all may meet the same one.
    refusals = server.disturb(Refuse(503, retry_after=0), method="PUT", times=2)
    cut = server.disturb(Cut(Received(PART // 2)), method="PUT", skip=4, times=1)
    store.upload(file, "k", part_size=PART)
    assert (refusals.hits, cut.hits) == (2, 1)
    assert store.get("k") == DATA


# The limit on the size of files is how a disk becomes full for one process alone.
FULL = """
    import resource, sys
    from objectstore import RestStore

    url, token, path = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (520_000, 520_000))
    with RestStore.create(url, token) as store:
        try:
            store.download("k", path, part_size=PART, concurrency=1)
        except OSError as error:
            print(error.errno, error)
"""


def test_a_full_disk_is_told_and_what_has_come_is_kept(store: Both, server: ObjectStoreServer, target: Path) -> None:
    store.put("k", DATA)
    program = textwrap.dedent(FULL).replace("PART", str(PART))
    command = [sys.executable, "-c", program, server.url, server.token, str(target)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.startswith(f"{errno.EFBIG} ")
    assert "make room, and download it again" in told
    assert f".target{SUFFIX}" in told
    assert there(target) == set(range(10))
    forget(server)
    store.download("k", target, part_size=PART)
    assert gets(server) == COUNT - 10
    assert target.read_bytes() == DATA


MEMORY = """
    import re, sys
    from pathlib import Path
    from objectstore import RestStore

    url, token, source, target = sys.argv[1:]

    def most():
        return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

    with RestStore.create(url, token) as store:
        store.exists("k")
        before = most()
        store.upload(source, "k", part_size=1_000_000)
        store.download("k", target, part_size=1_000_000)
        print(most() - before)
"""


def test_files_are_never_held_whole(tmp_path: Path) -> None:
    source, size = tmp_path / "source", 96 * 1024 * 1024
    with source.open("wb") as sparse:
        sparse.truncate(size)
    with serve(tmp_path / "data") as server:
        command = [sys.executable, "-c", textwrap.dedent(MEMORY), server.url, server.token, str(source)]
        told = subprocess.run(
            [*command, str(tmp_path / "target")], capture_output=True, text=True, check=True, timeout=120
        )
    assert (tmp_path / "target").stat().st_size == size
    assert int(told.stdout) < 48  # MiB


@contextlib.contextmanager
def served(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    settings = {"DATA_DIR": str(folder / "data"), "AUTH_TOKENS_FILE": str(folder / "tokens.json"), "WORKERS": "1"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command_for("uvicorn", port), env=os.environ | settings, stdout=log, stderr=log)
    try:
        wait_until_healthy(process, port)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_server_that_is_killed_and_comes_back_is_waited_for(
    tmp_path_factory: pytest.TempPathFactory, file: Path, target: Path
) -> None:
    folder = tmp_path_factory.mktemp("served")
    token, port = add_token(folder / "tokens.json", "all"), free_port()
    site = parse_site(f"http://127.0.0.1:{port}", token)
    transport = transport_to(site.origin, timeout=20, max_connections=10)
    driver = Driver(site, transport, Retries(limit=1000), sleep=lambda _: time.sleep(0.05))
    half, back = threading.Event(), threading.Event()

    def halt(done: int, _: int | None) -> None:
        if done >= len(DATA) // 2:
            half.set()
            assert back.wait(60)

    with contextlib.ExitStack() as running, RestStore(driver) as store:
        process = running.enter_context(served(folder, port))

        def kill(done: int, _: int | None) -> None:
            if done >= len(DATA) // 2 and not back.is_set():
                assert half.wait(60)
                process.kill()
                process.wait()
                running.enter_context(served(folder, port))
                back.set()

        store.put("down", DATA)
        options = {"part_size": PART, "progress": halt}
        downloading = threading.Thread(target=store.download, args=("down", target), kwargs=options)
        downloading.start()
        store.upload(file, "up", part_size=PART, progress=kill)
        downloading.join()
        assert store.get("up") == DATA
    assert target.read_bytes() == DATA


@pytest.fixture(scope="module")
def origin() -> Iterator[ObjectStoreServer]:
    with serve() as running:
        running.store.put("from", DATA)
        yield running


def copied(store: Both, origin: ObjectStoreServer, info: ObjectInfo, progress: Progress | None = None) -> Transferred:
    """Bring the object from the other server to `k` here."""
    job = Upload(source=RemoteContent(origin.store, info, f"{origin.url}/from"), key="k")
    result: Transferred
    [result] = store.transfer([job], part_size=PART, progress=progress)
    return result


def test_a_copy_from_another_server_goes_on(store: Both, server: ObjectStoreServer, origin: ObjectStoreServer) -> None:
    info = origin.store.head("from")
    with pytest.raises(Enough):
        copied(store, origin, info, until(len(DATA) // 2))
    before = settled(lambda: arrived(store))
    assert before
    forget(server)
    forget(origin)
    assert copied(store, origin, info).error is None
    assert store.get("k") == DATA
    assert sent(server) == sorted({*range(1, COUNT + 1)} - before)
    # Nor is it read again.
    assert gets(origin) == COUNT - len(before)


def test_a_copy_of_what_has_changed_on_the_other_server_is_refused(store: Both, origin: ObjectStoreServer) -> None:
    info = origin.store.head("from")
    origin.store.put("from", OTHER)
    try:
        assert isinstance(copied(store, origin, info).error, PreconditionFailed)
        assert not store.exists("k")
        assert not list(store.uploads())
        assert copied(store, origin, origin.store.head("from")).error is None
        assert store.get("k") == OTHER
    finally:
        origin.store.put("from", DATA)
