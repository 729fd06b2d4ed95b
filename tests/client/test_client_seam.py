"""Any transport will do: what it gives is checked here, not there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from client.both import Kind
from client.scripted import info
from objectstore import AsyncRestStore, ByteRange, Corrupted, Forbidden, From, RestStore, Unavailable
from objectstore.client.drivers import AsyncDriver, Driver
from objectstore.client.site import parse_site
from objectstore.client.transport import AsyncOutgoing, Outgoing
from objectstore.wire.headers import FieldList, Fields, format_info
from objectstore.wire.ranges import format_content_range
from objectstore.wire.retries import Retries

DATA = b"0123456789"
SITE = parse_site("http://host", None)
RETRIES = Retries(limit=3, delay=0)


@dataclass
class Answer:
    """A response that may be any of the two kinds."""

    status: int
    fields: Fields
    chunks: Iterable[bytes]
    closed: bool = False
    whole: bytes | None = None

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Prepared:
    answers: list[Answer]
    given: list[Answer] = field(default_factory=list)
    closed: bool = False

    def send(self, method: str, target: str, fields: FieldList, body: Outgoing | None) -> Answer:  # noqa: ARG002  the seam has them
        self.given.append(self.answers.pop(0))
        return self.given[-1]

    def close(self) -> None:
        self.closed = True


class AsyncPrepared(Prepared):
    async def send(  # type: ignore[override]
        self, method: str, target: str, fields: FieldList, body: AsyncOutgoing | None
    ) -> Answer:
        return super().send(method, target, fields, body)  # type: ignore[arg-type]

    async def aclose(self) -> None:
        self.closed = True


def get(kind: Kind, *answers: Answer, wanted: ByteRange | None = None) -> bytes:
    if kind == "sync":
        transport = Prepared(list(answers))
        with RestStore(Driver(SITE, transport, RETRIES)) as store:
            data = store.get("k", range=wanted)
    else:
        transport = AsyncPrepared(list(answers))

        async def main() -> bytes:
            async with AsyncRestStore(AsyncDriver(SITE, transport, RETRIES)) as store:
                return await store.get("k", range=wanted)

        data = asyncio.run(main())
    _check(transport)
    return data


def stream(kind: Kind, *answers: Answer) -> list[bytes]:
    if kind == "sync":
        transport = Prepared(list(answers))
        with RestStore(Driver(SITE, transport, RETRIES)) as store, store.stream("k") as reader:
            data = list(reader)
    else:
        transport = AsyncPrepared(list(answers))

        async def main() -> list[bytes]:
            async with AsyncRestStore(AsyncDriver(SITE, transport, RETRIES)) as store, store.stream("k") as reader:
                return [chunk async for chunk in reader]

        data = asyncio.run(main())
    _check(transport)
    return data


def _check(transport: Prepared) -> None:
    assert transport.closed
    assert all(one.closed for one in transport.given)


def found(data: bytes = DATA, start: int = 0) -> Answer:
    """The answer to a get, that tells of all from `start` on."""
    fields = dict(format_info(info(DATA)))
    fields[b"content-length"] = b"%d" % (len(DATA) - start)
    fields[b"content-range"] = format_content_range(start, len(DATA), len(DATA))
    return Answer(206 if start else 200, fields, [data])


def rest(data: bytes, start: int) -> Answer:
    """The answer to a get of the range from `start` on, be it all."""
    answer = found(data, start)
    answer.status = 206
    return answer


def at_once(answer: Answer) -> Answer:
    """The answer as a transport gives it when its body came with its head."""
    answer.whole = b"".join(answer.chunks)
    answer.closed = True  # the connection is free again
    return answer


def test_what_is_whole_is_given(kind: Kind) -> None:
    assert get(kind, found()) == DATA
    assert get(kind, at_once(found())) == DATA
    assert stream(kind, found()) == [DATA]


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", b"", b"9876543210"], ids=["short", "long", "none", "wrong"])
def test_what_is_not_is_never_returned(kind: Kind, data: bytes) -> None:
    with pytest.raises(Corrupted):
        get(kind, at_once(found(data)))


@pytest.mark.parametrize("data", [DATA[4:-1], DATA[4:] + b"x"], ids=["short", "long"])
def test_a_range_is_counted(kind: Kind, data: bytes) -> None:
    with pytest.raises(Corrupted, match="of the 6 announced"):
        get(kind, at_once(found(data, 4)), wanted=From(4))


@pytest.mark.parametrize("data", [DATA + b"x", b"9876543210"], ids=["long", "wrong"])
def test_something_else_is_never_returned_when_it_comes_after_its_head(kind: Kind, data: bytes) -> None:
    with pytest.raises(Corrupted):
        get(kind, found(data))


@pytest.mark.parametrize("data", [b"", DATA[:-1]], ids=["none", "short"])
def test_what_ends_early_is_never_returned_unless_the_rest_comes(kind: Kind, data: bytes) -> None:
    assert get(kind, found(data), rest(DATA[len(data) :], len(data))) == DATA
    with pytest.raises(Unavailable, match="bytes early"):
        get(kind, found(data), *(rest(b"", len(data)) for _ in range(RETRIES.limit + 1)))


@pytest.mark.parametrize("data", [DATA + b"x", b"9876543210"], ids=["long", "wrong"])
def test_a_stream_of_something_else_does_not_end_well(kind: Kind, data: bytes) -> None:
    with pytest.raises(Corrupted):
        stream(kind, found(data))


def test_a_stream_that_ends_early_goes_on(kind: Kind) -> None:
    assert stream(kind, found(DATA[:4]), found(DATA[4:5], 4), found(DATA[5:], 5)) == [DATA[:4], DATA[4:5], DATA[5:]]


def test_an_error_without_end_is_not_read_to_it(kind: Kind) -> None:
    with pytest.raises(Forbidden):
        get(kind, Answer(403, {}, itertools.repeat(b"x" * 1000)))
