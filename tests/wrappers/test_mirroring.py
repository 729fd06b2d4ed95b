"""A mirror keeps its children alike; what it reads is right, or the read fails."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.config.types.copies import COPIES
from objectstore.core.streams import read_all
from objectstore.errors import (
    AlreadyExists,
    ConfigurationError,
    Corrupted,
    InvalidKey,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    StorageFull,
    Unavailable,
)
from objectstore.testing.faults import After, Chunk, Fault, Faulty
from objectstore.testing.suite.harness import LARGE, BodyFailed, chunked, failing, keys, read, sample, settle, walk
from objectstore.values import (
    ONLY_IF_ABSENT,
    UNCONDITIONAL,
    Attributes,
    Body,
    Bounded,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)
from objectstore.wrappers.forwarding import GET, PUT, Forwarding
from objectstore.wrappers.mirroring import Mirroring, changes, marks
from wrappers.mirrored import Leaving, OwnEtags, marked, objects

OLD = sample(LARGE, 1)
NEW = sample(LARGE, 2)


def run(scenario: Callable[..., Awaitable[None]], *children: Backend) -> None:
    async def opened() -> None:
        async with Mirroring(children) as mirror:
            await scenario(mirror, *children)

    asyncio.run(opened())


@pytest.mark.parametrize("data", [b"", b"small", OLD], ids=len)
def test_all_children_hold_the_object_under_one_etag(data: bytes) -> None:
    async def scenario(mirror: Mirroring, *children: Backend) -> None:
        options = PutOptions(attributes=Attributes(content_type="text/plain", metadata={"a": "b"}))
        info = await mirror.put("key", chunked(data), options)
        for child in children:
            held = await child.head("key")
            assert (held.etag, held.size, held.attributes) == (info.etag, len(data), options.attributes)
            assert await read(child, "key") == data
            assert await keys(child) == ["key"], "nothing is left of how it was written"

    run(scenario, MemoryBackend(), MemoryBackend(), MemoryBackend())


def test_a_copy_and_a_delete_reach_all_children() -> None:
    async def scenario(mirror: Mirroring, *children: Backend) -> None:
        await mirror.put("source", OLD, PutOptions(digests=frozenset({"md5"})))
        info = await mirror.copy("source", "target")
        assert {(await child.head("target")).etag for child in children} == {info.etag}
        assert set(info.digests) == {"sha-256", "md5"}
        assert await mirror.delete_many(["source", "target"]) == [None, None]
        assert [await keys(child) for child in children] == [[], []]

    run(scenario, MemoryBackend(), MemoryBackend())


def test_keys_named_twice_are_deleted_once() -> None:
    async def scenario(mirror: Mirroring, *_: Backend) -> None:
        await mirror.put("key", b"1")
        outcomes = await mirror.delete_many(["key", "other", "key"])
        assert [type(one) for one in outcomes] == [type(None), NotFound, NotFound]

    run(scenario, MemoryBackend(), MemoryBackend())


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_a_write_that_a_child_cannot_take_changes_nothing_anywhere(number: int, size: int) -> None:
    async def scenario(mirror: Mirroring, *children: Leaving) -> None:
        await mirror.put("key", OLD)
        children[number].leave()
        for change in (
            mirror.put("key", chunked(sample(size))),
            mirror.put("new", sample(size)),
            mirror.delete("key"),
            mirror.copy("key", "new"),
        ):
            with pytest.raises(Unavailable, match=rf"child {number} \(DictStore\)") as raised:
                await change
            assert raised.value.retry_after == 7
        children[number].come_back()
        for child in children:
            assert await objects(child) == {"key": OLD}
            assert await marked(child) == 0

    run(scenario, *(Leaving(MemoryBackend()) for _ in range(3)))


def test_a_child_that_fails_in_the_middle_of_a_body_ends_the_write() -> None:
    async def scenario(mirror: Mirroring, *children: Backend) -> None:
        with pytest.raises(Unavailable, match=r"child 1 .*nothing was changed"):
            await mirror.put("key", chunked(OLD, 50_000))
        assert [await objects(child) for child in children] == [{}, {}]
        assert [await marked(child) for child in children] == [0, 0]

    run(scenario, MemoryBackend(), Faulty(MemoryBackend(), [Fault("put", at=Chunk(3))]))


@pytest.mark.parametrize("broken", [b"", b"some", OLD], ids=len)
def test_a_body_that_breaks_off_changes_nothing_anywhere(broken: bytes) -> None:
    async def scenario(mirror: Mirroring, *children: Backend) -> None:
        await mirror.put("key", b"old")
        with pytest.raises(BodyFailed):
            await mirror.put("key", failing(broken))
        for child in children:
            assert await objects(child) == {"key": b"old"}
            assert await marked(child) == 0

    run(scenario, MemoryBackend(), MemoryBackend())


class _Waiting(Forwarding):
    """Takes nothing of a body until it may."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())
        self.may = asyncio.Event()

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        if not key.startswith(marks.RESERVED):
            await self.may.wait()
        return await super().put(key, body, options)


