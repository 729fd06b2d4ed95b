"""Events of changes: what is told, to whom, how often, and that no change waits for it."""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import AlreadyExists, ConfigurationError, NotFound
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.suite.harness import BodyFailed, failing, keys
from objectstore.values import ONLY_IF_ABSENT, PutOptions
from objectstore.wire.records import format_time, parse_time
from objectstore.wrappers.logged import ExceptionLogged, Logged
from objectstore.wrappers.notifying import Notifying
from objectstore.wrappers.reserving import Reserving
from objectstore.wrappers.webhooks import Message, Outbox, Webhook, sign, signing_key, split_url
from wrappers.receiver import SECRET, Receiver, receiving

PLAIN = PutOptions()
DOCS = Path(__file__).parents[2] / "docs" / "stores" / "notifying.md"
# Nobody listens on this port.
NOWHERE = "http://127.0.0.1:9/"


class TestThoseThatWatchCalls(BackendConformance):
    def backend(self, folder: Path) -> Backend:  # noqa: ARG002  it is in memory
        watched = ExceptionLogged(Logged(MemoryBackend()))
        return Notifying(watched, Outbox(Webhook(NOWHERE, SECRET), pauses=()))


@asynccontextmanager
async def telling(receiver: Receiver, **options: object) -> AsyncIterator[Notifying]:
    outbox = Outbox(Webhook(receiver.url, SECRET, clock=lambda: 1_700_000_000.9), **{"pauses": (0, 0)} | options)  # type: ignore[arg-type]  # what a test is about
    async with Notifying(MemoryBackend({"old": b"1"}), outbox) as store:
        yield store


def run(scenario: Callable[[Receiver], Awaitable[None]]) -> None:
    async def opened() -> None:
        async with receiving() as receiver:
            await scenario(receiver)

    asyncio.run(opened())


def test_each_change_is_told_signed() -> None:
    async def scenario(receiver: Receiver) -> None:
        async with telling(receiver) as store:
            before = datetime.now(UTC)
            info = await store.put("a é", b"body")
            copied = await store.copy("a é", "b")
            upload = await store.uploads.begin("c", PLAIN)
            part = await store.uploads.put_part(upload.upload_id, 1, b"part!", PLAIN)
            whole = await store.uploads.complete(upload.upload_id, [(1, part.etag)])
            await store.delete("b")
            await store.delete_many(["old", "absent", "c"])
        told = {(one.event["type"], one.event["key"]): one for one in receiver.deliveries}
        assert len(told) == len(receiver.deliveries) == 6
        put = told["put", "a é"]
        assert put.target == "/hook?to=me"
        assert put.fields["content-type"] == "application/json"
        assert put.fields["webhook-timestamp"] == "1700000000"
        assert put.event == {
            "id": put.fields["webhook-id"],
            "type": "put",
            "key": "a é",
            "size": 4,
            "etag": info.etag,
            "time": format_time(info.modified),
        }
        assert told["copy", "b"].event["source"] == "a é"
        assert told["copy", "b"].event["etag"] == copied.etag
        assert (told["upload", "c"].event["etag"], told["upload", "c"].event["size"]) == (whole.etag, 5)
        for key in ("b", "old", "c"):
            gone = told["delete", key].event
            assert set(gone) == {"id", "type", "key", "time"}
            assert before <= parse_time(gone["time"]) <= datetime.now(UTC)
        assert all(one.verified() for one in receiver.deliveries)
        assert len({one.event["id"] for one in receiver.deliveries}) == 6

    run(scenario)


def test_what_changes_nothing_is_not_told() -> None:
    async def scenario(receiver: Receiver) -> None:
        async with telling(receiver) as store:
            with pytest.raises(AlreadyExists):
                await store.put("old", b"", PutOptions(conditions=ONLY_IF_ABSENT))
            with pytest.raises(BodyFailed):
                await store.put("new", failing(b"x"))
            for call in (store.delete("absent"), store.copy("absent", "x"), store.head("absent")):
                with pytest.raises(NotFound):
                    await call
            upload = await store.uploads.begin("new", PLAIN)
            await store.uploads.abort(upload.upload_id)
            await store.delete_many(["absent"])
        assert receiver.deliveries == []

    run(scenario)


def test_parts_that_a_wrapper_around_it_stages_are_not_told() -> None:
    async def scenario(receiver: Receiver) -> None:
        async with telling(receiver) as inner:
            store = Reserving(inner, name="Around")
            upload = await store.uploads.begin("new", PLAIN)
            part = await store.uploads.put_part(upload.upload_id, 1, b"x", PLAIN)
            await store.uploads.complete(upload.upload_id, [(1, part.etag)])
        assert [(one.event["type"], one.event["key"]) for one in receiver.deliveries] == [("put", "new")]

    run(scenario)


def test_a_completion_told_again_has_the_same_id() -> None:
    async def scenario(receiver: Receiver) -> None:
        async with telling(receiver) as store:
            upload = await store.uploads.begin("new", PLAIN)
            part = await store.uploads.put_part(upload.upload_id, 1, b"x", PLAIN)
            for _ in range(2):
                await store.uploads.complete(upload.upload_id, [(1, part.etag)])
        first, second = receiver.deliveries
        assert first.event == second.event
        assert upload.upload_id not in first.body.decode()

    run(scenario)


def test_events_of_one_key_come_in_order_over_connections_that_stay() -> None:
    async def scenario(receiver: Receiver) -> None:
        receiver.body = b"thank you"
        receiver.statuses = [500, 200, 503]
        async with telling(receiver) as store:
            infos = [await store.put("key", bytes(size)) for size in range(20)]
            await receiver.come(22)
        etags = [one.event["etag"] for one in receiver.deliveries]
        assert list(dict.fromkeys(etags)) == [info.etag for info in infos]
        assert receiver.connections == 1

    run(scenario)


