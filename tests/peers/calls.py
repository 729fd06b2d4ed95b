"""What is asked of a store while it is in trouble, and what may come of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from objectstore.backends.contract import Backend
from objectstore.backends.reading import read_all
from objectstore.errors import NotFound
from objectstore.testing.suite.harness import chunked
from objectstore.values import (
    ONLY_IF_ABSENT,
    Bounded,
    Conditions,
    CopyOptions,
    GetOptions,
    ListQuery,
    PutOptions,
)
from peers.remote import LARGE, SMALL

NEW: Final = b"new" * 233_333
Act: TypeAlias = Callable[[Backend, str, str], Awaitable[object]]
"""Does something with the key of that name, whose etag is that."""


@dataclass(frozen=True)
class Call:
    """`act` on a key with the body `before` leaves it with that body, or with `after`."""

    act: Act
    before: bytes | None
    after: bytes | None
    conditional: bool = False
    read: bytes | None = None  # what it is to give back

    @property
    def writes(self) -> bool:
        return self.before != self.after


async def body_of(store: Backend, key: str, options: GetOptions | None = None) -> bytes | None:
    try:
        async with store.get(key, options or GetOptions()) as reading:
            return await read_all(reading)
    except NotFound:
        return None


async def _upload(store: Backend, key: str, etag: str) -> object:
    del etag
    upload = await store.uploads.begin(key, PutOptions())
    part = await store.uploads.put_part(upload.upload_id, 1, NEW, PutOptions())
    return await store.uploads.complete(upload.upload_id, [(1, part.etag)])


async def _arriving(data: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunked(data):
        yield chunk


def _matching(etag: str) -> Conditions:
    return Conditions(if_match=(etag,))


CALLS: Final = {
    "put": Call(lambda store, key, _: store.put(key, b"new"), SMALL, b"new"),
    "large put": Call(lambda store, key, _: store.put(key, _arriving(NEW), PutOptions(size=len(NEW))), SMALL, NEW),
    "create": Call(
        lambda store, key, _: store.put(key, b"new", PutOptions(conditions=ONLY_IF_ABSENT)),
        None,
        b"new",
        conditional=True,
    ),
    "replace": Call(
        lambda store, key, etag: store.put(key, NEW, PutOptions(conditions=_matching(etag))),
        SMALL,
        NEW,
        conditional=True,
    ),
    "delete": Call(lambda store, key, _: store.delete(key), SMALL, None),
    "delete if": Call(lambda store, key, etag: store.delete(key, _matching(etag)), SMALL, None, conditional=True),
    "copy": Call(lambda store, key, _: store.copy("large", key), None, LARGE),
    "copy if absent": Call(
        lambda store, key, _: store.copy("large", key, CopyOptions(conditions=ONLY_IF_ABSENT)),
        None,
        LARGE,
        conditional=True,
    ),
    "upload": Call(_upload, None, NEW),
    "list": Call(lambda store, _, __: store.list(ListQuery(prefix="s", details=True)), None, None),
    "get": Call(lambda store, _, __: body_of(store, "small"), None, None, read=SMALL),
    "large get": Call(lambda store, _, __: body_of(store, "large"), None, None, read=LARGE),
    "range": Call(
        lambda store, _, __: body_of(store, "large", GetOptions(range=Bounded(1000, 900_000))),
        None,
        None,
        read=LARGE[1000:900_000],
    ),
    "head": Call(lambda store, _, __: store.head("small"), None, None),
    "check": Call(lambda store, _, __: store.check(), None, None),
}
READING: Final = ("get", "large get", "range", "head", "check")


def calls_of(store: Backend) -> dict[str, Call]:
    """Those that the store can do."""
    able = store.capabilities
    names = CALLS if able.write else READING
    return {name: CALLS[name] for name in names if able.conditions or not CALLS[name].conditional}
