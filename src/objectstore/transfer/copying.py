"""The copy of a store: two listings side by side, and what follows from each key.

- Listings are walked once, a page ahead; what is equal in them costs nothing more.
- Objects are brought by tasks, as many as `Room` lets in. Each fails for itself.
- What is to be deleted waits until everything is copied, so that nothing goes for which nothing came.
- Every write holds only for the version of the target's object that was listed, where the target has conditions.
- A copy that is cancelled, or killed, leaves whole objects; the next one finds them equal and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.errors import ConfigurationError, StorageFull, Unauthenticated, Unavailable, Unsupported
from objectstore.transfer.carrier import Carrier
from objectstore.transfer.comparison import Likeness
from objectstore.transfer.options import Options
from objectstore.transfer.removal import Surplus, remove
from objectstore.transfer.report import Deleted, Event, Failed, Progress, Silent, Skipped, Stopped, Summary, Tally
from objectstore.transfer.room import Room
from objectstore.transfer.walk import ListingFailed, side_by_side, walk
from objectstore.values import ObjectInfo

_HOPELESS: Final = (Unauthenticated, ConfigurationError, StorageFull)  # the next object would fail alike
_AWAY: Final = 10  # objects in a row for which a store was away, each after all its tries: it stays away
_DEFAULT: Final = Options()
_SILENT: Final = Silent()


async def copy_store(
    source: Backend, target: Backend, options: Options = _DEFAULT, progress: Progress = _SILENT
) -> Summary:
    """Copy every object below the prefix from one open backend to another, unless the target has the same.

    What "the same" is, `comparison.compare` says. One object that fails does not stop the others: the summary tells
    of it, and of what did stop the copy. An object that somebody else writes at the target meanwhile is left alone and
    told as failed, where the target has conditions. Cancelled, it leaves whole objects only.

    Source and target must not be one store or lie in each other, which only the caller can know.

    Raises:
        Unsupported: the source cannot be listed, or the target cannot be written or, with `delete`, deleted from.
        ValueError: source and target are one backend.
    """
    if source is target:
        raise ValueError("a store is not copied to itself")
    if not source.capabilities.listing:
        raise Unsupported(f"{source.capabilities.name} cannot be listed, so nobody knows what is to be copied from it")
    if not target.capabilities.write:
        raise Unsupported(f"{target.capabilities.name} cannot be written, so nothing can be copied to it")
    if options.delete and not (target.capabilities.delete and target.capabilities.listing):
        raise Unsupported(f"{target.capabilities.name} cannot be listed and deleted from, so nothing is deleted there")
    return await _Copy(source, target, options, progress).run()


class _Copy:
    def __init__(self, source: Backend, target: Backend, options: Options, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._progress = progress
        self._carrier = Carrier(source, target, options, progress)
        self._tally = Tally()
        self._stopped: Stopped | None = None
        self._away = 0

    async def run(self) -> Summary:
        try:
            with Surplus() as surplus:
                await self._bring_all(surplus)
                if surplus.count and self._may_delete(surplus.count):
                    await self._remove_all(surplus)
        except ExceptionGroup as raised:
            # Not of one object, which would be an event: of `progress`, or a bug. One of them says enough.
            raise raised.exceptions[0] from None
        return self._tally.summary(self._stopped)

    async def _bring_all(self, surplus: Surplus) -> None:
        room = Room(self._options.jobs)
        async with asyncio.TaskGroup() as group, aclosing(self._pairs()) as pairs:
            # Caught in here: what leaves the group as an error cancels what is on its way.
            try:
                async for ours, theirs in pairs:
                    if self._stopped is not None:
                        break
                    if ours is None:
                        if theirs is not None and self._options.delete:
                            surplus.add(theirs)
                    elif self._carrier.likeness(ours, theirs) is Likeness.SAME:
                        self._tell(Skipped(ours.key))
                    else:
                        await room.enter(ours.size)
                        work = partial(self._carrier.bring, ours, theirs)
                        group.create_task(self._in_room(room, ours.size, work))
            except ListingFailed as failure:
                self._stopped = Stopped(f"the listing of the {failure.whose} failed", failure.error)

    async def _pairs(self) -> AsyncGenerator[tuple[ObjectInfo | None, ObjectInfo | None], None]:
        prefix, retries = self._options.prefix, self._options.retries
        async with aclosing(walk(self._source, prefix, "source", retries)) as source:
            if not self._target.capabilities.listing:
                async for info in source:
                    yield info, None
                return
            async with (
                aclosing(walk(self._target, prefix, "target", retries)) as target,
                aclosing(side_by_side(source, target)) as pairs,
            ):
                async for pair in pairs:
                    yield pair

    def _may_delete(self, count: int) -> bool:
        if self._stopped is not None:
            return False
        if self._tally.failed:
            reason = Unsupported("what the source does not have is deleted only when everything else is copied")
        elif not self._tally.copied and not self._tally.skipped:
            # More likely a folder that is not mounted, or a mistyped prefix, than a wish to lose everything.
            reason = Unsupported("the source has no objects there, and a target is not emptied for that")
        else:
            return True
        self._stopped = Stopped(f"{count} objects that only the target has were not deleted", reason)
        return False

    async def _remove_all(self, surplus: Surplus) -> None:
        room = Room(self._options.jobs)
        async with asyncio.TaskGroup() as group:
            for key, etag in surplus:
                if self._stopped is not None:
                    break
                if self._options.dry_run:
                    self._tell(Deleted(key))
                    continue
                await room.enter(0)
                work = partial(remove, self._target, key, etag, self._options.retries)
                group.create_task(self._in_room(room, 0, work))

    async def _in_room(self, room: Room, size: int, work: Callable[[], Awaitable[Event]]) -> None:
        try:
            self._tell(await work())
        finally:
            room.leave(size)

    def _tell(self, event: Event) -> None:
        self._tally.add(event)
        self._progress.happened(event)
        if not isinstance(event, Failed):
            self._away = 0
            return
        self._away = self._away + 1 if isinstance(event.error, Unavailable) else 0
        if isinstance(event.error, _HOPELESS) or self._away >= _AWAY:
            self._stopped = self._stopped or Stopped("the copy was given up", event.error)