def test_a_failed_event_is_sent_again_as_it_was() -> None:
    async def scenario(receiver: Receiver) -> None:
        receiver.statuses = [503, 301]
        async with telling(receiver) as store:
            await store.put("key", b"")
            first, second, third = await receiver.come(3)
        assert first.body == second.body == third.body
        assert third.fields["webhook-id"] == first.fields["webhook-id"]

    run(scenario)


def test_an_event_is_given_up_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(receiver: Receiver) -> None:
        receiver.statuses = [500, 404, 410]
        async with telling(receiver) as store:
            await store.put("key", b"")
            await receiver.come(3)
        [record] = caplog.records
        assert (record.name, record.levelno) == ("objectstore.webhooks", logging.ERROR)
        line = record.getMessage()
        assert receiver.deliveries[0].event["id"] in line
        assert "status 410" in line
        assert SECRET not in line
        assert "to=me" not in line

    run(scenario)


def test_a_receiver_that_is_away_fails_no_change(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        store = Notifying(MemoryBackend(), Outbox(Webhook(NOWHERE, SECRET)))
        async with store:
            await store.put("key", b"1")
            assert await keys(store) == ["key"]
        # Closing did not wait for the pauses, and said what is lost.
        assert "is given up: cannot connect to 127.0.0.1:9" in caplog.text

    asyncio.run(scenario())


def test_no_change_waits_and_what_is_too_much_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(receiver: Receiver) -> None:
        receiver.released.clear()
        async with telling(receiver, capacity=3) as store:
            for size in range(5):
                await store.put("key", bytes(size))
            assert len(await receiver.come(1)) == 1
            assert "3 events wait; new ones are dropped" in caplog.text
            receiver.released.set()
            await receiver.come(3)
        assert [one.event["size"] for one in receiver.deliveries] == [0, 1, 2]
        assert "2 events were dropped" in caplog.text

    run(scenario)


def test_room_that_returns_is_used_and_what_was_dropped_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(receiver: Receiver) -> None:
        outbox = Outbox(Webhook(receiver.url, SECRET), capacity=2)
        receiver.released.clear()
        async with outbox:
            for number in range(4):
                outbox.add("key", Message(f"{number}", b"{}"))
            receiver.released.set()
            await receiver.come(2)  # when the second one is sent, the first one is done
            outbox.add("key", Message("last", b"{}"))
        assert [one.fields["webhook-id"] for one in receiver.deliveries] == ["0", "1", "last"]
        assert "2 events were dropped" in caplog.text

    run(scenario)


def test_closing_settles_what_is_left() -> None:
    async def scenario(receiver: Receiver) -> None:
        receiver.released.clear()
        async with telling(receiver) as store:
            for number in range(50):
                await store.put(f"key/{number}", b"")
            await receiver.come(1)
            receiver.released.set()
        assert {one.event["key"] for one in receiver.deliveries} == {f"key/{number}" for number in range(50)}

    run(scenario)


def test_closing_gives_what_waits_for_its_next_try_one_more() -> None:
    async def scenario(receiver: Receiver) -> None:
        receiver.statuses = [500] * 9
        async with telling(receiver, pauses=(3600, 3600, 3600)) as store:
            await store.put("key", b"")
            await receiver.come(1)
        assert len(receiver.deliveries) <= 2

    run(scenario)


def test_closing_does_not_wait_for_a_receiver_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(receiver: Receiver) -> None:
        receiver.released.clear()
        async with telling(receiver, grace=0.01) as store:
            await store.put("key", b"1")
            await store.put("key", b"2")
            await receiver.come(1)
        assert "2 events were not sent in time" in caplog.text

    run(scenario)


def test_a_wrapper_that_is_opened_again_tells_again() -> None:
    async def scenario(receiver: Receiver) -> None:
        store = Notifying(MemoryBackend(), Outbox(Webhook(receiver.url, SECRET)))
        for number in (1, 2):
            async with store:
                await store.put("key", b"")
            assert len(receiver.deliveries) == number

    run(scenario)


def test_the_example_in_the_docs_tells_what_is_genuine() -> None:
    [example] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)

    async def scenario(receiver: Receiver) -> None:
        async with telling(receiver) as store:
            await store.put("key", b"")
        [delivery] = receiver.deliveries
        for body, genuine in ((delivery.body, True), (delivery.body + b" ", False)):
            known = {"headers": delivery.fields, "body": body, "secret": SECRET}
            names: dict[str, object] = {"base64": base64, "hmac": hmac, "time": time, **known}
            exec(example, names)  # noqa: S102  it is ours
            assert names["genuine"] is genuine
            assert names["fresh"] is False  # the clock of these tests stands still

    run(scenario)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example that its libraries are tested with.
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    message = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    assert sign(key, message, "1614265330") == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://host", ("http://host", "/")),
        ("https://host:8443/a/b?c=d", ("https://host:8443", "/a/b?c=d")),
        ("http://[::1]:80/", ("http://[::1]:80", "/")),
    ],
)
def test_urls(url: str, wanted: tuple[str, str]) -> None:
    assert split_url(url) == wanted


@pytest.mark.parametrize("url", ["", "host/path", "ftp://host/", "http://", "http://user:pw@host/", "http://h/é"])
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Webhook(url, SECRET)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("secret", ["", "whsec_not base64", "whsec_abc"])
def test_secrets_that_cannot_be_used(secret: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Webhook("http://host/", secret)
    assert "abc" not in str(raised.value)
