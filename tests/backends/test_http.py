"""HttpStore on a real nginx."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from backends.flat_memory import SIZE, assert_get_is_flat
from backends.nginx_server import Nginx, running_nginx
from objectstore.backends.contract import Backend
from objectstore.backends.http import HttpBackend
from objectstore.backends.reading import read_all
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    Forbidden,
    InvalidKey,
    MethodNotAllowed,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    RateLimited,
    Unavailable,
    Unsupported,
)
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.suite.harness import LARGE, read, sample
from objectstore.values import Bounded, Conditions, From, GetOptions, Last


@pytest.fixture(scope="module")
def running() -> Iterator[Nginx]:
    with running_nginx() as started:
        yield started


@pytest.fixture
def nginx(running: Nginx) -> Nginx:
    """With nothing in it."""
    for entry in running.files.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return running


def on(backend: HttpBackend, scenario: Callable[[Backend], Awaitable[None]]) -> None:
    async def run() -> None:
        async with backend:
            await scenario(backend)

    asyncio.run(run())


class TestConformance(BackendConformance):
    @pytest.fixture(autouse=True)
    def served(self, nginx: Nginx) -> None:
        self.nginx = nginx

    def backend(self, folder: Path) -> HttpBackend:
        del folder  # each test has the server for itself
        return HttpBackend(self.nginx.url)

    def stocked(self, folder: Path, objects: Mapping[str, bytes]) -> HttpBackend:
        for key, data in objects.items():
            file = self.nginx.files / key.strip("/")
            with suppress(OSError):  # of `a` and `a/b` one
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        return self.backend(folder)


class TestAnswers:
    def test_the_type_and_the_time_are_those_of_the_server(self, nginx: Nginx) -> None:
        (nginx.files / "a b").mkdir()
        file = nginx.files / "a b" / "é.txt"
        file.write_bytes(b"text")

        async def scenario(backend: Backend) -> None:
            info = await backend.head("a b/é.txt")
            assert (info.size, info.attributes.content_type) == (4, "text/plain")
            assert int(info.modified.timestamp()) == int(file.stat().st_mtime)
            assert info.digests == {}

        on(HttpBackend(nginx.url), scenario)

    @pytest.mark.parametrize("place", ["", "plain/", "bare/"])
    def test_servers_without_ranges_or_etags_are_made_up_for(self, nginx: Nginx, place: str) -> None:
        (nginx.files / "key").write_bytes(sample(LARGE))

        async def scenario(backend: Backend) -> None:
            assert await read(backend, "key", Bounded(1000, LARGE - 7)) == sample(LARGE)[1000:-7]
            assert await read(backend, "key", Last(5)) == sample(LARGE)[-5:]
            info = await backend.head("key")
            with pytest.raises(PreconditionFailed):
                await read(backend, "key", None, Conditions(if_match=("other",)))
            if place == "bare/":
                # Nothing tells versions apart, so nothing is taken for current.
                with pytest.raises(PreconditionFailed):
                    await read(backend, "key", None, Conditions(if_match=(info.etag,)))
                return
            assert await read(backend, "key", From(LARGE - 3), Conditions(if_match=(info.etag,))) == sample(LARGE)[-3:]
            with pytest.raises(NotModified):
                await read(backend, "key", None, Conditions(if_none_match=(info.etag,)))

        on(HttpBackend(nginx.url + place), scenario)

    @pytest.mark.parametrize(
        ("key", "error"),
        [
            ("busy/x", Unavailable),
            ("limited/x", RateLimited),
            ("guarded/x", Forbidden),
            ("folder/", Forbidden),
            ("round/x", Unsupported),
            ("out/x", Unsupported),
            ("moved/absent", NotFound),
        ],
    )
    def test_a_refusal_says_what_it_means(self, nginx: Nginx, key: str, error: type[ObjectStoreError]) -> None:
        (nginx.files / "folder").mkdir()

        async def scenario(backend: Backend) -> None:
            for look in (backend.head(key), read(backend, key)):
                with pytest.raises(error) as raised:
                    await look
                if isinstance(raised.value, Unavailable):
                    assert raised.value.retry_after == 7

        on(HttpBackend(nginx.url), scenario)

    def test_redirects_are_followed_unless_they_are_not_to_be(self, nginx: Nginx) -> None:
        (nginx.files / "key").write_bytes(b"here")

        async def followed(backend: Backend) -> None:
            assert await read(backend, "moved/key") == b"here"
            assert (await backend.head("moved/key")).key == "moved/key"

        async def refused(backend: Backend) -> None:
            with pytest.raises(Unsupported, match="redirects"):
                await read(backend, "moved/key")

        on(HttpBackend(nginx.url), followed)
        on(HttpBackend(nginx.url, follow_redirects=False), refused)


def test_large_bodies_are_not_held(nginx: Nginx) -> None:
    with (nginx.files / "key").open("wb") as file:
        file.truncate(SIZE)

    async def scenario(backend: Backend) -> None:
        await assert_get_is_flat(backend, "key")

    on(HttpBackend(nginx.url), scenario)


class TestKeys:
    def test_without_a_base_keys_are_urls(self, nginx: Nginx) -> None:
        (nginx.files / "a b").write_bytes(b"here")

        async def scenario(backend: Backend) -> None:
            url = nginx.url + "a%20b"
            assert await read(backend, url) == b"here"
            assert (await backend.head(url)).key == url
            await backend.check()
            for key in (
                "a",
                "file:///etc/passwd",
                "ftp://127.0.0.1/x",
                "http:///x",
                "http://h:x/",
                "http://u:p@h/",
                "//h/x",
            ):
                with pytest.raises(InvalidKey):
                    await backend.head(key)

        on(HttpBackend(), scenario)

    @pytest.mark.parametrize("key", ["..", "../secret", "a/../../secret", "./a", "a/..", "..\\secret", "a/./b"])
    def test_no_key_leads_out_of_the_base(self, nginx: Nginx, key: str) -> None:
        (nginx.files / "in").mkdir()
        (nginx.files / "secret").write_bytes(b"hush")

        async def scenario(backend: Backend) -> None:
            with pytest.raises(InvalidKey):
                await read(backend, key)

        on(HttpBackend(nginx.url + "in"), scenario)

    @pytest.mark.parametrize("key", ["%2e%2e/secret", "http://127.0.0.1/x", "/secret", "?secret", "#"])
    def test_a_key_is_a_path_and_nothing_else(self, nginx: Nginx, key: str) -> None:
        (nginx.files / "in").mkdir()
        (nginx.files / "secret").write_bytes(b"hush")

        async def scenario(backend: Backend) -> None:
            with pytest.raises(NotFound):
                await read(backend, key)

        on(HttpBackend(nginx.url + "in"), scenario)


def test_a_refused_write_names_the_methods_there_are(nginx: Nginx) -> None:
    async def scenario(backend: Backend) -> None:
        with pytest.raises(MethodNotAllowed) as raised:
            await backend.put("key", b"1")
        assert raised.value.allowed == ("GET", "HEAD")

    on(HttpBackend(nginx.url), scenario)


@contextmanager
def saying(words: bytes) -> Iterator[str]:
    """The address of a server that says these words to every request but HEAD, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        asked = connection.recv(10_000)
                        connection.sendall(
                            b"HTTP/1.1 405 No\r\nConnection: close\r\n\r\n" if asked.startswith(b"HEAD") else words
                        )
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_body_that_is_cut_short_is_not_given_out_as_whole() -> None:
    async def scenario(backend: Backend) -> None:
        async with backend.get("key") as reading:
            assert reading.stop == 10
            with pytest.raises((Unavailable, Corrupted)):
                await read_all(reading)

    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345") as url:
        on(HttpBackend(url), scenario)