def test_the_slowest_child_sets_the_pace() -> None:
    pulled = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal pulled
        for _ in range(100):
            pulled += 1
            yield b"chunk"

    async def scenario(mirror: Mirroring, __: Backend, slow: _Waiting) -> None:
        writing = asyncio.create_task(mirror.put("key", body()))
        for _ in range(500):
            await asyncio.sleep(0)
        assert pulled <= 3
        slow.may.set()
        assert (await writing).size == 500

    run(scenario, MemoryBackend(), _Waiting())


class _Held(Forwarding):
    """Tells when a body has come, and does not acknowledge it until it may."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())
        self.come, self.may = asyncio.Event(), asyncio.Event()

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        info = await super().put(key, body, options)
        if not key.startswith(marks.RESERVED):
            self.come.set()
            await self.may.wait()
        return info


def test_a_change_that_is_cancelled_when_the_first_child_has_it_comes_to_its_end() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: _Held) -> None:
        writing = asyncio.create_task(mirror.put("key", NEW))
        await second.come.wait()
        writing.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not writing.done()
        second.may.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await objects(first) == await objects(second) == {"key": NEW}
        assert await marked(second) == 0

    run(scenario, MemoryBackend(), _Held())


def test_a_child_that_missed_a_write_does_not_answer_for_it() -> None:
    async def scenario(mirror: Mirroring, first: Leaving, second: Faulty) -> None:
        await mirror.put("key", OLD)
        with pytest.raises(Unavailable, match=r"child 1 .*missed a change.*check --repair"):
            await mirror.put("key", NEW)
        assert await read(second, "key") == OLD
        assert await read(mirror, "key") == NEW
        first.leave()
        with pytest.raises(Unavailable, match=r"child 0 .*it has left.*child 1 .*may have missed a change"):
            await read(mirror, "key")
        with pytest.raises(Unavailable):
            await mirror.head("key")
        first.come_back()
        await mirror.put("key", NEW)
        first.leave()
        assert await read(mirror, "key") == NEW

    # Of the calls of put on this child, the mark is the second of each write; this body fails where it should end.
    fault = Fault("put", call=3, at=Chunk(100))
    run(scenario, Leaving(MemoryBackend()), Faulty(MemoryBackend(), [fault]))


def test_another_child_that_missed_nothing_answers_instead() -> None:
    async def scenario(mirror: Mirroring, first: Leaving, _: Backend, third: Backend) -> None:
        with pytest.raises(Unavailable, match="child 1"):
            await mirror.put("key", NEW)
        first.leave()
        assert await read(mirror, "key") == NEW
        assert await marked(third) == 0

    fault = Fault("put", call=1, at=After())
    run(scenario, Leaving(MemoryBackend()), Faulty(MemoryBackend(), [fault]), MemoryBackend())


@pytest.mark.parametrize("at", [After(), Chunk(100)], ids=["arrived", "lost"])
def test_nobody_trusts_the_second_child_when_the_outcome_on_the_first_is_unknown(at: After | Chunk) -> None:
    async def scenario(mirror: Mirroring, first: Leaving, second: Backend) -> None:
        await mirror.put("key", OLD)
        with pytest.raises(Unavailable, match=r"child 0 .*unknown"):
            await mirror.put("key", NEW)
        assert await read(mirror, "key") == (NEW if isinstance(at, After) else OLD)
        assert await read(second, "key") == OLD
        first.leave()
        with pytest.raises(Unavailable):
            await read(mirror, "key")
        first.come_back()
        assert (await mirror.put("key", b"next")).size == 4
        first.leave()
        assert await read(mirror, "key") == b"next"

    run(scenario, Leaving(Faulty(MemoryBackend(), [Fault("put", call=2, at=at)])), MemoryBackend())


def test_a_deletion_that_a_child_missed_is_one_all_the_same() -> None:
    async def scenario(mirror: Mirroring, first: Leaving, second: Backend) -> None:
        await mirror.put("dir/key", OLD)
        await mirror.put("other", b"1")
        with pytest.raises(Unavailable, match=r"child 1 .*still has 'dir/key'"):
            await mirror.delete("dir/key")
        assert await read(second, "dir/key") == OLD
        for call in (mirror.head("dir/key"), mirror.delete("dir/key"), mirror.copy("dir/key", "copy")):
            with pytest.raises(NotFound):
                await call
        assert await keys(mirror) == ["other"]
        page = await mirror.list(ListQuery(delimiter="/", details=True))
        assert (page.keys, page.prefixes) == (("other",), ())
        first.leave()
        with pytest.raises(Unavailable):
            await mirror.head("dir/key")
        first.come_back()
        await mirror.put("dir/key", NEW, PutOptions(conditions=ONLY_IF_ABSENT))
        assert await read(second, "dir/key") == NEW
        assert await marked(second) == 0

    # Marks are deleted too: the third deletion is that of the object.
    run(scenario, Leaving(MemoryBackend()), Faulty(MemoryBackend(), [Fault("delete", call=3)]))


class _Overtaken(Forwarding):
    """Checks conditions when it has the whole body, and another program has written just before."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())
        self.overtaken = False

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        data = await read_all(body)
        if self.overtaken:
            await super().put(key, OLD)
        return await super().put(key, data, options)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await super().put(key, OLD)
        await super().delete(key, conditions)


