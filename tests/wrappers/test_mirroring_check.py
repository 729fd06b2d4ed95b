"""The check of a mirror names what differs between its children, and repairs it from the good copy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import Corrupted, Unavailable
from objectstore.testing.faults import Chunk, Fault, Faulty
from objectstore.testing.suite.harness import LARGE, keys, read, sample
from objectstore.values import NO_DIGESTS, Attributes, GetOptions, ObjectInfo, PutOptions, Reading
from objectstore.wrappers.forwarding import GET, Forwarding
from objectstore.wrappers.mirroring import Mirroring, marks
from objectstore.wrappers.mirroring.check import Finding
from wrappers.mirrored import Leaving, OwnEtags, findings, marked, objects

OLD = sample(LARGE, 1)
NEW = sample(LARGE, 2)
END = Chunk(100)
# Of the calls of put on this child, the mark is the second of each write; this body fails where it should end.
SECOND_WRITE = Fault("put", call=3, at=END)


def run(scenario: Callable[..., Awaitable[None]], *children: Backend) -> None:
    async def opened() -> None:
        async with Mirroring(children) as mirror:
            await scenario(mirror, *children)

    asyncio.run(opened())


async def repaired(mirror: Mirroring, *, deep: bool = False) -> list[tuple[str, str]]:
    """What the check finds; what it finds it repairs, and then it finds nothing more."""
    found = await findings(mirror, deep=deep)
    assert not any(done for _, _, done in found)
    mended = await findings(mirror, deep=deep, repair=True)
    assert mended == [(kind, name, True) for kind, name, _ in found]
    assert await findings(mirror, deep=deep) == []
    assert len({str(sorted((await objects(child.backend)).items())) for child in mirror.children}) == 1
    assert [await marked(child.backend) for child in mirror.children] == [0] * len(mirror.children)
    return [(kind, name) for kind, name, _ in found]


@pytest.mark.parametrize("deep", [False, True])
def test_a_mirror_that_was_only_written_as_such_is_in_order(deep: bool) -> None:
    async def scenario(mirror: Mirroring, *_: Backend) -> None:
        for key in ("a", "b/c"):
            await mirror.put(key, OLD)
        await mirror.copy("a", "d")
        await mirror.delete("a")
        assert await findings(mirror, deep=deep) == await findings(mirror, deep=deep, repair=True) == []

    run(scenario, MemoryBackend(), OwnEtags(MemoryBackend()), MemoryBackend())


def test_a_store_that_joins_is_filled() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        options = PutOptions(attributes=Attributes(content_type="a/b", metadata={"n": "1"}), digests=frozenset({"md5"}))
        for number in range(5):
            await first.put(f"key/{number}", sample(LARGE, number), options)
        assert await repaired(mirror) == [("missing", f"key/{number}") for number in range(5)]
        there, here = await first.head("key/3"), await second.head("key/3")
        same = replace(here, created=there.created, modified=there.modified)
        assert same == there

    run(scenario, MemoryBackend(), MemoryBackend())


def test_what_the_first_child_lost_comes_back_from_another() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        info = await mirror.put("key", OLD)
        await first.delete("key")
        assert await repaired(mirror) == [("missing", "key")]
        assert (await first.head("key")).etag == (await second.head("key")).etag == info.etag

    run(scenario, MemoryBackend(), MemoryBackend())


def test_a_copy_that_missed_a_write_is_stale_and_made_anew() -> None:
    async def scenario(mirror: Mirroring, first: Leaving, _: Backend) -> None:
        await mirror.put("key", OLD)
        with pytest.raises(Unavailable):
            await mirror.put("key", NEW)
        assert await repaired(mirror) == [("stale", "key")]
        first.leave()
        assert await read(mirror, "key") == NEW

    run(scenario, Leaving(MemoryBackend()), Faulty(MemoryBackend(), [SECOND_WRITE]))


def test_what_is_left_over_of_a_deletion_goes() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Backend) -> None:
        await mirror.put("key", OLD)
        with pytest.raises(Unavailable):
            await mirror.delete("key")
        assert await repaired(mirror) == [("stale", "key")]
        assert await keys(second) == []

    run(scenario, MemoryBackend(), OwnEtags(Faulty(MemoryBackend(), [Fault("delete", call=2)])))


def test_a_mark_without_a_difference_is_removed() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Backend) -> None:
        await mirror.put("key", OLD)
        for key in ("key", "never-came"):
            mark = replace(marks.new_mark(key, deleting=False), process="ended")
            await second.put(marks.mark_key(key), marks.dump(mark))
        assert sorted(await repaired(mirror)) == [("unfinished", "key"), ("unfinished", "never-came")]

    run(scenario, MemoryBackend(), MemoryBackend())


@pytest.mark.parametrize("other", [b"short", OLD[:-1] + b"?"], ids=["size", "bytes"])
def test_without_a_mark_the_first_child_is_right(other: bytes) -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Backend, third: Backend) -> None:
        await mirror.put("key", OLD)
        await second.put("key", other)
        await third.put("key", other)
        assert await repaired(mirror) == [("different", "key")] * 2
        assert await read(third, "key") == OLD

    run(scenario, MemoryBackend(), MemoryBackend(), MemoryBackend())


def test_other_attributes_are_a_difference() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Backend) -> None:
        info = await mirror.put("key", OLD)
        await second.put("key", OLD, PutOptions(etag=info.etag, attributes=Attributes(content_type="x/y")))
        assert await repaired(mirror) == [("different", "key")]
        assert (await second.head("key")).attributes == Attributes()

    run(scenario, MemoryBackend(), MemoryBackend())


class _WithoutDigests(OwnEtags):
    async def head(self, key: str) -> ObjectInfo:
        return replace(await super().head(key), digests=NO_DIGESTS)


def test_the_same_object_under_another_etag_is_given_the_one_of_the_first() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend, third: Backend) -> None:
        for child in (first, second, third):
            await child.put("key", OLD)
        own = (await second.head("key")).etag
        assert await repaired(mirror) == [("other-etag", "key")] * 2
        assert (await second.head("key")).etag == own, "the bytes were not sent again"
        assert (await mirror.children[1].head("key")).etag == (await first.head("key")).etag

    run(scenario, MemoryBackend(), OwnEtags(MemoryBackend()), _WithoutDigests(MemoryBackend()))


class _Rotten(Forwarding):
    """Gives the objects in `rotten` out with other bytes than it says."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())
        self.rotten: set[str] = set()

    def get(self, key: str, options: GetOptions = GET) -> AbstractAsyncContextManager[Reading]:
        if key in self.rotten:
            return Faulty(self._inner, [Fault("get", at=END, error=Corrupted("a bad block"))]).get(key, options)
        return super().get(key, options)


