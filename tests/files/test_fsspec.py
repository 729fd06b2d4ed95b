"""The file system as programs use it, against a real server."""

from __future__ import annotations

import asyncio
import gc
import io
import multiprocessing
import os
import pickle
import tarfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.callbacks import Callback

from cli.authority import new_authority
from objectstore import InternalError, PreconditionFailed, Unavailable, Unsupported
from objectstore.backends.memory import MemoryBackend
from objectstore.fsspec import ObjectStoreFileSystem
from objectstore.fsspec import files as files_module
from objectstore.testing import Cut, ObjectStoreServer, Received, Refuse, SeenRequest, Sent, serve
from objectstore.values import ListPage, ListQuery

DATA = bytes(range(256)) * 40


def _url(server: ObjectStoreServer, key: str) -> str:
    return f"objectstore://{server.url.removeprefix('http://')}/{key}"


def _asked(server: ObjectStoreServer) -> list[str]:
    return [request.method for request in server.requests]


@pytest.fixture
def counted(server: ObjectStoreServer, fs: ObjectStoreFileSystem, base: str) -> ObjectStoreServer:
    fs.pipe_file(f"{base}/a", DATA)
    server.forget_requests()
    return server


# URLs, instances and where the work is done


def test_a_url_is_all_that_is_needed(server: ObjectStoreServer, base: str) -> None:
    url = _url(server, f"{base}/a.txt")
    with fsspec.open(url, "wb", token=server.token) as file:
        file.write(DATA)
    with fsspec.open(url, "rb", token=server.token) as file:
        assert file.read() == DATA
    fs, path = fsspec.url_to_fs(url, token=server.token)
    assert path == f"{base}/a.txt"
    assert fs.unstrip_protocol(path) == url
    assert fs.unstrip_protocol(url) == url
    fs.close()


def test_the_environment_may_say_the_rest(
    server: ObjectStoreServer, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBJECTSTORE_URL", server.url)
    monkeypatch.setenv("OBJECTSTORE_TOKEN", "wrong")
    refused = fsspec.filesystem("objectstore")
    with pytest.raises(PermissionError):
        refused.ls("")
    monkeypatch.setenv("OBJECTSTORE_TOKEN", server.token)
    with closing(fsspec.filesystem("objectstore")) as fs:
        fs.pipe_file(f"{base}/a", b"1")
        with fsspec.open(f"objectstore:///{base}/a") as file:
            assert file.read() == b"1"
    refused.close()


def test_objectstores_is_for_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = new_authority(tmp_path)
    with serve(certificate=authority.issue(tmp_path, "IP:127.0.0.1")) as secure:
        url = f"objectstores://{secure.url.removeprefix('https://')}/a"
        doubting, path = fsspec.url_to_fs(url, token=secure.token, max_retries=0)
        with pytest.raises(Unavailable, match="certificate"):
            doubting.cat(path)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        trusting, _ = fsspec.url_to_fs(url, token=secure.token)
        trusting.pipe(path, DATA)
        assert trusting.cat(url) == DATA
        assert trusting.unstrip_protocol(path) == url
        with pytest.raises(ValueError, match="another store"):
            trusting.cat(url.replace("objectstores", "objectstore"))
        for one in (doubting, trusting):
            one.close()


def test_one_instance_serves_one_place_and_token(server: ObjectStoreServer) -> None:
    make = ObjectStoreFileSystem
    first = make(server.url, token=server.token)
    assert make(server.url, token=server.token) is first
    assert make(server.url, token="other") is not first
    assert make("http://localhost:1", token=server.token) is not first


def test_a_path_in_another_store_is_refused(fs: ObjectStoreFileSystem) -> None:
    with pytest.raises(ValueError, match="another store"):
        fs.cat("objectstore://elsewhere:1/a")


def test_it_goes_through_pickle(fs: ObjectStoreFileSystem, base: str) -> None:
    fs.pipe_file(f"{base}/a", DATA)
    assert pickle.loads(pickle.dumps(fs)) is fs  # noqa: S301  our own
    with fs.open(f"{base}/a") as file:
        file.seek(100)
        with pickle.loads(pickle.dumps(file)) as again:  # noqa: S301  our own
            assert again.read(10) == DATA[100:110]


def _in_child(fs: ObjectStoreFileSystem, path: str, told: Connection) -> None:
    with fs.open(path) as file:
        told.send(file.read())
    fs.pipe_file(f"{path}-child", b"from the child")
    told.send(fs.cat_file(f"{path}-child"))


def test_a_child_after_a_fork_does_not_hang(fs: ObjectStoreFileSystem, base: str) -> None:
    path = f"{base}/a"
    fs.pipe_file(path, DATA)  # the thread of the loop runs, and has connections open
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_in_child, args=(fs, path, theirs))
    child.start()
    try:
        assert ours.poll(30), "the child hangs"
        assert ours.recv() == DATA
        assert ours.poll(30)
        assert ours.recv() == b"from the child"
        child.join(30)
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()
    assert fs.cat_file(path) == DATA


