"""Answers in one piece are, byte for byte, what uvicorn itself would have sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from objectstore.server import answers
from objectstore.server.amending import is_known
from objectstore.server.answers import answer, find_uvicorn
from objectstore.wire.headers import FieldList

DATE = (b"date", b"Thu, 26 Nov 2026 07:10:05 GMT")
TYPE = (b"content-type", b"text/plain")


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Request:
    """A request as uvicorn answers it."""

    def __init__(self, method: str = "GET", *, keep_alive: bool = True, access_log: bool = False) -> None:
        self.transport = Transport()
        self.responses = 0
        self.flow = FlowControl(self.transport)
        self.cycle = RequestResponseCycle(
            scope={"type": "http", "method": method, "path": "/", "http_version": "1.1"},  # type: ignore[typeddict-item]
            transport=self.transport,
            flow=self.flow,
            logger=logging.getLogger("test"),
            access_logger=logging.getLogger("test"),
            access_log=access_log,
            default_headers=[DATE],
            message_event=asyncio.Event(),
            expect_100_continue=True,
            keep_alive=keep_alive,
            on_response=self._count,
        )

    def _count(self) -> None:
        self.responses += 1

    def answer(self, status: int, fields: FieldList, body: bytes) -> bool:
        return answer(self.cycle.send, status, fields, body)

    def answer_in_messages(self, status: int, fields: FieldList, body: bytes) -> None:
        async def send() -> None:
            await self.cycle.send({"type": "http.response.start", "status": status, "headers": fields})
            await self.cycle.send({"type": "http.response.body", "body": body, "more_body": False})

        asyncio.run(send())

    @property
    def state(self) -> tuple[object, ...]:
        cycle = self.cycle
        return (
            b"".join(self.transport.written),
            self.transport.closed,
            self.responses,
            cycle.response_started,
            cycle.response_complete,
            cycle.waiting_for_100_continue,
            cycle.message_event.is_set(),
        )


@pytest.fixture(autouse=True, scope="module")
def _found() -> Iterator[None]:
    before = answers._cycle
    find_uvicorn()
    yield
    answers._cycle = before


def test_the_uvicorn_that_is_locked_is_known() -> None:
    assert is_known()


def test_with_an_unknown_uvicorn_answers_go_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "__version__", "99.0")
    monkeypatch.setattr(answers, "_cycle", None)
    find_uvicorn()
    assert not Request().answer(200, [TYPE, (b"content-length", b"3")], b"abc")


def test_an_answer_is_one_write() -> None:
    request = Request()
    assert request.answer(200, [TYPE, (b"content-length", b"3")], b"abc")
    assert len(request.transport.written) == 1


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT"]),
    status=st.sampled_from([200, 201, 204, 206, 304, 404, 499, 599]),
    fields=st.lists(
        st.tuples(
            st.text("abcxyz-019", min_size=1, max_size=8).map(str.encode),
            st.text("aZ09 \t;\"'é~", max_size=8).map(lambda text: text.encode("latin-1")),
        )
    ),
    body=st.sampled_from([b"", b"abc", bytes(answers._COPIED), bytes(answers._COPIED + 1)]),
)
def test_it_is_what_uvicorn_would_send(method: str, status: int, fields: FieldList, body: bytes) -> None:
    if method == "HEAD" or status in {204, 304}:
        body = b""
    if status not in {204, 304}:
        fields = [*fields, (b"content-length", b"%d" % len(body))]
    ours, theirs = Request(method), Request(method)
    assert ours.answer(status, fields, body)
    theirs.answer_in_messages(status, fields, body)
    assert ours.state == theirs.state


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"b\r\nset-cookie: c"),
        (b"x-a", b"\r\n"),
        (b"x-a", b"\n"),
        (b"x-a", b"\x00"),
        (b"x-a", b"\x7f"),
        (b"x a", b"b"),
        (b"x-a\r\nb", b"c"),
        (b"x:a", b"b"),
        (b"", b"b"),
        (b"X-A", b"b"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
    ],
)
def test_a_field_that_is_not_plain_is_left_to_uvicorn(field: tuple[bytes, bytes]) -> None:
    request, before = Request(), Request().state
    assert not request.answer(200, [TYPE, field, (b"content-length", b"3")], b"abc")
    assert request.state == before


@pytest.mark.parametrize(
    ("status", "fields", "body"),
    [
        (200, [TYPE], b"abc"),
        (200, [TYPE], b""),
        (200, [(b"content-length", b"4")], b"abc"),
        (200, [(b"content-length", b"03")], b"abc"),
        (204, [], b"abc"),
    ],
)
def test_a_length_that_is_not_that_of_the_body_is_left_to_uvicorn(status: int, fields: FieldList, body: bytes) -> None:
    assert not Request().answer(status, fields, body)


def test_a_request_that_is_not_as_usual_is_left_to_uvicorn() -> None:
    fields = [(b"content-length", b"3")]
    assert not Request(keep_alive=False).answer(200, fields, b"abc")
    assert not Request(access_log=True).answer(200, fields, b"abc")
    gone, full, twice = Request(), Request(), Request()
    gone.cycle.disconnected = True
    assert not gone.answer(200, fields, b"abc")
    full.flow.pause_writing()
    assert not full.answer(200, fields, b"abc")
    assert twice.answer(200, fields, b"abc")
    assert not twice.answer(200, fields, b"abc")


def test_another_server_gets_messages() -> None:
    async def send(_: object) -> None: ...

    assert not answer(send, 200, [(b"content-length", b"3")], b"abc")


def test_names_do_not_fill_the_memory() -> None:
    for number in range(3 * answers._MOST_NAMES):
        assert Request("HEAD").answer(200, [(b"x-object-meta-%d" % number, b"a")], b"")
    assert len(answers._names) <= answers._MOST_NAMES