@pytest.mark.parametrize("number", [0, 1])
def test_a_damaged_copy_is_found_when_looking_deep_and_made_anew(number: int) -> None:
    async def scenario(mirror: Mirroring, *children: _Rotten) -> None:
        info = await mirror.put("key", OLD)
        children[number].rotten.add("key")
        assert await findings(mirror) == []
        assert await findings(mirror, deep=True) == [("damaged", "key", False)]
        assert await findings(mirror, deep=True, repair=True) == [("damaged", "key", True)]
        children[number].rotten.clear()
        held = await children[number].head("key")
        assert held.etag == info.etag
        assert held.modified > info.modified
        assert await findings(mirror, deep=True) == []

    run(scenario, _Rotten(), _Rotten())


def test_what_no_child_has_whole_is_lost_and_stays() -> None:
    async def scenario(mirror: Mirroring, *children: _Rotten) -> None:
        await mirror.put("key", OLD)
        before = [await child.head("key") for child in children]
        for child in children:
            child.rotten.add("key")
        [finding] = [one async for one in mirror.findings(deep=True, repair=True)]
        assert (finding.kind, finding.lost, finding.repaired) == ("lost", True, False)
        assert [await child.head("key") for child in children] == before

    run(scenario, _Rotten(), _Rotten())


def test_a_damaged_first_copy_is_not_replaced_by_a_stale_one() -> None:
    async def scenario(mirror: Mirroring, first: _Rotten, second: Backend) -> None:
        await mirror.put("key", OLD)
        with pytest.raises(Unavailable):
            await mirror.put("key", NEW)
        first.rotten.add("key")
        assert await findings(mirror, deep=True, repair=True) == [("lost", "key", False)]
        assert (await first.head("key")).size == LARGE
        assert await read(second, "key") == OLD

    run(scenario, _Rotten(), Faulty(MemoryBackend(), [SECOND_WRITE]))


def test_a_damaged_first_copy_is_not_replaced_by_another_object() -> None:
    async def scenario(mirror: Mirroring, first: _Rotten, second: Backend) -> None:
        await mirror.put("key", OLD)
        await second.put("key", NEW)
        first.rotten.add("key")
        assert await findings(mirror, deep=True, repair=True) == [("lost", "key", False)]
        assert await read(second, "key") == NEW

    run(scenario, _Rotten(), MemoryBackend())


def test_a_change_under_way_is_no_finding() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Backend) -> None:
        async with mirror.changes.change("key") as change:
            checking = asyncio.create_task(findings(mirror))
            for _turn in range(50):
                await asyncio.sleep(0)
            assert not checking.done()
            change.nothing_changed()
        assert await checking == []
        assert await marked(second) == 0

    run(scenario, MemoryBackend(), MemoryBackend())


def test_a_repair_that_fails_says_so_and_leaves_the_mark() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        await first.put("key", OLD)
        found: list[Finding] = [one async for one in mirror.findings(repair=True)]
        assert [(one.kind, one.repaired) for one in found] == [("missing", False)]
        assert "not repaired: this fault was asked for" in found[0].message
        assert await marked(second) == 1
        assert await repaired(mirror) == [("stale", "key")]

    run(scenario, MemoryBackend(), Faulty(MemoryBackend(), [Fault("put", call=2)]))


def test_a_check_without_a_child_fails() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Leaving) -> None:
        second.leave()
        with pytest.raises(Unavailable, match="child 1"):
            await findings(mirror)

    run(scenario, MemoryBackend(), Leaving(MemoryBackend()))


def test_more_keys_than_fit_on_a_page_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstore.wrappers.mirroring.check._PAGE", 3)

    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        for number in range(20):
            await mirror.put(f"key/{number:02}", b"1")
        for number in (0, 3, 4, 19):
            await first.delete(f"key/{number:02}")
        for number in (1, 7, 18):
            await second.delete(f"key/{number:02}")
        missing = [f"key/{number:02}" for number in (0, 1, 3, 4, 7, 18, 19)]
        assert await repaired(mirror) == [("missing", key) for key in missing]

    run(scenario, MemoryBackend(), MemoryBackend())
