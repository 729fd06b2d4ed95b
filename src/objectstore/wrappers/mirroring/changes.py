"""Changes of a key, one after the other, with marks on the children that could miss them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from objectstore.errors import AlreadyExists, NotFound, ObjectStoreError, PreconditionFailed, Unavailable
from objectstore.values import ObjectInfo
from objectstore.wrappers.mirroring import marks
from objectstore.wrappers.mirroring.child import AWAY, Child
from objectstore.wrappers.mirroring.marks import Mark

_log: Final = logging.getLogger("objectstore.mirroring")
_PATIENCE: Final = 10.0  # seconds to wait for another process's change of the same key
_LEASE: Final = 60.0  # seconds after which a change of another machine that says nothing new counts as dead
_POLL: Final = 0.02  # seconds


@dataclass(slots=True)
class _Place:
    """The mark on one child."""

    child: Child
    mark: Mark
    etag: str
    inherited: Mark | None  # what an earlier change left here
    settled: bool = False  # the child is known to hold what the first one does


class Change:
    """A key that nobody else changes now; every child but the first bears a mark on it.

    Until a child is told to be settled, its mark stays, whatever becomes of this process.
    """

    def __init__(self, key: str, children: Sequence[Child], seen: dict[str, tuple[str, float]], mark: Mark) -> None:
        self.key = key
        self.before: ObjectInfo | None = None  # what the first child held
        self._first, *self._others = children
        self._seen = seen
        self._mark = mark
        self._places: list[_Place] = []

    def inherited(self, child: Child) -> Mark | None:
        """The mark that an earlier change left on the child."""
        return next(place.inherited for place in self._places if place.child is child)

    def settle(self, *children: Child) -> None:
        """These children hold what the first one does."""
        for place in self._places:
            place.settled = place.settled or place.child in children

    def unsettle(self) -> None:
        """Every child is about to be changed."""
        for place in self._places:
            place.settled = False

    def nothing_changed(self) -> None:
        """The first child refused: all are as they were, those that had missed something included."""
        for place in self._places:
            place.settled = place.inherited is None

    async def begin(self) -> None:
        # The first mark is the lock: two processes that are at the same key meet at the same child.
        for child in self._others:
            try:
                self._places.append(await self._taken(child, lock=child is self._others[0]))
            except ObjectStoreError as error:
                raise child.told(error, "so nothing was changed") from error
        try:
            self.before = await self._first.current(self.key)
        except AWAY as error:
            raise self._first.told(error, "so nothing was changed") from error

    async def end(self) -> None:
        """Remove the marks of settled children, and say on the others that nobody is at the change any more.

        Raises:
            Unavailable: another process took this one for dead, and the two may have met; marks say so again.
        """
        for place in self._places:
            if not place.settled:
                await self._leave(place)
        overtaken = [place.child for place in self._places if place.settled and not await self._unmarked(place)]
        if overtaken:
            raise Unavailable(
                f"the change of {self.key!r} took so long that another process took it for dead; "
                f"{overtaken[0].name} may differ now: write it again, or run 'objectstore check --repair'"
            )

    async def _taken(self, child: Child, *, lock: bool) -> _Place:
        waited_until = time.monotonic() + _PATIENCE
        found: tuple[Mark, str] | None = None
        while True:
            mark, over = self._mark, None
            if found is not None:
                mark, over = replace(mark, deleting=mark.deleting or found[0].deleting), found[1]
            try:
                if found is None or not lock or self._dead(*found):
                    etag = await child.put_mark(mark, over)
                    self._seen.pop(self.key, None)
                    return _Place(child, mark, etag, None if found is None else found[0])
                if time.monotonic() > waited_until:
                    raise Unavailable(f"another process is at {self.key!r}, or was when it ended", retry_after=1)
                await asyncio.sleep(_POLL)
            except PreconditionFailed:
                pass
            found = await child.mark(self.key)

    def _dead(self, mark: Mark, etag: str) -> bool:
        dead = mark.dead
        if dead is None:
            first_etag, since = self._seen.setdefault(self.key, (etag, time.monotonic()))
            if first_etag != etag:
                self._seen[self.key] = (etag, time.monotonic())
                return False
            return time.monotonic() - since > _LEASE
        return dead

    async def _leave(self, place: _Place) -> None:
        # Where this does not arrive, other processes wait until they can take this one for dead.
        with suppress(ObjectStoreError):
            place.etag = await place.child.put_mark(replace(place.mark, process=""), place.etag)

    async def _unmarked(self, place: _Place) -> bool:
        try:
            await place.child.remove_mark(self.key, place.etag)
        except (NotFound, PreconditionFailed):
            await self._mark_again(place.child)
            return False
        except ObjectStoreError as error:
            # Nothing is wrong but that this child will not be trusted until the next change or check.
            _log.warning("%s: the mark on %r could not be removed: %s", place.child.name, self.key, error)
        return True

    async def _mark_again(self, child: Child) -> None:
        try:
            await child.put_mark(self._mark, None)
        except AlreadyExists:
            pass  # whoever overtook us is not done, and will find its own mark changed or write after us
        except ObjectStoreError as error:
            _log.error("%s: may differ at %r, and could not be marked: %s", child.name, self.key, error)


class Changes:
    """The changes of one mirror. In one process they wait for their turn; between processes, at the first mark."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        self._seen: dict[str, tuple[str, float]] = {}  # marks of other machines, since when they are the same

    @asynccontextmanager
    async def change(self, key: str, *, deleting: bool = False) -> AsyncIterator[Change]:
        """Raises Unavailable, with nothing changed, when a child does not answer."""
        async with self._turn(key):
            mark = marks.new_mark(key, deleting=deleting)
            change = Change(key, self._children, self._seen, mark)
            marks.enter(mark)
            try:
                try:
                    await change.begin()
                except ObjectStoreError:
                    change.nothing_changed()
                    raise
                yield change
            finally:
                try:
                    await change.end()
                finally:
                    marks.leave(mark)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        lock, users = self._turns.get(key, (asyncio.Lock(), 0))
        self._turns[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._turns.pop(key)
            if users > 1:
                self._turns[key] = lock, users - 1
