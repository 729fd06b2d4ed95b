"""MediaStore on a small mediastore service."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backends.mediastore_app import BASE64, SIGNED, Mediastore, running_mediastore
from objectstore.backends.contract import Backend
from objectstore.backends.mediastore import MediaBackend
from objectstore.backends.mediastore.records import MEMBER
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InternalError,
    InvalidKey,
    MethodNotAllowed,
    NotFound,
    Unavailable,
)
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.suite.harness import LARGE, keys, read, sample
from objectstore.testing.suite.objects import CopyTests, DigestTests
from objectstore.testing.suite.ranges import RangeTests
from objectstore.values import Attributes, Bounded, ListQuery, ObjectInfo, PutOptions


@pytest.fixture(scope="module")
def running() -> Iterator[Mediastore]:
    with running_mediastore() as started:
        yield started


@pytest.fixture
def service(running: Mediastore) -> Mediastore:
    """With nothing in it."""
    running.clear()
    return running


def on(backend: MediaBackend, scenario: Callable[[Backend], Awaitable[None]]) -> None:
    async def run() -> None:
        async with backend:
            await scenario(backend)

    asyncio.run(run())


async def nothing(_: Backend) -> None:
    pass


class TestConformance(BackendConformance):
    # Thousands of requests one by one would show nothing more here than tens.
    test_pages_walk_a_store_of_more_than_a_page = None  # type: ignore[assignment]
    test_delete_many_takes_a_thousand_keys = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True)
    def fresh(self, service: Mediastore) -> None:
        self.service = service

    def backend(self, folder: Path) -> MediaBackend:
        return MediaBackend(self.service.url, token=self.service.token, staging=folder / "parts")


class TestSigned(RangeTests, CopyTests, DigestTests):
    """Bytes that go to a place beside the service, and come from there."""

    @pytest.fixture(autouse=True)
    def fresh(self, service: Mediastore) -> None:
        self.service = service

    def backend(self, folder: Path) -> MediaBackend:
        parts = folder / "parts"
        return MediaBackend(self.service.url, token=self.service.token, store_config=SIGNED, staging=parts)


@pytest.mark.parametrize("store", [BASE64, SIGNED], ids=["base64", "signed"])
class TestOtherPrograms:
    def test_their_media_are_objects(self, service: Mediastore, store: dict[str, Any]) -> None:
        service.add("é", sample(LARGE), store)
        service.add("a", b"", store)

        async def scenario(backend: Backend) -> None:
            assert await keys(backend) == ["a", "é"]
            assert await read(backend, "é") == sample(LARGE)
            assert await read(backend, "é", Bounded(10, 20)) == sample(LARGE)[10:20]
            info = await backend.head("é")
            assert (info.size, info.attributes.metadata) == (LARGE, {})
            assert [one.size for one in (await backend.list(ListQuery(details=True))).objects] == [0, LARGE]
            await backend.delete("a")
            assert "a" not in service.media

        on(MediaBackend(service.url, token=service.token), scenario)

    def test_ours_are_as_the_service_has_them(self, service: Mediastore, store: dict[str, Any]) -> None:
        async def scenario(backend: Backend) -> None:
            await backend.put("key", b"bytes", PutOptions(attributes=Attributes(content_type="text/plain")))

        on(MediaBackend(service.url, token=service.token, store_config=store, pid_type="IFCB"), scenario)
        medium = service.media["key"]
        assert (medium["pid_type"], medium["store_config"]) == ("IFCB", store)
        assert medium["metadata"][MEMBER]["attributes"]["content_type"] == "text/plain"
        assert service.content[medium["store_key"]] == b"bytes"

    def test_bytes_that_they_replace_have_no_stale_record(self, service: Mediastore, store: dict[str, Any]) -> None:
        async def scenario(backend: Backend) -> None:
            old = await backend.put("key", b"bytes", PutOptions(attributes=Attributes(content_type="text/plain")))
            service.content[service.media["key"]["store_key"]] = b"others!"
            async with backend.get("key") as reading:
                assert reading.info.etag != old.etag
                assert (reading.stop, reading.info.attributes.content_type) == (7, None)

        on(MediaBackend(service.url, token=service.token, store_config=store), scenario)


def test_signed_bytes_of_one_size_that_they_replace_are_not_given_out_as_whole(service: Mediastore) -> None:
    async def scenario(backend: Backend) -> None:
        await backend.put("key", b"bytes")
        service.content[service.media["key"]["store_key"]] = b"other"
        with pytest.raises(Corrupted):
            await read(backend, "key")

    on(MediaBackend(service.url, token=service.token, store_config=SIGNED), scenario)


def test_many_are_deleted_each_in_its_place(service: Mediastore) -> None:
    async def scenario(backend: Backend) -> None:
        for number in range(20):
            await backend.put(f"k{number}", b"")
        outcomes = await backend.delete_many([*(f"k{number}" for number in range(0, 40, 2)), "k0", "no"])
        assert [one is None for one in outcomes] == [True] * 10 + [False] * 12
        assert len(await keys(backend)) == 10

    on(MediaBackend(service.url, token=service.token), scenario)


@pytest.mark.parametrize("store", [BASE64, SIGNED], ids=["base64", "signed"])
def test_of_many_making_a_key_one_wins(service: Mediastore, store: dict[str, Any]) -> None:
    async def scenario(backend: Backend) -> None:
        outcomes = await asyncio.gather(*(backend.put("key", b"%d" % n) for n in range(8)), return_exceptions=True)
        [info] = [one for one in outcomes if isinstance(one, ObjectInfo)]
        assert {type(one) for one in outcomes if one is not info} == {MethodNotAllowed}
        assert await read(backend, "key") == b"%d" % outcomes.index(info)

    on(MediaBackend(service.url, token=service.token, store_config=store), scenario)


def test_parts_wait_in_a_folder_of_this_user(
    service: Mediastore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def scenario(backend: Backend) -> None:
        upload = await backend.uploads.begin("key", PutOptions())
        part = await backend.uploads.put_part(upload.upload_id, 1, b"part", PutOptions())
        await backend.uploads.complete(upload.upload_id, [(1, part.etag)])
        assert await read(backend, "key") == b"part"
        assert list(service.media) == ["key"]

    on(MediaBackend(service.url, token=service.token), scenario)
    [folder] = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_for_parts_that_another_user_made_is_refused(
    service: Mediastore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    on(MediaBackend(service.url, token=service.token), nothing)
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    [folder] = tmp_path.iterdir()
    folder.rename(
        folder.with_name(folder.name.replace(f"-{tmp_path.stat().st_uid}-", f"-{tmp_path.stat().st_uid + 1}-"))
    )
    with pytest.raises(ConfigurationError, match="another user"):
        on(MediaBackend(service.url, token=service.token), nothing)


@pytest.mark.parametrize(("status", "error"), [(403, InternalError), (503, Unavailable)])
def test_a_medium_whose_bytes_cannot_be_sent_is_not_left(
    service: Mediastore, status: int, error: type[Exception]
) -> None:
    async def scenario(backend: Backend) -> None:
        service.failing["/bucket"] = status
        with pytest.raises(error):
            await backend.put("key", b"1")
        assert service.media == {}

    on(MediaBackend(service.url, token=service.token, store_config=SIGNED), scenario)


@pytest.mark.parametrize("key", ["dump", "search", ".", "..", "urls"])
def test_a_key_that_means_something_else_there_is_refused(service: Mediastore, key: str) -> None:
    async def scenario(backend: Backend) -> None:
        for attempt in (backend.put(key, b"1"), backend.head(key), backend.delete(key)):
            with pytest.raises(InvalidKey):
                await attempt

    on(MediaBackend(service.url, token=service.token), scenario)


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_service_that_is_busy_is_no_absent_object(service: Mediastore, status: int) -> None:
    async def scenario(backend: Backend) -> None:
        await backend.put("key", b"1")
        service.failing["/api/media/key"] = service.failing["/api/stores"] = status
        for attempt in (backend.head("key"), backend.check()):
            with pytest.raises(Exception, match=str(status)) as raised:
                await attempt
            assert not isinstance(raised.value, NotFound)

    on(MediaBackend(service.url, token=service.token), scenario)


class TestOpening:
    def test_username_and_password_will_do(self, service: Mediastore) -> None:
        async def scenario(backend: Backend) -> None:
            await backend.put("key", b"1")
            await backend.check()

        on(MediaBackend(service.url, username="user", password="right"), scenario)
        assert service.media["key"]["store_config"] == BASE64

    @pytest.mark.parametrize(
        ("credentials", "words"),
        [
            ({"username": "user", "password": "hush"}, "does not accept username and password"),
            ({"token": "hush"}, "does not accept the token"),
            ({}, "needs a token, or a username and a password"),
        ],
    )
    def test_wrong_credentials_are_told_without_them(
        self, service: Mediastore, credentials: dict[str, str], words: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=words) as raised:
            on(MediaBackend(service.url, **credentials), nothing)  # type: ignore[arg-type]  # texts alone
        assert "hush" not in str(raised.value)

    def test_a_service_without_a_store_is_told(self, service: Mediastore) -> None:
        service.stores = []
        with pytest.raises(ConfigurationError, match="no store"):
            on(MediaBackend(service.url, token=service.token), nothing)

    def test_nobody_there_is_told(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as closed:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match="cannot connect"):
            on(MediaBackend(url, token="hush"), nothing)

    def test_another_kind_of_server_is_told(self, service: Mediastore) -> None:
        with pytest.raises(ConfigurationError, match="base_url"):
            on(MediaBackend(service.url + "/elsewhere", token="hush"), nothing)


def test_a_token_that_is_revoked_is_not_the_fault_of_our_caller(service: Mediastore) -> None:
    async def scenario(backend: Backend) -> None:
        service.token, token = "another", service.token
        try:
            with pytest.raises(Unavailable, match="token"):
                await backend.put("key", b"1")
        finally:
            service.token = token

    on(MediaBackend(service.url, token=service.token), scenario)