def test_coroutines_use_it_in_their_own_loop(server: ObjectStoreServer, base: str) -> None:
    async def main() -> list[bytes]:
        fs = ObjectStoreFileSystem(server.url, server.token, asynchronous=True)
        await fs._pipe({f"{base}/{number}": b"%d" % number for number in range(20)})
        found = await fs._cat_ranges([f"{base}/{number}" for number in range(20)], 0, 10)
        with pytest.raises(RuntimeError):
            fs.cat_file(f"{base}/1")
        await fs._close()
        return list(found)

    assert asyncio.run(main()) == [b"%d" % number for number in range(20)]


def test_coroutines_have_files_too(server: ObjectStoreServer, base: str) -> None:
    async def main() -> None:
        fs = ObjectStoreFileSystem(server.url, server.token, asynchronous=True)
        for size in (0, 10, 2500):
            async with await fs.open_async(f"{base}/a", "wb", block_size=1000) as file:
                for at in range(0, size, 500):
                    await file.write(DATA[at : min(at + 500, size)])
                assert file.tell() == size
            async with await fs.open_async(f"{base}/a") as file:
                assert await file.read() == DATA[:size]
                assert file.seek(-5, 2) == size - 5 if size else True
                assert await file.read(3) == DATA[:size][-5:][:3]
        with pytest.raises(_ExpectedError):
            async with await fs.open_async(f"{base}/b", "wb", block_size=1000) as file:
                await _write_and_fail_async(file, bytes(1500))
        assert not await fs._exists(f"{base}/b")
        with pytest.raises(FileExistsError):
            await fs.open_async(f"{base}/a", "xb")
        file = await fs.open_async(f"{base}/c", "xb")
        await fs._pipe_file(f"{base}/c", DATA)
        with pytest.raises(FileExistsError):
            await file.close()
        file = await fs.open_async(f"{base}/c")
        await fs._pipe_file(f"{base}/c", b"")
        with pytest.raises(OSError, match="overwritten"):
            await file.read(1)
        with pytest.raises(IsADirectoryError):
            await fs.open_async(base)
        await fs._close()

    asyncio.run(main())
    assert not [one for one in server.store.uploads() if one.key.startswith(base)]


# Looking


def test_keys_are_what_they_are(fs: ObjectStoreFileSystem, base: str) -> None:
    keys = [f"{base}/{end}" for end in ("a", "a/b", "a//b", "a//c/d", "a/../b", "/x", "s p", "%41", "é#?", "m/")]
    fs.pipe({key: key.encode() for key in keys})
    assert fs.cat(keys) == {key: key.encode() for key in keys}
    assert fs.find(base) == sorted(keys)
    walked = [
        f"{where}/{name}" if not where.endswith("/") else where + name
        for where, _, names in fs.walk(base)
        for name in names
    ]
    assert sorted(walked) == sorted(keys)
    assert fs.ls(f"{base}/a", detail=False) == [f"{base}/a/..", f"{base}/a//", f"{base}/a/b"]
    assert fs.ls(f"{base}/a//", detail=False) == [f"{base}/a//b", f"{base}/a//c"]
    assert fs.find(base, maxdepth=1) == [f"{base}/{end}" for end in ("%41", "a", "s p", "é#?")]
    assert fs.find(base, withdirs=True, detail=True)[f"{base}/a"]["type"] == "file"
    assert fs.isfile(f"{base}/m/")
    assert fs.cat_file(f"{base}/m/") == f"{base}/m/".encode()