def test_what_the_first_child_refuses_leaves_no_mark() -> None:
    async def scenario(mirror: Mirroring, first: _Overtaken, second: Backend) -> None:
        await mirror.put("key", OLD)
        first.overtaken = True
        for change in (
            lambda seen: mirror.put("key", NEW, PutOptions(conditions=seen)),
            lambda seen: mirror.delete("key", seen),
        ):
            seen = Conditions(if_match=((await mirror.head("key")).etag,))
            with pytest.raises(PreconditionFailed):
                await change(seen)
            assert await objects(second) == {"key": OLD}
            assert await marked(second) == 0

    run(scenario, _Overtaken(), MemoryBackend())


def test_what_the_first_child_refuses_leaves_the_mark_of_what_was_missed_before() -> None:
    async def scenario(mirror: Mirroring, first: _Overtaken, second: Backend) -> None:
        await mirror.put("key", OLD)
        with pytest.raises(Unavailable, match="child 1"):
            await mirror.put("key", NEW)
        first.overtaken = True
        seen = Conditions(if_match=((await mirror.head("key")).etag,))
        with pytest.raises(PreconditionFailed):
            await mirror.put("key", NEW, PutOptions(conditions=seen))
        assert await marked(second) == 1

    run(scenario, _Overtaken(), Faulty(MemoryBackend(), [Fault("put", call=3, at=Chunk(100))]))


def test_writers_of_one_process_take_turns_even_if_no_mark_can_be_a_lock() -> None:
    async def scenario(mirror: Mirroring, *children: Backend) -> None:
        _, errors = await settle(mirror.put("key", sample(number * 1000, number)) for number in range(12))
        assert errors == []
        assert await objects(children[0]) == await objects(children[1])
        assert await marked(children[1]) == 0

    run(scenario, _Turning(), _Lacking(conditions=False))