def test_other_bytes_than_asked_for_are_not_given_out() -> None:
    async def scenario(backend: Backend) -> None:
        with pytest.raises(Corrupted):
            await read(backend, "key", Bounded(0, 5))

    with saying(b"HTTP/1.1 206 OK\r\nContent-Length: 5\r\nContent-Range: bytes 1-5/9\r\n\r\n12345") as url:
        on(HttpBackend(url), scenario)


def test_a_body_of_untold_length_is_taken_in_first() -> None:
    async def scenario(backend: Backend) -> None:
        info = await backend.head("key")
        assert info.size == 5
        async with backend.get("key", GetOptions(range=Last(2))) as reading:
            assert (reading.start, reading.stop, await read_all(reading)) == (3, 5, b"45")

    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n"
    for words in (chunks, b"HTTP/1.1 200 OK\r\n\r\n12345"):
        with saying(words) as url:
            on(HttpBackend(url), scenario)


def test_what_is_no_http_is_unavailable() -> None:
    async def scenario(backend: Backend) -> None:
        with pytest.raises(Unavailable):
            await read(backend, "key")

    with saying(b"-ERR unknown command\r\n") as url:
        on(HttpBackend(url), scenario)


def test_a_server_that_is_away_is_told_at_the_start_and_in_between() -> None:
    async def nothing(_: Backend) -> None:
        pass

    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://user:hush@127.0.0.1:{closed.getsockname()[1]}/"
    with pytest.raises(ConfigurationError, match=r"base_url: cannot connect to 127\.0\.0\.1") as raised:
        on(HttpBackend(url), nothing)
    assert "hush" not in str(raised.value)

    async def scenario(backend: Backend) -> None:
        with pytest.raises(Unavailable):
            await backend.head(url.replace("user:hush@", ""))

    on(HttpBackend(), scenario)


@pytest.mark.parametrize(
    "base", ["", "host", "ftp://host/", "http://", "http://host/?q", "http://host/#f", "http://h:x/"]
)
def test_a_base_of_another_kind_is_refused(base: str) -> None:
    async def nothing(_: Backend) -> None:
        pass

    with pytest.raises(ConfigurationError, match="base_url"):
        on(HttpBackend(base), nothing)