def test_what_is_known_of_objects_and_folders(fs: ObjectStoreFileSystem, base: str) -> None:
    fs.pipe_file(f"{base}/d/a", DATA, content_type="text/plain", metadata={"x": "y"})
    info = fs.info(f"{base}/d/a")
    assert (info["name"], info["size"], info["type"]) == (f"{base}/d/a", len(DATA), "file")
    assert (info["content_type"], info["metadata"]) == ("text/plain", {"x": "y"})
    assert fs.checksum(f"{base}/d/a") == int(info["sha256"], 16)
    assert fs.ukey(f"{base}/d/a") == info["etag"]
    for time in (fs.created(f"{base}/d/a"), fs.modified(f"{base}/d/a")):
        assert abs((datetime.now(UTC) - time).total_seconds()) < 3600
    for path in (f"{base}/d", f"{base}/d/", _of(fs, f"{base}/d")):
        assert fs.info(path) == {"name": f"{base}/d", "size": 0, "type": "directory"}
        assert fs.isdir(path)
        assert not fs.isfile(path)
    assert fs.info("")["type"] == "directory"
    with pytest.raises(IsADirectoryError):
        fs.modified(f"{base}/d")
    for path in (f"{base}/none", f"{base}/none/"):
        assert not fs.exists(path)
        for call in (fs.info, fs.ls, fs.cat_file, fs.rm_file, fs.open):
            with pytest.raises(FileNotFoundError):
                call(path)
    with pytest.raises(OSError, match="1024"):
        fs.info("x" * 2000)


def _of(fs: ObjectStoreFileSystem, path: str) -> str:
    return str(fs.unstrip_protocol(path))


def test_trouble_is_never_taken_for_absence(fs: ObjectStoreFileSystem, server: ObjectStoreServer, base: str) -> None:
    with server.disturb(Refuse(500)):
        for call in (fs.exists, fs.isfile, fs.isdir, fs.ls, fs.find):
            with pytest.raises(InternalError):
                call(base)
    with closing(ObjectStoreFileSystem(server.url, server.add_token(prefixes=("nothing/",)))) as other:
        for call in (other.exists, other.isfile, other.isdir):
            with pytest.raises(PermissionError):
                call(base)


def test_a_store_that_cannot_list_has_no_folders() -> None:
    class Unlisted(MemoryBackend):
        async def list(self, query: ListQuery) -> ListPage:
            raise Unsupported(f"this store cannot list {query.prefix!r}")

    with serve(backend=Unlisted()) as server, closing(ObjectStoreFileSystem(server.url, server.token)) as fs:
        fs.pipe_file("d/a", DATA)
        assert fs.cat_file("d/a") == DATA
        assert (fs.exists("d/a"), fs.exists("d/b"), fs.isdir("d")) == (True, False, False)
        with pytest.raises(NotImplementedError):
            fs.ls("d")


def test_what_a_token_may_not_do_is_a_permission_error(server: ObjectStoreServer, base: str) -> None:
    server.store.put(f"{base}/a", DATA)
    with closing(ObjectStoreFileSystem(server.url, server.add_token(scopes=("read",)))) as reading:
        assert reading.cat_file(f"{base}/a") == DATA
        refused: list[Callable[[], object]] = [
            lambda: reading.pipe_file(f"{base}/a", b""),
            lambda: reading.rm(f"{base}/a"),
            lambda: reading.rm_file(f"{base}/a"),
            lambda: reading.cp_file(f"{base}/a", f"{base}/b"),
            lambda: reading.open(f"{base}/a", "wb").close(),
        ]
        for call in refused:
            with pytest.raises(PermissionError):
                call()