class _Turning(Forwarding):
    """Acknowledges what is put some turns later, the later ones sooner."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())
        self._turns = 200

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        info = await super().put(key, body, options)
        self._turns -= 15
        for _ in range(max(0, self._turns)):
            await asyncio.sleep(0)
        return info


def test_while_the_first_child_is_away_the_others_answer_what_they_know() -> None:
    async def scenario(mirror: Mirroring, first: Leaving, _: Backend) -> None:
        info = await mirror.put("key", OLD)
        first.leave()
        async with mirror.get("key", GetOptions(range=Bounded(5, 100))) as reading:
            assert (reading.start, reading.stop, reading.info.etag) == (5, 100, info.etag)
        assert (await mirror.head("key")).etag == info.etag
        with pytest.raises(NotModified):
            await read(mirror, "key", Bounded(LARGE, LARGE + 1), Conditions(if_none_match=(info.etag,)))
        with pytest.raises(PreconditionFailed):
            await read(mirror, "key", None, Conditions(if_match=("other",)))
        # It may be on the first child alone.
        with pytest.raises(Unavailable, match="whether it should is unknown"):
            await mirror.head("absent")
        with pytest.raises(Unavailable, match="child 0"):
            await keys(mirror)
        with pytest.raises(Unavailable, match="child 0"):
            await mirror.check()

    run(scenario, Leaving(MemoryBackend()), MemoryBackend())


def test_while_another_child_is_away_the_first_answers_for_what_it_has() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Leaving) -> None:
        await mirror.put("key", OLD)
        second.leave()
        assert await read(mirror, "key") == OLD
        with pytest.raises(Unavailable, match="child 1"):
            await mirror.head("absent")
        with pytest.raises(Unavailable, match="child 1"):
            await mirror.check()

    run(scenario, MemoryBackend(), Leaving(MemoryBackend()))


def test_a_damaged_copy_is_passed_over() -> None:
    async def scenario(mirror: Mirroring, first: Leaving, _: Backend) -> None:
        await mirror.put("key", OLD)
        first.error = Corrupted("a bad block")
        assert await read(mirror, "key") == OLD

    run(scenario, Leaving(MemoryBackend()), MemoryBackend())


def test_objects_that_only_another_child_has_are_objects() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        assert await read(mirror, "theirs") == b"2"
        assert await keys(mirror) == ["ours", "theirs"]
        assert (await mirror.list(ListQuery(details=True))).objects[1] == await second.head("theirs")
        for conditions in (ONLY_IF_ABSENT, Conditions(if_match=("other",))):
            with pytest.raises(PreconditionFailed):
                await mirror.put("theirs", b"3", PutOptions(conditions=conditions))
        await mirror.copy("theirs", "copied")
        assert (await first.head("copied")).size == 1
        with pytest.raises(PreconditionFailed):
            await mirror.delete("theirs", Conditions(if_match=("other",)))
        await mirror.delete("theirs")
        assert await objects(second) == {"copied": b"2"}
        assert await marked(second) == 0

    run(scenario, MemoryBackend({"ours": b"1"}), MemoryBackend({"theirs": b"2"}))


def test_an_etag_is_the_same_whichever_child_answers() -> None:
    async def scenario(mirror: Mirroring, first: Leaving, second: Backend) -> None:
        info = await mirror.put("key", OLD)
        assert (await second.head("key")).etag != info.etag == (await first.head("key")).etag
        first.leave()
        assert (await mirror.head("key")).etag == info.etag
        with pytest.raises(NotModified):
            await read(mirror, "key", None, Conditions(if_none_match=(info.etag,)))
        first.come_back()
        # What another program puts there is not taken for what it replaces.
        foreign = await second.put("key", b"foreign")
        first.leave()
        assert (await mirror.head("key")).etag == foreign.etag
        first.come_back()
        await mirror.delete("key")
        assert await keys(second) == []

    run(scenario, Leaving(OwnEtags(MemoryBackend())), OwnEtags(MemoryBackend()))


def test_a_key_that_one_child_cannot_hold_is_created_nowhere(tmp_path: Path) -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        await mirror.put("a", b"1")
        for key in ("a/b", "a//b", "dir/"):
            with pytest.raises(InvalidKey, match=r"child 1 \(FilesystemStore\)"):
                await mirror.put(key, b"2")
            with pytest.raises(NotFound):
                await mirror.head(key)
            with pytest.raises(NotFound):
                await mirror.delete(key)
        assert await keys(first) == ["a"]
        assert await marked(second) == 0

    run(scenario, MemoryBackend(), FilesystemBackend(tmp_path))


def test_a_full_child_is_named_and_nothing_is_kept() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        with pytest.raises(StorageFull, match="child 1"):
            await mirror.put("key", OLD)
        assert await keys(first) == await keys(second) == []

    full = Fault("put", at=Chunk(100), error=StorageFull("the disk is full"))
    run(scenario, MemoryBackend(), Faulty(MemoryBackend(), [full]))


FIRST = ("a", "a/1", "a/2", "b/1", "c", "é")
SECOND = ("a/1", "a/3", "b/1", "d/1/2", "objectstore-x", "\N{GRINNING FACE}")
GONE = ("a/0", "e/1", "e/2", "zz")  # left over on the second child


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("delimiter", ["", "/", "-", "1"])
@pytest.mark.parametrize("prefix", ["", "objectstore-", "a", "a/", "e"])
def test_listings_have_each_key_once_and_in_order(prefix: str, delimiter: str, limit: int) -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        for key in FIRST:
            await first.put(key, b"1")
        for key in (*SECOND, *GONE, "a"):
            await second.put(key, b"2")
        for key in GONE:
            dead = replace(marks.new_mark(key, deleting=True), process="ended")
            await second.put(marks.mark_key(key), marks.dump(dead))
        # A write that did not come to its end hides nothing.
        await second.put(marks.mark_key("a/3"), marks.dump(marks.new_mark("a/3", deleting=False)))
        plain = MemoryBackend(dict.fromkeys({*FIRST, *SECOND}, b""))
        query = ListQuery(prefix=prefix, delimiter=delimiter, limit=limit)
        assert [page async for page in walk(mirror, query)] == [page async for page in walk(plain, query)]
        page = await mirror.list(replace(query, details=True))
        assert tuple(info.key for info in page.objects) == page.keys
        for info in page.objects:
            assert info == await (first if info.key in FIRST else second).head(info.key)

    run(scenario, MemoryBackend(), MemoryBackend())


def test_reserved_keys_are_none_of_the_mirror() -> None:
    async def scenario(mirror: Mirroring, first: Backend, _: Backend) -> None:
        key = marks.RESERVED + "x"
        await first.put(key, b"1")
        await first.put("key", b"1")
        for write in (mirror.put(key, b"2"), mirror.copy("key", key)):
            with pytest.raises(InvalidKey, match="reserved"):
                await write
        for call in (mirror.head(key), mirror.delete(key), read(mirror, key), mirror.copy(key, "copy")):
            with pytest.raises(NotFound):
                await call
        assert await keys(mirror) == ["key"]
        assert await keys(mirror, marks.RESERVED) == []

    run(scenario, MemoryBackend(), MemoryBackend())


def test_an_upload_is_staged_on_the_first_child_and_completed_on_all() -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        upload = await mirror.uploads.begin("key", PutOptions())
        parts = [await mirror.uploads.put_part(upload.upload_id, n, sample(LARGE, n), PutOptions()) for n in (1, 2)]
        assert await keys(second) == await keys(mirror) == []
        await mirror.uploads.complete(upload.upload_id, [(part.number, part.etag) for part in parts])
        assert await objects(first) == await objects(second) == {"key": sample(LARGE, 1) + sample(LARGE, 2)}

    run(scenario, MemoryBackend(), MemoryBackend())


@pytest.mark.parametrize("back", [True, False])
def test_completing_again_reaches_the_child_that_missed_the_first_attempt(back: bool) -> None:
    async def scenario(mirror: Mirroring, first: Backend, second: Leaving) -> None:
        upload = await mirror.uploads.begin("key", PutOptions())
        part = await mirror.uploads.put_part(upload.upload_id, 1, NEW, PutOptions())
        for _attempt in range(1 if back else 2):
            with pytest.raises(Unavailable, match="child 1"):
                await mirror.uploads.complete(upload.upload_id, [(1, part.etag)])
            if not back:
                second.leave()
        second.come_back()
        info = await mirror.uploads.complete(upload.upload_id, [(1, part.etag)])
        assert info == await first.head("key")
        assert (await second.head("key")).etag == info.etag
        assert await marked(second) == 0

    lost = Fault("put", call=1, at=Chunk(100))
    run(scenario, MemoryBackend(), Leaving(Faulty(MemoryBackend(), [lost])))


def test_many_writers_leave_the_children_alike(tmp_path: Path) -> None:
    async def scenario() -> None:
        folders = [tmp_path / "one", tmp_path / "other"]
        async with AsyncExitStack() as stack:
            # As in two processes: they have nothing in common but the folders.
            mirrors = [
                await stack.enter_async_context(
                    Mirroring([EngineBackend(folder, durability="relaxed") for folder in folders])
                )
                for _ in range(2)
            ]
            writes = [
                mirrors[number % 2].put("key", chunked(sample(number % 3 * 100_000 + number, number)))
                for number in range(12)
            ]
            creations = [mirror.put("new", b"1", PutOptions(conditions=ONLY_IF_ABSENT)) for mirror in mirrors * 4]
            records, errors = await settle([*writes, *creations])
            assert len(records) == 13
            assert {type(error) for error in errors} == {AlreadyExists}
            assert await mirrors[0].delete_many(["new"]) == [None]
            children = mirrors[0].children
            held = [await child.backend.head("key") for child in children]
            assert held[0].etag == held[1].etag == (await mirrors[1].head("key")).etag
            assert [await keys(child.backend) for child in children] == [["key"], ["key"]]

    asyncio.run(scenario())


async def _leave_mark(child: Backend, mark: marks.Mark) -> None:
    await child.put(marks.mark_key(mark.key), marks.dump(mark))


def test_a_mark_of_a_dead_process_is_taken_over() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

    async def scenario(mirror: Mirroring, _: Backend, second: Backend) -> None:
        await _leave_mark(second, replace(marks.new_mark("key", deleting=False), pid=process.pid))
        await mirror.put("key", NEW)
        assert await objects(second) == {"key": NEW}
        assert await marked(second) == 0

    run(scenario, MemoryBackend(), MemoryBackend())


def test_a_change_that_failed_keeps_no_other_process_waiting() -> None:
    async def scenario(mirror: Mirroring, *_: Backend) -> None:
        with pytest.raises(Unavailable, match="child 1"):
            await mirror.put("key", NEW)
        found = await mirror.children[1].mark("key")
        assert found is not None
        assert replace(found[0], host="elsewhere").dead

    run(scenario, MemoryBackend(), Faulty(MemoryBackend(), [Fault("put", at=Chunk(100))]))


def test_a_mark_of_a_living_change_is_waited_for_and_then_complained_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_PATIENCE", 0)

    async def scenario(mirror: Mirroring, _: Backend, second: Backend) -> None:
        mark = marks.new_mark("key", deleting=False)
        await _leave_mark(second, mark)
        marks.enter(mark)
        with pytest.raises(Unavailable, match=r"another process is at 'key'") as raised:
            await mirror.put("key", NEW)
        assert raised.value.retry_after == 1
        marks.leave(mark)
        await mirror.put("key", NEW)

    run(scenario, MemoryBackend(), MemoryBackend())


def test_a_mark_of_another_machine_is_left_alone_until_its_lease_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_PATIENCE", 0)

    async def scenario(mirror: Mirroring, first: Backend, second: Backend) -> None:
        await _leave_mark(second, replace(marks.new_mark("key", deleting=False), host="elsewhere"))
        for _ in range(2):
            with pytest.raises(Unavailable):
                await mirror.put("key", NEW)
        assert await objects(first) == {}
        monkeypatch.setattr(changes, "_LEASE", -1)
        await mirror.put("key", NEW)
        assert await marked(second) == 0

    run(scenario, MemoryBackend(), MemoryBackend())


def test_a_change_that_was_taken_for_dead_fails_and_marks_the_key_again() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: _Held) -> None:
        writing = asyncio.create_task(mirror.put("key", NEW))
        await second.come.wait()
        # What another process does that takes this one for dead, and is done before it goes on.
        await second.delete(marks.mark_key("key"))
        second.may.set()
        with pytest.raises(Unavailable, match="took it for dead"):
            await writing
        assert await marked(second) == 1
        assert await read(mirror, "key") == NEW

    run(scenario, MemoryBackend(), _Held())


def test_a_mark_that_cannot_be_removed_does_not_fail_the_write() -> None:
    async def scenario(mirror: Mirroring, _: Backend, second: Backend) -> None:
        await mirror.put("key", NEW)
        assert await marked(second) == 1
        assert await objects(second) == {"key": NEW}

    run(scenario, MemoryBackend(), Faulty(MemoryBackend(), [Fault("delete")]))


class _Lacking(Forwarding):
    def __init__(self, **lacking: bool) -> None:
        super().__init__(MemoryBackend())
        self._lacking = lacking

    @property
    def capabilities(self) -> Capabilities:
        able = replace(super().capabilities, persistent=True, shared=True)
        return replace(able, **self._lacking)  # type: ignore[arg-type]  # names of booleans


@pytest.mark.parametrize(
    "name", ["persistent", "listing", "ranges", "attributes", "digests", "write", "overwrite", "delete"]
)
def test_a_mirror_can_do_what_all_its_children_can(name: str) -> None:
    whole = Mirroring([_Lacking(), _Lacking()]).capabilities
    assert getattr(whole, name)
    for children in ([_Lacking(**{name: False}), _Lacking()], [_Lacking(), _Lacking(**{name: False})]):
        assert not getattr(Mirroring(children).capabilities, name)


def test_conditions_are_the_first_childs() -> None:
    assert Mirroring([_Lacking(), _Lacking(conditions=False)]).capabilities.conditions
    assert not Mirroring([_Lacking(), _Lacking(conditions=False)]).capabilities.shared
    assert not Mirroring([_Lacking(conditions=False), _Lacking()]).capabilities.conditions


@pytest.mark.parametrize("lacking", ["write", "overwrite", "delete", "attributes"])
def test_what_a_child_cannot_do_is_refused_before_anything_is_changed(lacking: str) -> None:
    async def scenario(mirror: Mirroring, first: Backend, _: Backend) -> None:
        options = PutOptions(attributes=Attributes(content_type="text/plain"))
        with pytest.raises(ObjectStoreError, match="MirroringStore"):
            await mirror.put("key", b"1", options)
        assert await keys(first) == []

    run(scenario, _Lacking(), _Lacking(**{lacking: False}))


def test_a_child_that_cannot_be_written_is_read_though_it_has_no_room_for_marks() -> None:
    class Strict(Forwarding):
        """Knows no keys but those that end in .txt."""

        def get(self, key: str, options: GetOptions = GET) -> AbstractAsyncContextManager[Reading]:
            if not key.endswith(".txt"):
                raise InvalidKey("not a text")
            return super().get(key, options)

    async def scenario(mirror: Mirroring, first: Leaving, _: Backend) -> None:
        assert await read(mirror, "ours.txt") == b"1"
        assert await read(mirror, "both.txt") == b"1"
        assert await read(mirror, "theirs.txt") == b"2"
        first.leave()
        assert await read(mirror, "both.txt") == b"2"

    ours = MemoryBackend({"ours.txt": b"1", "both.txt": b"1"})
    run(scenario, Leaving(ours), Strict(MemoryBackend({"theirs.txt": b"2", "both.txt": b"2"})))


def test_the_source_condition_of_a_copy_holds() -> None:
    async def scenario(mirror: Mirroring, *_: Backend) -> None:
        info = await mirror.put("source", b"1")
        with pytest.raises(PreconditionFailed):
            await mirror.copy("source", "target", CopyOptions(source=Conditions(if_match=("other",))))
        await mirror.copy("source", "target", CopyOptions(source=Conditions(if_match=(info.etag,))))

    run(scenario, MemoryBackend(), MemoryBackend())


def test_a_store_stands_in_a_mirror_once() -> None:
    build = COPIES[0].build
    one, other = MemoryBackend(), MemoryBackend()
    assert isinstance(build({}, [one, other]), Mirroring)
    with pytest.raises(ConfigurationError, match="twice"):
        build({}, [one, other, one])
    with pytest.raises(ConfigurationError, match="mirror of mirrors"):
        build({}, [one, Mirroring([other])])
