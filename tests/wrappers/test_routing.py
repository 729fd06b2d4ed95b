"""Which place a key goes to, and what spans several places."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.errors import (
    AlreadyExists,
    InvalidKey,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    Unavailable,
    UploadNotFound,
)
from objectstore.testing.model import entries
from objectstore.testing.suite.harness import keys, read, sample, walk
from objectstore.values import (
    ONLY_IF_ABSENT,
    Attributes,
    Conditions,
    CopyOptions,
    ListQuery,
    PutOptions,
    Upload,
)
from objectstore.wrappers.restricted import Readonly
from objectstore.wrappers.routing import Route, Routing

PLAIN = PutOptions()


@dataclass
class Places:
    """Pictures and PNGs in one store, under prefixes; documents in another; nothing else anywhere."""

    one: MemoryBackend = field(default_factory=MemoryBackend)
    other: MemoryBackend = field(default_factory=MemoryBackend)

    def __post_init__(self) -> None:
        self.store = Routing(
            [
                Route(re.compile(r"\.jpg$"), self.one, "jpeg/"),
                Route(re.compile(r"\.png$"), self.one, "png/"),
                Route(re.compile(r"^docs/"), self.other),
            ]
        )


def run(scenario: Callable[[Places], Awaitable[None]]) -> None:
    async def opened() -> None:
        places = Places()
        async with places.store:
            await scenario(places)

    asyncio.run(opened())


def test_the_first_route_that_is_found_in_the_key_counts() -> None:
    async def scenario(places: Places) -> None:
        for key in ("photo.jpg", "docs/icon.png", "docs/readme", "docs/a.jpg.txt"):
            assert (await places.store.put(key, key.encode())).key == key
            assert await read(places.store, key) == key.encode()
        assert await keys(places.one) == ["jpeg/photo.jpg", "png/docs/icon.png"]
        assert await keys(places.other) == ["docs/a.jpg.txt", "docs/readme"]

    run(scenario)


def test_a_key_that_no_route_takes_is_refused_and_not_found() -> None:
    async def scenario(places: Places) -> None:
        await places.store.put("a.jpg", b"")
        for writing in (
            places.store.put("video.mp4", b""),
            places.store.copy("a.jpg", "video.mp4"),
            places.store.uploads.begin("video.mp4", PLAIN),
        ):
            with pytest.raises(InvalidKey, match=r"no route .* 'video\.mp4'"):
                await writing
        for looking in (
            places.store.head("video.mp4"),
            read(places.store, "video.mp4"),
            places.store.delete("video.mp4"),
            places.store.copy("video.mp4", "a.jpg"),
        ):
            with pytest.raises(NotFound):
                await looking
        outcomes = await places.store.delete_many(["video.mp4", "a.jpg", "docs/absent", "a.jpg"])
        assert [type(one) for one in outcomes] == [NotFound, type(None), NotFound, NotFound]

    run(scenario)


def test_two_keys_never_share_a_place() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        routes = [Route(re.compile("^a/"), inner), Route(re.compile(""), inner, "a/")]
        async with Routing(routes) as store:
            await store.put("a/b", b"first")
            for call in (store.put("b", b"second"), store.head("b"), store.delete("b")):
                with pytest.raises(InvalidKey, match="the place of 'a/b'"):
                    await call
            assert await read(store, "a/b") == b"first"
            assert await keys(store) == ["a/b"]

    asyncio.run(scenario())


def test_a_listing_is_one_of_all_places_in_order() -> None:
    taken = ["docs/1", "docs/2/x", "docs/2/y.jpg", "e.png", "f.jpg", "a/1.png", "a/2.jpg", "z.jpg", "é.png", "docs/😀"]

    async def scenario(places: Places) -> None:
        for key in taken:
            await places.store.put(key, b"")
        # Nobody's: under no prefix, under the prefix of another route, and in the store of another one.
        for name in ("a.jpg", "jpeg/e.png", "png/f.jpg", "jpeg/", "docs/q"):
            await places.one.put(name, b"")
        for name in ("x", "docs/2/y.jpg", "e.png"):
            await places.other.put(name, b"")
        for prefix in ("", "docs/", "docs/2", "a/", "é"):
            for delimiter in ("", "/"):
                for start in ("", "docs/2/y", "e"):
                    wanted = entries(taken, prefix, delimiter, start)
                    for limit in (1, 2, 100):
                        query = ListQuery(prefix=prefix, delimiter=delimiter, start=start, limit=limit)
                        assert [one async for page in walk(places.store, query) for one in page] == wanted
        page = await places.store.list(ListQuery(details=True))
        assert page.objects == tuple([await places.store.head(key) for key in sorted(taken)])

    run(scenario)


@pytest.mark.parametrize("size", [0, 11, 700_000])
def test_a_copy_from_store_to_store_streams_and_keeps_what_is_known(size: int) -> None:
    attributes = Attributes(content_type="image/png", metadata={"a": "b"})

    async def scenario(places: Places) -> None:
        options = PutOptions(attributes=attributes, digests=frozenset({"md5"}))
        source = await places.store.put("a.png", sample(size), options)
        target = await places.store.copy("a.png", "docs/a")
        assert target == await places.store.head("docs/a")
        assert (target.size, target.digests, target.attributes) == (size, source.digests, attributes)
        assert await read(places.other, "docs/a") == sample(size)
        plain = CopyOptions(attributes=Attributes(content_type="text/plain"))
        assert (await places.store.copy("docs/a", "b.jpg", plain)).attributes == plain.attributes

    run(scenario)


def test_conditions_of_a_copy_hold_between_stores() -> None:
    async def scenario(places: Places) -> None:
        source = await places.store.put("a.png", b"1")
        await places.store.put("docs/there", b"2")
        with pytest.raises(AlreadyExists) as raised:
            await places.store.copy("a.png", "docs/there", CopyOptions(conditions=ONLY_IF_ABSENT))
        assert raised.value.key == "docs/there"
        for wrong in (Conditions(if_match=("other",)), Conditions(if_none_match=(source.etag,))):
            with pytest.raises(PreconditionFailed) as failed:
                await places.store.copy("a.png", "docs/new", CopyOptions(source=wrong))
            assert failed.value.key == "a.png"
        right = CopyOptions(source=Conditions(if_match=(source.etag,)), conditions=ONLY_IF_ABSENT)
        assert (await places.store.copy("a.png", "docs/new", right)).size == 1
        with pytest.raises(NotFound):
            await places.store.copy("absent.png", "docs/x")

    run(scenario)


def test_uploads_know_their_store() -> None:
    async def scenario(places: Places) -> None:
        begun = [await places.store.uploads.begin(key, PLAIN) for key in ("a.jpg", "docs/a", "b.png", "docs/b")]
        assert sorted(one.upload_id.partition(".")[0] for one in begun) == ["0", "0", "1", "1"]
        foreign = await places.one.uploads.begin("elsewhere", PLAIN)
        ordered = sorted(begun, key=lambda one: one.upload_id)
        for limit in (1, 2, 3, 4, 100):
            seen: list[Upload] = []
            start: str | None = ""
            while start is not None:
                page = await places.store.uploads.list(start=start, limit=limit)
                assert len(page.uploads) <= limit
                seen += page.uploads
                start = page.next_start
            assert seen == ordered
        found = (await places.store.uploads.list(prefix="docs/")).uploads
        assert found == tuple(one for one in ordered if one.key.startswith("docs/"))
        for stranger in (foreign.upload_id, f"0.{foreign.upload_id}", "2." + begun[0].upload_id[2:], "0", "0.", ""):
            with pytest.raises(UploadNotFound) as raised:
                await places.store.uploads.get(stranger)
            assert raised.value.upload_id == stranger
        part = await places.store.uploads.put_part(begun[1].upload_id, 1, b"x", PLAIN)
        await places.store.uploads.complete(begun[1].upload_id, [(1, part.etag)])
        assert await keys(places.other) == ["docs/a"]

    run(scenario)


def test_what_one_store_cannot_do_the_other_still_can() -> None:
    async def scenario() -> None:
        fixed = Readonly(MemoryBackend({"fixed/a": b"1"}))
        async with Routing([Route(re.compile("^fixed/"), fixed), Route(re.compile(""), MemoryBackend())]) as store:
            assert store.capabilities.write
            assert not store.capabilities.conditions
            await store.put("b", b"2")
            await store.copy("fixed/a", "a")
            with pytest.raises(MethodNotAllowed, match="read-only"):
                await store.put("fixed/a", b"2")
            assert await keys(store) == ["a", "b", "fixed/a"]

    asyncio.run(scenario())


def test_each_store_is_opened_once_and_all_are_closed_when_one_cannot_be() -> None:
    calls: list[str] = []

    class Watched(MemoryBackend):
        async def __aenter__(self) -> Self:
            calls.append("open")
            return self

        async def __aexit__(self, *told: object) -> None:
            calls.append("close")

    class Away(MemoryBackend):
        async def __aenter__(self) -> Self:
            raise Unavailable("away")

    async def scenario() -> None:
        one = Watched()
        routes = [Route(re.compile("a"), one, "x/"), Route(re.compile("b"), one, "y/")]
        async with Routing(routes):
            assert calls == ["open"]
        assert calls == ["open", "close"]
        with pytest.raises(Unavailable):
            async with Routing([*routes, Route(re.compile(""), Away())]):
                pass
        assert calls == ["open", "close"] * 2

    asyncio.run(scenario())