def test_listings_are_not_kept_unless_asked_for(
    fs: ObjectStoreFileSystem, server: ObjectStoreServer, base: str
) -> None:
    fs.pipe_file(f"{base}/d/a", b"")
    assert fs.ls(base, detail=False) == [f"{base}/d"]
    server.store.put(f"{base}/b", b"")  # by somebody else
    assert fs.ls(base, detail=False) == [f"{base}/b", f"{base}/d"]
    with closing(ObjectStoreFileSystem(server.url, server.token, use_listings_cache=True)) as keeping:
        assert len(keeping.ls(base)) == 2
        server.store.put(f"{base}/c", b"")
        assert len(keeping.ls(base)) == 2
        assert len(keeping.ls(base, refresh=True)) == 3
        assert len(keeping.ls(f"{base}/d")) == 1
        keeping.pipe({f"{base}/d/": b"", f"{base}/d/e": b""})  # by itself
        assert keeping.ls(f"{base}/d", detail=False) == [f"{base}/d/{name}" for name in ("", "a", "e")]
        keeping.rm(f"{base}/c")
        assert keeping.ls(base, detail=False) == [f"{base}/b", f"{base}/d"]


def test_a_tree_is_found_with_one_listing(fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str) -> None:
    fs.pipe({f"{base}/{name}": b"12" for name in ("b/c", "b/d/e", "b/d/f")})
    counted.forget_requests()
    assert fs.find(base) == [f"{base}/{name}" for name in ("a", "b/c", "b/d/e", "b/d/f")]
    assert fs.find(base, withdirs=True) == [
        f"{base}{name}" for name in ("", "/a", "/b", "/b/c", "/b/d", "/b/d/e", "/b/d/f")
    ]
    assert fs.du(base) == len(DATA) + 6
    assert fs.du(f"{base}/b", total=False) == {f"{base}/b/{name}": 2 for name in ("c", "d/e", "d/f")}
    assert _asked(counted) == ["GET"] * 4
    assert fs.find(base, maxdepth=2) == [f"{base}/a", f"{base}/b/c"]
    assert fs.find(f"{base}/a") == [f"{base}/a"]
    assert fs.glob(f"{base}/b/*") == [f"{base}/b/c", f"{base}/b/d"]
    assert fs.glob(f"{base}/b/*/") == [f"{base}/b/d"]
    assert fs.glob(f"{base}/**/f") == [f"{base}/b/d/f"]
    with pytest.raises(ValueError, match="maxdepth"):
        fs.find(base, maxdepth=0)


def test_requests_are_few(fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str) -> None:
    def costs(call: Any) -> list[str]:
        counted.forget_requests()
        call()
        return _asked(counted)

    path = f"{base}/a"
    assert costs(lambda: fs.cat_file(path)) == ["GET"]
    assert costs(lambda: fs.cat_file(path, -5)) == ["GET"]
    assert costs(lambda: fs.exists(path)) == ["HEAD"]
    assert costs(lambda: fs.exists(f"{path}/none")) == ["HEAD", "GET"]
    assert costs(lambda: fs.pipe_file(path, DATA)) == ["PUT"]
    assert costs(lambda: fs.cp_file(path, f"{path}2")) == ["PUT"]
    assert costs(lambda: fs.rm([path, f"{path}2"])) == ["POST"]
    assert costs(lambda: fs.open(path, "wb").close()) == ["PUT"]
    assert costs(lambda: fs.open(path, "rb").close()) == ["HEAD"]


# Reading


@pytest.mark.parametrize("start", [None, 0, 3, -4, 10239, 10240, 20000, -20000])
@pytest.mark.parametrize("end", [None, 0, 2, 5, -3, 20000, -20000])
def test_a_part_is_that_of_a_slice(
    fs: ObjectStoreFileSystem, counted: ObjectStoreServer, start: int | None, end: int | None
) -> None:
    if not fs.exists("sliced"):
        fs.pipe_file("sliced", DATA)
    counted.forget_requests()
    assert fs.cat_file("sliced", start, end) == DATA[start:end]
    assert len(counted.requests) <= 2


