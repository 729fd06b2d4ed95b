"""Keeps each object in several stores, the children, and reads it from the first that has it.

**The first child decides.** A change is made on it first, conditions are checked there and are atomic there, and
the etag, the times and the digests outside are its own. So whatever happens, reading from it is right; what must
never happen is that another child answers in its stead with an object that it should not have any more.

**Before the first child is changed, every other child bears a mark on the key**, a small object under reserved
keys, and it loses the mark only when it is known to hold what the first one does. Hence:

- A child without a mark holds what the first child held when the last change of the key came to its end.
- After a crash at any point, or a write that failed on a child, or one of which nobody knows whether it arrived,
  there is a mark on every child that may have missed it. While the first child answers, nobody notices. While it
  does not, marked children are passed over, and if no other is left the read fails with Unavailable.
- The next change of the key that succeeds, or `check` with repair, puts things right and removes the mark.

A key that the first child does not have is looked for on the others: they may have been filled before they became
a mirror. There a mark says whether a deletion is under way, and the key therefore gone, or a write.

**A body goes to all children at once**, but its last chunk is held back until each of them has taken the rest: one
that is away, full or cannot hold the key ends the write before anything has changed. Then come, in this order:
marks; the last chunk to the first child, which accepts or refuses; the last chunk to the others; marks off.

**Two changes of one key take turns**: in a process by a lock, between processes by the mark on the second child,
which only one of them can create. A mark whose maker is dead is taken over. A maker that was only taken for dead
notices when it comes to remove its mark, marks the key again and fails.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields, replace
from types import TracebackType
from typing import Final, Self, TypeVar

from objectstore.backends.contract import Backend, Uploads
from objectstore.backends.finishing import to_its_end
from objectstore.backends.reading import chunks
from objectstore.backends.statistics import Level, Measured, levels_of, measured_of
from objectstore.core.conditions import check_source, check_write
from objectstore.core.streams import sized
from objectstore.errors import Corrupted, NotFound, ObjectStoreError, Unavailable, Unsupported
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)
from objectstore.wrappers.forwarding import COPY, GET, PUT
from objectstore.wrappers.mirroring.changes import Change, Changes
from objectstore.wrappers.mirroring.check import Finding, check
from objectstore.wrappers.mirroring.child import AWAY, Child
from objectstore.wrappers.mirroring.delivery import Delivery, DeliveryFailed, Write
from objectstore.wrappers.mirroring.listing import list_children
from objectstore.wrappers.mirroring.marks import check_unreserved, is_reserved
from objectstore.wrappers.mirroring.uploads import MirroredUploads

T = TypeVar("T")

_DELETES_AT_ONCE: Final = 16
_UNTOUCHED: Final = "so nothing was changed"


class Mirroring:
    """A mirror of `children`, the first of which decides. It opens and closes them."""

    def __init__(self, children: Sequence[Backend], *, name: str = "MirroringStore") -> None:
        if not children:
            raise ValueError("a mirror has at least one child")
        self._name = name
        self.children: Final = tuple(Child(number, backend) for number, backend in enumerate(children))
        self.changes: Final = Changes(self.children)
        self._first = self.children[0]
        self._uploads = MirroredUploads(self, self.children, self.changes)
        self._stack = AsyncExitStack()

    @property
    def capabilities(self) -> Capabilities:
        each = [child.backend.capabilities for child in self.children]
        able = {
            one.name: all(getattr(child, one.name) for child in each)
            for one in fields(Capabilities)
            if one.name not in {"name", "notes"}
        }
        # Marks are put on, taken over and taken off.
        able["write"] = able["delete"] = able["overwrite"] = able["write"] and able["overwrite"] and able["delete"]
        # Without conditions on the second child, where marks are locks, processes would not see each other.
        able["shared"] = able["shared"] and all(one.conditions for one in each[:2])
        able["conditions"] = each[0].conditions
        able["quotas"] = False  # parts are staged as objects
        return Capabilities(
            name=self._name,
            **able,
            notes=(
                "Each write goes to all stores and fails when one of them is away; reads go on from the others.",
                "Times and etags are those of the first store; another one answers with times of its own.",
                "Copies pass through the server.",
            ),
        )

    @property
    def uploads(self) -> Uploads:
        return self._uploads

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for child in self.children:
                await stack.enter_async_context(child.backend)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._uploads.settle()
        finally:
            await self._stack.aclose()

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        check_unreserved(key)
        self._check_capable(options)
        if options.conditions is not UNCONDITIONAL:
            # Now, so that a body that cannot be kept is not taken in; the check that counts is the first child's.
            check_write(options.conditions, key, await self._known(key))
        chosen = replace(options, etag=options.etag or secrets.token_hex(16))
        writes = [self._write(child, key, chosen) for child in self.children]
        async with Delivery(sized(body, options.size), writes) as delivery:
            try:
                await delivery.prepare()
            except DeliveryFailed as failure:
                if not isinstance(failure.error, ObjectStoreError):
                    raise failure.error from None  # a defect
                raise self.children[failure.number].told(failure.error, _UNTOUCHED) from failure.error
            return await to_its_end(self._commit(key, delivery))

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with AsyncExitStack() as stack:
            yield await self._answer(key, lambda child: stack.enter_async_context(child.opened(key, options)))

    async def head(self, key: str) -> ObjectInfo:
        return await self._answer(key, lambda child: child.head(key))

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        if not self.capabilities.delete:
            raise Unsupported(f"a store of this {self._name} cannot delete")
        check_write(conditions, key, await self.head(key))
        await to_its_end(self._delete(key, conditions))

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        turns = asyncio.Semaphore(_DELETES_AT_ONCE)

        async def delete(key: str) -> ObjectStoreError | None:
            async with turns:
                try:
                    await self.delete(key)
                except ObjectStoreError as error:
                    return error
                return None

        once = list(dict.fromkeys(keys))
        outcomes = dict(zip(once, await asyncio.gather(*map(delete, once)), strict=True))
        results: list[ObjectStoreError | None] = []
        for key in keys:
            results.append(outcomes[key])
            if outcomes[key] is None:
                outcomes[key] = NotFound(key)  # when it is named again
        return results

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        # Not by the children, each of which would give the copy another etag.
        async with self.get(source) as reading:
            info = reading.info
            check_source(options.source, info)
            attributes = info.attributes if options.attributes is None else options.attributes
            put = PutOptions(
                attributes=attributes, conditions=options.conditions, size=info.size, digests=frozenset(info.digests)
            )
            return await self.put(target, chunks(reading), put)

    async def list(self, query: ListQuery) -> ListPage:
        if not self.capabilities.listing:
            raise Unsupported(f"a store of this {self._name} cannot list")
        return await list_children(self.children, query)

    def measured(self) -> Sequence[Measured]:
        return measured_of([child.backend for child in self.children])

    async def levels(self) -> Sequence[Level]:
        return await levels_of([child.backend for child in self.children])

    async def check(self) -> None:
        for child in self.children:
            try:
                await child.backend.check()
            except ObjectStoreError as error:
                raise child.told(error, "nothing can be written until it answers") from error

    def findings(self, *, deep: bool = False, repair: bool = False) -> AsyncIterator[Finding]:
        """What differs between the children, as `check.check` tells and mends it."""
        return check(self.children, self.changes, deep=deep, repair=repair)

    def _check_capable(self, options: PutOptions) -> None:
        capabilities = self.capabilities
        if not capabilities.write:
            raise Unsupported(f"a store of this {self._name} cannot write, replace and delete")
        if options.conditions != UNCONDITIONAL and not capabilities.conditions:
            raise Unsupported(f"the first store of this {self._name} cannot check conditions together with a write")
        if options.attributes != NO_ATTRIBUTES and not capabilities.attributes:
            raise Unsupported(f"a store of this {self._name} does not keep content types and metadata")

    def _write(self, child: Child, key: str, options: PutOptions) -> Write:
        if not child.first:
            options = replace(options, conditions=UNCONDITIONAL)

        async def write(body: Body) -> ObjectInfo:
            return await child.backend.put(key, body, options)

        return write

    async def _known(self, key: str) -> ObjectInfo | None:
        try:
            return await self.head(key)
        except NotFound:
            return None

    async def _answer(self, key: str, ask: Callable[[Child], Awaitable[T]]) -> T:
        """What the first child says that can answer rightly."""
        if is_reserved(key):
            raise NotFound(key)
        try:
            return await ask(self._first)
        except NotFound as error:
            return await self._answer_for_absent(key, ask, error)
        except AWAY as error:
            return await self._answer_instead(key, ask, error)

    async def _answer_for_absent(self, key: str, ask: Callable[[Child], Awaitable[T]], absent: NotFound) -> T:
        for child in self.children[1:]:
            try:
                # In this order: a mark that is gone tells that a deletion has come to its end here, too.
                if await child.current(key) is None or ((found := await child.mark(key)) and found[0].deleting):
                    continue
                return await ask(child)
            except NotFound:
                continue
            except AWAY as error:
                raise child.told(error, f"whether it has {key!r}, which the others have not, is unknown") from error
        raise absent

    async def _answer_instead(self, key: str, ask: Callable[[Child], Awaitable[T]], away: ObjectStoreError) -> T:
        reasons = [f"{self._first.name}: {away}"]
        for child in self.children[1:]:
            try:
                if await child.mark(key) is None:
                    return await ask(child)
                reasons.append(f"{child.name} may have missed a change of it")
            except NotFound:
                reasons.append(f"{child.name} has no such object, and whether it should is unknown")
            except AWAY as error:
                reasons.append(f"{child.name}: {error}")
        message = f"no store of the mirror can tell what is under {key!r}: {'; '.join(reasons)}"
        raise Unavailable(message, retry_after=getattr(away, "retry_after", None)) from away

    async def _commit(self, key: str, delivery: Delivery) -> ObjectInfo:
        async with self.changes.change(key) as change:
            try:
                info = await delivery.finish(0)
            except AWAY as error:
                raise self._first.told(error, f"whether {key!r} was written is unknown") from error
            except ObjectStoreError:
                change.nothing_changed()
                raise
            others = self.children[1:]
            outcomes = await asyncio.gather(
                *(self._follow(child, info, delivery) for child in others), return_exceptions=True
            )
            failures = [(child, one) for child, one in zip(others, outcomes, strict=True) if one is not None]
            change.settle(*(child for child in others if all(child is not failed for failed, _ in failures)))
            if failures:
                raise await self._missed(failures, change, info)
            return info

    async def _follow(self, child: Child, first: ObjectInfo, delivery: Delivery) -> None:
        info = await delivery.finish(child.number)
        wanted = first.digests.get("sha-256")
        if info.size != first.size or info.digests.get("sha-256", wanted) != (wanted or info.digests.get("sha-256")):
            raise Corrupted("what it stored is not what was sent")
        await child.keep_etag(info, first.etag)

    async def _missed(
        self, failures: Sequence[tuple[Child, BaseException]], change: Change, info: ObjectInfo
    ) -> BaseException:
        child, error = failures[0]
        if not isinstance(error, ObjectStoreError):
            return error  # a defect
        if change.before is None and not any(isinstance(one, AWAY) for _, one in failures):
            await self._undo(change, info)
            return child.told(error, _UNTOUCHED)
        consequence = (
            f"it missed a change of {change.key!r}, which others have: reads take that into account, "
            "and writing again or 'objectstore check --repair' mends it"
        )
        return child.unavailable(error, consequence)

    async def _undo(self, change: Change, info: ObjectInfo) -> None:
        """Take a new object back that a child has refused: as with a key that it cannot hold."""
        # The first child last: until then it has the truth.
        for child in reversed(self.children[1:]):
            await child.remove(change.key)
        await self._first.backend.delete(change.key, Conditions(if_match=(info.etag,)))
        change.settle(*self.children)

    async def _delete(self, key: str, conditions: Conditions) -> None:
        async with self.changes.change(key, deleting=True) as change:
            if change.before is None:
                await self._delete_absent(key, conditions, change)
                return
            try:
                await self._first.backend.delete(key, conditions)
            except AWAY as error:
                raise self._first.told(error, f"whether {key!r} was deleted is unknown") from error
            except ObjectStoreError:
                change.nothing_changed()
                raise
            await self._delete_others(key, change)

    async def _delete_absent(self, key: str, conditions: Conditions, change: Change) -> None:
        """Delete what the first child does not have."""
        visible: ObjectInfo | None = None
        for child in self.children[1:]:
            inherited = change.inherited(child)
            if visible is None and not (inherited and inherited.deleting):
                visible = await child.current(key)
        if visible is not None:
            try:
                check_write(conditions, key, visible)
            except ObjectStoreError:
                change.nothing_changed()
                raise
        await self._delete_others(key, change)
        if visible is None:
            raise NotFound(key)

    async def _delete_others(self, key: str, change: Change) -> None:
        failed: tuple[Child, ObjectStoreError] | None = None
        for child in self.children[1:]:
            try:
                await child.remove(key)
            except ObjectStoreError as error:
                failed = failed or (child, error)
            else:
                change.settle(child)
        if failed is not None:
            child, why = failed
            consequence = f"it still has {key!r}, which is gone elsewhere; 'objectstore check --repair' mends it"
            raise child.unavailable(why, consequence) from why
