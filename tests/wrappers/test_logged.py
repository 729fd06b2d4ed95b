"""Records of calls and of failures: one each, with what they are about and nothing that is secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.errors import Corrupted, NotFound, NotModified, UploadNotFound
from objectstore.testing.suite.harness import BodyFailed, Stalling, failing, read
from objectstore.values import Attributes, Bounded, Conditions, ListQuery, ObjectInfo, PutOptions
from objectstore.wrappers.logged import ExceptionLogged, Logged

PLAIN = PutOptions()


@pytest.fixture(autouse=True)
def taken(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "objectstore.store")


def facts(record: logging.LogRecord) -> dict[str, Any]:
    usual = vars(logging.makeLogRecord({}))
    return {name: value for name, value in vars(record).items() if name not in usual and name != "message"}


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of each record since last asked, without how long it took."""
    found = []
    for record in caplog.records:
        assert record.name == "objectstore.store"
        fields = facts(record)
        assert fields.pop("duration") >= 0
        assert fields.pop("store") == "archive"
        found.append(fields)
    caplog.clear()
    return found


def run(scenario: Callable[[Logged], Awaitable[None]], inner: MemoryBackend | None = None) -> None:
    async def opened() -> None:
        async with Logged(inner or MemoryBackend(), "archive") as store:
            await scenario(store)

    asyncio.run(opened())


def test_each_call_is_one_record(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: Logged) -> None:
        info = await store.put("a", b"body", PutOptions(attributes=Attributes(metadata={"token": "hidden"})))
        await store.head("a")
        await read(store, "a")
        await read(store, "a", Bounded(1, 3))
        copied = await store.copy("a", "b")
        await store.list(ListQuery(prefix="", delimiter="/", limit=7))
        await store.delete_many(["a", "absent"])
        await store.delete("b")
        await store.check()
        of_a = {"key": "a", "size": 4, "etag": info.etag, "outcome": "ok"}
        text = caplog.text
        assert told(caplog) == [
            {"operation": "put", **of_a},
            {"operation": "head", **of_a},
            {"operation": "get", **of_a, "start": 0, "stop": 4},
            {"operation": "get", **of_a, "start": 1, "stop": 3},
            {"operation": "copy", **of_a, "key": "b", "source": "a", "etag": copied.etag},
            {"operation": "list", "prefix": "", "delimiter": "/", "limit": 7, "count": 2, "outcome": "ok"},
            {"operation": "delete_many", "count": 2, "deleted": 1, "outcome": "ok"},
            {"operation": "delete", "key": "b", "outcome": "ok"},
            {"operation": "check", "outcome": "ok"},
        ]
        assert "body" not in text
        assert "hidden" not in text

    run(scenario)


def test_a_record_is_a_line_for_people_whatever_the_key(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: Logged) -> None:
        await store.put("a\nb %s", b"")
        [record] = caplog.records
        assert record.levelno == logging.INFO
        line = record.getMessage()
        assert line.startswith(r"archive put key='a\nb %s' size=0 etag=")
        assert line.endswith(" ms")
        assert "\n" not in line

    run(scenario)


def test_a_failure_is_told_and_reaches_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: Logged) -> None:
        with pytest.raises(NotFound):
            await store.head("absent")
        with pytest.raises(NotFound):
            await read(store, "absent")
        with pytest.raises(BodyFailed):
            await store.put("a", failing(b"x"))
        body = Stalling(b"x")
        task = asyncio.create_task(store.put("a", body))
        await body.stalled.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [(one["operation"], one["outcome"]) for one in told(caplog)] == [
            ("head", "NotFound"),
            ("get", "NotFound"),
            ("put", "BodyFailed"),
            ("put", "CancelledError"),
        ]

    run(scenario)


def test_a_reader_that_fails_is_told_from_a_store_that_does(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_reading(store: Logged, error: Exception) -> None:
        async with store.get("key"):
            assert told(caplog) == []  # not before it is over
            raise error

    async def scenario(store: Logged) -> None:
        for error, outcome in ((BodyFailed("gone"), "left"), (Corrupted("damaged"), "Corrupted")):
            with pytest.raises(type(error)):
                await fail_reading(store, error)
            assert [one["outcome"] for one in told(caplog)] == [outcome]

    run(scenario, MemoryBackend({"key": b"1"}))


def test_uploads_are_told_without_their_ids(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: Logged) -> None:
        upload = await store.uploads.begin("key", PLAIN)
        part = await store.uploads.put_part(upload.upload_id, 1, b"part", PLAIN)
        await store.uploads.get(upload.upload_id)
        await store.uploads.list()
        await store.uploads.complete(upload.upload_id, [(1, part.etag)])
        with pytest.raises(UploadNotFound):
            await store.uploads.abort("unknown")
        await store.uploads.expire(datetime.now(UTC))
        assert upload.upload_id not in caplog.text
        records = told(caplog)
        assert [one["operation"] for one in records] == [
            "begin_upload",
            "put_part",
            "get_upload",
            "list_uploads",
            "complete_upload",
            "abort_upload",
            "expire_uploads",
        ]
        assert records[1] == {
            "operation": "put_part",
            "upload": f"{upload.upload_id[:8]}…",
            "number": 1,
            "size": 4,
            "outcome": "ok",
        }
        assert (records[4]["key"], records[4]["size"]) == ("key", 4)

    run(scenario)


def test_only_failures_are_told_by_the_other_one(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with ExceptionLogged(MemoryBackend({"a": b"1", "b": b"2"}), "archive") as store:
            await store.head("a")
            await store.put("a", b"1")
            with pytest.raises(NotModified):
                await read(store, "b", None, Conditions(if_none_match="*"))
            assert caplog.records == []
            with pytest.raises(NotFound):
                await store.delete("absent")
            await store.delete_many(["x", "a", "y"])
            await store.uploads.begin("b", PLAIN)
            with pytest.raises(NotFound):
                await read(store, "gone")
        assert {record.levelno for record in caplog.records} == {logging.WARNING}
        assert [(one["operation"], one["key"], one["outcome"]) for one in told(caplog)] == [
            ("delete", "absent", "NotFound"),
            ("delete_many", "x", "NotFound"),
            ("delete_many", "y", "NotFound"),
            ("get", "gone", "NotFound"),
        ]

    asyncio.run(scenario())


def test_trouble_of_the_store_is_an_error_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryBackend):
        async def head(self, key: str) -> ObjectInfo:
            raise Corrupted("damaged") if key == "bad" else RuntimeError("a defect")

    async def scenario() -> None:
        async with ExceptionLogged(Broken(), "archive") as store:
            for key, error in (("bad", Corrupted), ("other", RuntimeError)):
                with pytest.raises(error):
                    await store.head(key)
                [record] = caplog.records
                assert record.levelno == logging.ERROR
                assert record.exc_info is not None
                assert record.exc_info[0] is error
                caplog.clear()

    asyncio.run(scenario())