def test_parts_come_together_when_they_are_near(
    fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str
) -> None:
    large = os.urandom(400_000)
    fs.pipe({f"{base}/b": large, f"{base}/empty": b""})
    counted.forget_requests()
    paths = [f"{base}/{name}" for name in ("b", "b", "b", "a", "a", "none", "b", "empty")]
    starts = [0, 300_000, 100, 5, None, 0, -7, 0]
    ends = [10, 300_010, 5000, 10, 3, 4, None, 9]
    found = fs.cat_ranges(paths, starts, ends)
    missing = found.pop(5)
    assert isinstance(missing, FileNotFoundError)
    assert found == [large[0:10], large[300_000:300_010], large[100:5000], DATA[5:10], DATA[:3], large[-7:], b""]
    assert len(_asked(counted)) == 6
    counted.forget_requests()
    assert fs.cat_ranges([f"{base}/b"] * 2, [0, 100], [10, 110], max_gap=10) == [large[:10], large[100:110]]
    assert len(_asked(counted)) == 2
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{base}/none"], 0, 1, on_error="raise")
    with pytest.raises(ValueError, match="lengths"):
        fs.cat_ranges([f"{base}/b"], [0, 1], 1)


def test_a_file_is_read_in_any_order(fs: ObjectStoreFileSystem, base: str) -> None:
    fs.pipe_file(f"{base}/a", DATA)
    with fs.open(f"{base}/a", block_size=1000) as file:
        file.seek(-10, 2)
        assert file.read() == DATA[-10:]
        file.seek(2000)
        assert file.read(3000) == DATA[2000:5000]
        assert file.seek(0) == 0
        assert file.read() == DATA
    with fs.open(f"{base}/a", "rb", cache_type="none") as file:
        assert io.BufferedReader(file).read(5) == DATA[:5]
    with pytest.raises(IsADirectoryError):
        fs.open(base)


def test_what_is_overwritten_while_it_is_read_is_not_mixed(fs: ObjectStoreFileSystem, base: str) -> None:
    fs.pipe_file(f"{base}/a", DATA)
    with fs.open(f"{base}/a", block_size=100, cache_type="none") as file:
        assert file.read(10) == DATA[:10]
        fs.pipe_file(f"{base}/a", DATA[::-1])
        with pytest.raises(OSError, match="overwritten"):
            file.read(10)


