"""Preconditions: a request is carried out under the state asked for, or changes nothing (RFC 9110 §13)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import AlreadyExists, NotFound, NotModified, PreconditionFailed
from objectstore.testing.suite.harness import LARGE, REFUSED, SMALL, Suite, contract, found, read, sample, unchanged
from objectstore.values import ONLY_IF_ABSENT, Conditions, CopyOptions, From, ObjectInfo, PutOptions

Made: TypeAlias = Callable[[ObjectInfo], Conditions]
Write: TypeAlias = Callable[[Backend, str, Conditions], Awaitable[ObjectInfo]]

SECOND: Final = timedelta(seconds=1)


def _floor(time: datetime) -> datetime:
    return time.replace(microsecond=0)


# Made of the record of the object that is there.
HOLDING: Final[Mapping[str, Made]] = {
    "any": lambda _: Conditions(if_match="*"),
    "its etag": lambda info: Conditions(if_match=(info.etag,)),
    "its etag among others": lambda info: Conditions(if_match=("other", info.etag)),
    "not another etag": lambda _: Conditions(if_none_match=("other", "another")),
    "unmodified since its second": lambda info: Conditions(if_unmodified_since=_floor(info.modified)),
    "unmodified since later": lambda info: Conditions(if_unmodified_since=info.modified + SECOND),
    "its etag, whatever the time": lambda info: Conditions(
        if_match=(info.etag,), if_unmodified_since=info.modified - 9 * SECOND
    ),
    "its etag and not another": lambda info: Conditions(if_match=(info.etag,), if_none_match=("other",)),
}
FAILING: Final[Mapping[str, Made]] = {
    "absent": lambda _: ONLY_IF_ABSENT,
    "another etag": lambda _: Conditions(if_match=("other",)),
    "no etag at all": lambda _: Conditions(if_match=()),
    "part of its etag": lambda info: Conditions(if_match=(info.etag[:-1],)),
    "not its etag": lambda info: Conditions(if_none_match=("other", info.etag)),
    "unmodified since before": lambda info: Conditions(if_unmodified_since=_floor(info.modified) - SECOND),
    "its etag, and absent": lambda info: Conditions(if_match=(info.etag,), if_none_match="*"),
    "another etag, unmodified": lambda info: Conditions(
        if_match=("other",), if_unmodified_since=info.modified + SECOND
    ),
}
HOLDING_ABSENT: Final[Mapping[str, Conditions]] = {
    "absent": ONLY_IF_ABSENT,
    "not an etag": Conditions(if_none_match=("other",)),
}
FAILING_ABSENT: Final[Mapping[str, Conditions]] = {
    "any": Conditions(if_match="*"),
    "an etag": Conditions(if_match=("other",)),
    "an etag, and absent": Conditions(if_match=("other",), if_none_match="*"),
}
NOT_MODIFIED: Final[Mapping[str, Made]] = {
    "any": lambda _: Conditions(if_none_match="*"),
    "its etag": lambda info: Conditions(if_none_match=("other", info.etag)),
    "its etag, though modified since": lambda info: Conditions(
        if_none_match=(info.etag,), if_modified_since=info.modified - 9 * SECOND
    ),
    "modified since its second": lambda info: Conditions(if_modified_since=_floor(info.modified)),
    "modified since later": lambda info: Conditions(if_modified_since=info.modified + SECOND),
}
MODIFIED: Final[Mapping[str, Made]] = {
    "modified since before": lambda info: Conditions(if_modified_since=_floor(info.modified) - SECOND),
    "another etag, though not modified": lambda info: Conditions(
        if_none_match=("other",), if_modified_since=info.modified + SECOND
    ),
}


async def _put(backend: Backend, key: str, conditions: Conditions) -> ObjectInfo:
    return await backend.put(key, sample(SMALL, 7), PutOptions(conditions=conditions))


async def _put_large(backend: Backend, key: str, conditions: Conditions) -> ObjectInfo:
    return await backend.put(key, sample(LARGE, 7), PutOptions(conditions=conditions))


async def _copy(backend: Backend, key: str, conditions: Conditions) -> ObjectInfo:
    await backend.put("source", sample(LARGE, 7))
    return await backend.copy("source", key, CopyOptions(conditions=conditions))


async def _complete(backend: Backend, key: str, conditions: Conditions) -> ObjectInfo:
    upload = await backend.uploads.begin(key, PutOptions(conditions=conditions))
    part = await backend.uploads.put_part(upload.upload_id, 1, sample(SMALL, 7), PutOptions())
    return await backend.uploads.complete(upload.upload_id, [(1, part.etag)])


WRITES: Final[Mapping[str, Write]] = {
    "put": _put,
    "large put": _put_large,
    "copy": _copy,
    "upload": _complete,
}


class ConditionTests(Suite):
    @pytest.mark.parametrize("made", HOLDING.values(), ids=HOLDING)
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    @contract("write", "overwrite", "conditions")
    async def test_a_condition_that_holds_lets_a_write_replace(
        self, backend: Backend, made: Made, write: Write
    ) -> None:
        before = await backend.put("key", b"old")
        after = await write(backend, "key", made(before))
        assert after.etag != before.etag
        assert await backend.head("key") == after

    @pytest.mark.parametrize("made", FAILING.values(), ids=FAILING)
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    @contract("write", "conditions")
    async def test_a_condition_that_fails_lets_a_write_change_nothing(
        self, backend: Backend, made: Made, write: Write
    ) -> None:
        before = await backend.put("key", b"old")
        with pytest.raises(PreconditionFailed) as raised:
            await write(backend, "key", made(before))
        assert raised.value.key == "key"
        await unchanged(backend, "key", (before, b"old"))

    @pytest.mark.parametrize("conditions", HOLDING_ABSENT.values(), ids=HOLDING_ABSENT)
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    @contract("write", "conditions")
    async def test_a_condition_that_holds_lets_a_write_create(
        self,
        backend: Backend,
        conditions: Conditions,
        write: Write,
    ) -> None:
        info = await write(backend, "key", conditions)
        assert await backend.head("key") == info

    @pytest.mark.parametrize("conditions", FAILING_ABSENT.values(), ids=FAILING_ABSENT)
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    @contract("write", "conditions")
    async def test_a_condition_that_fails_lets_a_write_create_nothing(
        self,
        backend: Backend,
        conditions: Conditions,
        write: Write,
    ) -> None:
        with pytest.raises(PreconditionFailed):
            await write(backend, "key", conditions)
        await unchanged(backend, "key", None)

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    @contract("write", "conditions")
    async def test_creating_what_exists_is_already_exists(self, backend: Backend, write: Write) -> None:
        await backend.put("key", b"old")
        with pytest.raises(AlreadyExists):
            await write(backend, "key", ONLY_IF_ABSENT)

    @contract("write", "conditions", "delete")
    async def test_a_deleted_object_can_be_created_again(self, backend: Backend) -> None:
        old = await backend.put("key", b"old")
        await backend.delete("key")
        with pytest.raises(PreconditionFailed):
            await _put(backend, "key", Conditions(if_match=(old.etag,)))
        await _put(backend, "key", ONLY_IF_ABSENT)

    @pytest.mark.parametrize("made", HOLDING.values(), ids=HOLDING)
    @contract("write", "conditions", "delete")
    async def test_a_condition_that_holds_lets_a_delete_through(self, backend: Backend, made: Made) -> None:
        await backend.delete("key", made(await backend.put("key", b"old")))
        await unchanged(backend, "key", None)

    @pytest.mark.parametrize("made", FAILING.values(), ids=FAILING)
    @contract("write", "conditions", "delete")
    async def test_a_condition_that_fails_lets_a_delete_change_nothing(self, backend: Backend, made: Made) -> None:
        before = await backend.put("key", b"old")
        with pytest.raises(PreconditionFailed):
            await backend.delete("key", made(before))
        await unchanged(backend, "key", (before, b"old"))

    @pytest.mark.parametrize("conditions", [*HOLDING_ABSENT.values(), *FAILING_ABSENT.values()])
    @contract("write", "conditions", "delete")
    async def test_deleting_an_absent_key_is_not_found_whatever_the_conditions(
        self, backend: Backend, conditions: Conditions
    ) -> None:
        # A precondition counts only where the request would succeed without it (RFC 9110 §13.2.1).
        with pytest.raises(NotFound):
            await backend.delete("key", conditions)

    @pytest.mark.parametrize("made", [*HOLDING.values(), *MODIFIED.values()], ids=[*HOLDING, *MODIFIED])
    @contract(objects={"key": b"old"})
    async def test_a_condition_that_holds_lets_a_read_through(self, backend: Backend, made: Made) -> None:
        assert await read(backend, "key", None, made(await backend.head("key"))) == b"old"

    @pytest.mark.parametrize("made", NOT_MODIFIED.values(), ids=NOT_MODIFIED)
    @contract(objects={"key": b"old"})
    async def test_a_reader_with_the_current_version_is_told_so(self, backend: Backend, made: Made) -> None:
        info = await backend.head("key")
        with pytest.raises(NotModified) as raised:
            await read(backend, "key", None, made(info))
        assert raised.value.etag == info.etag

    @pytest.mark.parametrize("name", [name for name in FAILING if "absent" not in name and name != "not its etag"])
    @contract(objects={"key": b"old"})
    async def test_a_read_of_another_version_than_asked_for_fails(self, backend: Backend, name: str) -> None:
        conditions = FAILING[name](await backend.head("key"))
        with pytest.raises(PreconditionFailed):
            await read(backend, "key", None, conditions)

    @contract("ranges", objects={"key": b"old"})
    async def test_a_condition_is_looked_at_before_a_range(self, backend: Backend) -> None:
        info = await backend.head("key")
        with pytest.raises(NotModified):
            await read(backend, "key", From(100), Conditions(if_none_match=(info.etag,)))
        with pytest.raises(PreconditionFailed):
            await read(backend, "key", From(100), Conditions(if_match=("other",)))

    @contract(objects={"other": b"1"})
    async def test_reading_an_absent_key_is_not_found_whatever_the_conditions(self, backend: Backend) -> None:
        for conditions in (*HOLDING_ABSENT.values(), *FAILING_ABSENT.values()):
            with pytest.raises(NotFound):
                await read(backend, "key", None, conditions)

    @pytest.mark.parametrize("made", [*HOLDING.values(), *MODIFIED.values()], ids=[*HOLDING, *MODIFIED])
    @contract("write", "conditions")
    async def test_a_condition_on_the_source_that_holds_lets_a_copy_through(self, backend: Backend, made: Made) -> None:
        source = await backend.put("source", b"bytes")
        await backend.copy("source", "target", CopyOptions(source=made(source)))
        assert await read(backend, "target") == b"bytes"

    @pytest.mark.parametrize("made", [*FAILING.values(), *NOT_MODIFIED.values()], ids=[*FAILING, *NOT_MODIFIED])
    @contract("write", "overwrite", "conditions")
    async def test_a_condition_on_the_source_that_fails_lets_a_copy_change_nothing(
        self, backend: Backend, made: Made
    ) -> None:
        source = await backend.put("source", b"bytes")
        target = await backend.put("target", b"old")
        with pytest.raises(PreconditionFailed):
            await backend.copy("source", "target", CopyOptions(source=made(source)))
        await unchanged(backend, "target", (target, b"old"))

    @contract("write", without="conditions")
    async def test_an_undeclared_condition_is_refused_and_never_ignored(self, backend: Backend) -> None:
        before = await backend.put("key", b"old")
        for conditions in (ONLY_IF_ABSENT, Conditions(if_match=(before.etag,)), Conditions(if_match="*")):
            with pytest.raises(REFUSED):
                await _put(backend, "key", conditions)
            with pytest.raises(REFUSED):
                await _copy(backend, "key", conditions)
            with pytest.raises(REFUSED):
                await backend.uploads.begin("key", PutOptions(conditions=conditions))
            if backend.capabilities.delete:
                with pytest.raises(REFUSED):
                    await backend.delete("key", conditions)
        assert await found(backend, "key") == (before, b"old")