def test_a_download_that_is_cut_is_taken_up_again_or_fails(
    fs: ObjectStoreFileSystem, server: ObjectStoreServer, base: str, tmp_path: Path
) -> None:
    large = os.urandom(3_000_000)
    fs.pipe_file(f"{base}/a", large)
    server.disturb(Cut(Sent(1_000_000)), method="GET", times=2)
    fs.get_file(f"{base}/a", str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == large
    server.disturb(Cut(Sent(1_000_000)), method="GET", times=1)
    assert fs.cat_file(f"{base}/a") == large
    with server.disturb(Cut(Sent(0)), method="GET"):
        with pytest.raises(Unavailable):
            fs.get_file(f"{base}/a", str(tmp_path / "b"))
        with pytest.raises(Unavailable):
            fs.cat_file(f"{base}/a")
        with fs.open(f"{base}/a") as file, pytest.raises(Unavailable):
            file.read()
    assert not (tmp_path / "b").exists()
    fs.get_file(f"{base}/a", str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == large


def test_progress_is_told(fs: ObjectStoreFileSystem, base: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    up, down = Callback(), Callback()
    fs.put_file(str(tmp_path / "a"), f"{base}/a", callback=up)
    fs.get_file(f"{base}/a", str(tmp_path / "b"), callback=down)
    assert (up.size, up.value, down.size, down.value) == (len(DATA),) * 4
    into = io.BytesIO()
    fs.get_file(f"{base}/a", into)
    assert into.getvalue() == DATA


def test_a_tree_goes_down_unless_two_keys_would_become_one_file(
    fs: ObjectStoreFileSystem, base: str, tmp_path: Path
) -> None:
    fs.pipe({f"{base}/t/{name}": name.encode() for name in ("a", "b/c", "marker/")} | {f"{base}/t/marker/": b""})
    fs.get(f"{base}/t", str(tmp_path / "t"), recursive=True)
    assert (tmp_path / "t" / "b" / "c").read_bytes() == b"b/c"
    assert (tmp_path / "t" / "marker").is_dir()
    for key in ("b//c", "b/./c", "../outside"):
        fs.pipe_file(f"{base}/u/{key}", b"")
        with pytest.raises((ValueError, OSError)):
            fs.get(f"{base}/u", str(tmp_path / "u"), recursive=True)
        fs.rm_file(f"{base}/u/{key}")
    assert not (tmp_path / "outside").exists()
    fs.pipe_file(f"{base}/u//odd", DATA)
    fs.get_file(f"{base}/u//odd", str(tmp_path / "named"))
    assert (tmp_path / "named").read_bytes() == DATA


# Writing


def test_what_is_written_appears_on_close(fs: ObjectStoreFileSystem, base: str) -> None:
    path = f"{base}/a"
    with fs.open(path, "wb") as file:
        file.write(b"1")
        file.flush()
        assert not fs.exists(path)
    assert fs.cat_file(path) == b"1"


@pytest.mark.parametrize("size", [0, 999, 1000, 2500, 10_000])
def test_what_is_large_goes_in_parts(
    fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str, size: int
) -> None:
    data = os.urandom(size)
    counted.forget_requests()
    with fs.open(f"{base}/w", "wb", block_size=1000, content_type="text/plain") as file:
        for at in range(0, size, 300):
            file.write(data[at : at + 300])
        assert file.tell() == size
    parts = [one for one in counted.requests if "/parts/" in one.target]
    assert bool(parts) == (size >= 1000)
    assert fs.cat_file(f"{base}/w") == data
    assert fs.info(f"{base}/w")["content_type"] == "text/plain"


def test_parts_grow_so_that_any_size_fits(
    fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "_GROWTH", 3)
    monkeypatch.setattr(files_module, "PART_SIZE", 1000)
    counted.forget_requests()
    data = os.urandom(20_000)
    with fs.open(f"{base}/w", "wb", block_size=1000) as file:
        for at in range(0, len(data), 500):
            file.write(data[at : at + 500])
    assert fs.cat_file(f"{base}/w") == data
    assert len([one for one in counted.requests if "/parts/" in one.target]) < 12


class _ExpectedError(Exception):
    pass


def _write_and_fail(file: Any, data: Any) -> None:
    file.write(data)
    raise _ExpectedError


async def _write_and_fail_async(file: Any, data: Any) -> None:
    await file.write(data)
    raise _ExpectedError


@pytest.mark.parametrize("size", [10, 5000])
@pytest.mark.parametrize("way", ["binary", "text", "gzip", "open", "open text", "open gzip"])
def test_an_error_stores_nothing(
    fs: ObjectStoreFileSystem, server: ObjectStoreServer, base: str, way: str, size: int
) -> None:
    path = f"{base}/a"
    url, options = _url(server, path), {"token": server.token, "retry_delay": 0.01}
    opened: dict[str, Any] = {
        "binary": lambda: fs.open(path, "wb", block_size=1000),
        "text": lambda: fs.open(path, "w", block_size=1000),
        "gzip": lambda: fs.open(path, "wb", compression="gzip"),
        "open": lambda: fsspec.open(url, "wb", **options),
        "open text": lambda: fsspec.open(url, "wt", **options),
        "open gzip": lambda: fsspec.open(url, "wb", compression="gzip", **options),
    }
    data: Any = "x" * size if "text" in way else b"x" * size

    with pytest.raises(_ExpectedError), opened[way]() as file:
        _write_and_fail(file, data)
    gc.collect()  # what a codec holds back is not written then, either
    assert not fs.exists(path)
    assert not [one for one in server.store.uploads() if one.key == path]
    with opened[way]() as file:
        file.write(data)
    assert fs.exists(path)
    fs.rm(path)


def test_an_error_of_what_closes_the_file_stores_nothing(fs: ObjectStoreFileSystem, base: str) -> None:
    class Report:
        """Tells of the error in a file that it opens when there is one."""

        def __enter__(self) -> None:
            self.file = fs.open(f"{base}/closed", "wb")

        def __exit__(self, *error: object) -> None:
            self.file.close()
            with fs.open(f"{base}/report", "w") as report:
                report.write(str(error[0]))

    @contextmanager
    def opened() -> Iterator[Any]:
        file = fs.open(f"{base}/generated", "wb")
        try:
            yield file
        finally:
            file.close()

    with pytest.raises(_ExpectedError), Report(), opened() as file:
        _write_and_fail(file, b"1")
    assert fs.find(base) == [f"{base}/report"]
    with Report(), opened():
        pass
    handled = fs.open(f"{base}/handled", "wb")
    try:
        _write_and_fail(handled, b"1")
    except _ExpectedError:
        handled.close()
    assert fs.find(base) == [f"{base}/{name}" for name in ("closed", "generated", "handled", "report")]


def test_a_file_that_is_never_closed_stores_nothing(fs: ObjectStoreFileSystem, base: str) -> None:
    file = fs.open(f"{base}/a", "wb")
    file.write(b"1")
    with pytest.warns(ResourceWarning, match="never closed"):
        del file
    assert not fs.exists(f"{base}/a")


def test_a_part_that_cannot_be_sent_fails_the_file(
    fs: ObjectStoreFileSystem, server: ObjectStoreServer, base: str
) -> None:
    with (
        server.disturb(Cut(Received(1)), path="/uploads/", method="PUT"),
        pytest.raises(Unavailable),
        fs.open(f"{base}/a", "wb", block_size=1000) as file,
    ):
        file.write(bytes(20_000))
    assert not fs.exists(f"{base}/a")
    server.disturb(Cut(Received(1)), path="/uploads/", method="PUT", times=2)
    with fs.open(f"{base}/a", "wb", block_size=1000) as file:
        for _ in range(20):
            file.write(bytes(1000))
    assert fs.cat_file(f"{base}/a") == bytes(20_000)


def test_creating_is_exclusive(fs: ObjectStoreFileSystem, base: str, tmp_path: Path) -> None:
    path = f"{base}/a"
    (tmp_path / "a").write_bytes(b"file")
    with fs.open(path, "xb") as file:
        file.write(b"first")
        fs.pipe_file(path, b"second", mode="create")
        with pytest.raises(FileExistsError):
            file.close()
    again: list[Callable[[], object]] = [
        lambda: fs.pipe_file(path, b"", mode="create"),
        lambda: fs.put_file(str(tmp_path / "a"), path, mode="create"),
        lambda: fs.open(path, "xb"),
        lambda: fs.open(path, "x"),
    ]
    for call in again:
        with pytest.raises(FileExistsError):
            call()
    assert fs.cat_file(path) == b"second"
    with pytest.raises(ValueError, match="mode"):
        fs.pipe_file(path, b"", mode="append")


def test_appending_writes_anew_what_is_there(fs: ObjectStoreFileSystem, base: str) -> None:
    path = f"{base}/a"
    for _ in range(2):
        with fs.open(path, "ab") as file:
            file.write(b"12")
    with fs.open(path, "a") as text:
        text.write("34")
    assert fs.cat_file(path) == b"121234"
    file = fs.open(path, "ab")
    file.write(b"56")
    fs.pipe_file(path, b"changed")
    with pytest.raises(PreconditionFailed):
        file.close()
    assert fs.cat_file(path) == b"changed"


def test_text_and_compression_come_back(fs: ObjectStoreFileSystem, base: str) -> None:
    for compression in (None, "gzip", "bz2", "infer"):
        with fs.open(f"{base}/a.gz", "w", compression=compression, encoding="utf-8", newline="\n") as file:
            file.write("Grüße\n" * 1000)
        with fs.open(f"{base}/a.gz", "r", compression=compression, encoding="utf-8") as file:
            assert file.readlines() == ["Grüße\n"] * 1000
        assert (fs.size(f"{base}/a.gz") < 7000) == bool(compression)


def test_a_transaction_appears_at_its_end_or_not_at_all(
    fs: ObjectStoreFileSystem, server: ObjectStoreServer, base: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(DATA)

    def write() -> None:
        with fs.open(f"{base}/opened", "wb") as file:
            file.write(b"1")
        fs.pipe_file(f"{base}/piped", b"2")
        fs.put_file(str(tmp_path / "file"), f"{base}/put")
        assert fs.find(base) == []

    def write_and_fail() -> None:
        write()
        raise _ExpectedError

    with fs.transaction:
        write()
    assert fs.cat(base, recursive=True) == {f"{base}/opened": b"1", f"{base}/piped": b"2", f"{base}/put": DATA}
    fs.rm(base, recursive=True)
    with pytest.raises(_ExpectedError), fs.transaction:
        write_and_fail()
    assert fs.find(base) == []
    assert not [one for one in server.store.uploads() if one.key.startswith(base)]
    fs.pipe_file(f"{base}/after", b"3")
    assert fs.exists(f"{base}/after")


def test_a_copy_stays_on_the_server_and_a_move_is_one(
    fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str
) -> None:
    fs.cp_file(f"{base}/a", f"{base}/b")
    assert _asked(counted) == ["PUT"]
    fs.mv(f"{base}/b", f"{base}/c")
    assert fs.find(base) == [f"{base}/a", f"{base}/c"]
    with pytest.raises(FileNotFoundError):
        fs.cp_file(f"{base}/none", f"{base}/d")
    with pytest.raises(FileExistsError):
        fs.cp_file(f"{base}/a", f"{base}/c", mode="create")


def test_removing_is_done_in_batches(fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str) -> None:
    fs.pipe({f"{base}/d/{number}": b"" for number in range(50)})
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{base}/d")
    counted.forget_requests()
    fs.rm(f"{base}/d", recursive=True)
    assert len(counted.requests) <= 5
    assert not fs.exists(f"{base}/d")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{base}/d/1")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{base}/d", recursive=True)
    assert fs.exists(f"{base}/a")


def test_a_signed_url_needs_no_token(fs: ObjectStoreFileSystem, base: str) -> None:
    fs.pipe_file(f"{base}/a b", DATA)
    with urllib.request.urlopen(fs.sign(f"{base}/a b", expiration=60)) as answer:  # noqa: S310  ours
        assert answer.read() == DATA


# Users of the standard library


def test_archives_are_written_and_read_over_the_wire(
    fs: ObjectStoreFileSystem, counted: ObjectStoreServer, base: str
) -> None:
    with fs.open(f"{base}/a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one.txt", DATA)
        archive.writestr("two.txt", os.urandom(2_000_000))
    counted.forget_requests()
    with fs.open(f"{base}/a.zip", block_size=50_000) as file, zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["one.txt", "two.txt"]
        assert archive.read("one.txt") == DATA
    assert all(isinstance(one, SeenRequest) for one in counted.requests)
    assert len(counted.requests) <= 5
    with fs.open(f"{base}/a.tar.gz", "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        member = tarfile.TarInfo("one.txt")
        member.size = len(DATA)
        tar.addfile(member, io.BytesIO(DATA))
    with fs.open(f"{base}/a.tar.gz") as file, tarfile.open(fileobj=file) as tar:
        extracted = tar.extractfile("one.txt")
        assert extracted is not None
        assert extracted.read() == DATA
    with fsspec.open(f"zip://one.txt::{_url(counted, f'{base}/a.zip')}", objectstore={"token": counted.token}) as inner:
        assert inner.read() == DATA


@pytest.fixture(autouse=True)
def _no_transaction_is_left(fs: ObjectStoreFileSystem) -> Iterator[None]:
    yield
    assert not fs._intrans
