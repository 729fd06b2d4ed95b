"""What is done about one object of the source."""

from __future__ import annotations

from collections.abc import Mapping

from objectstore.backends.contract import Backend
from objectstore.core.digests import ALGORITHMS
from objectstore.errors import MethodNotAllowed, NotFound, ObjectStoreError, PreconditionFailed, Unsupported
from objectstore.transfer.comparison import Likeness, agree, compare
from objectstore.transfer.options import Options
from objectstore.transfer.passage import Passage, digests_at
from objectstore.transfer.patience import patiently
from objectstore.transfer.report import Copied, Event, Failed, Progress, Skipped, Warned
from objectstore.values import NO_ATTRIBUTES, ONLY_IF_ABSENT, UNCONDITIONAL, Conditions, ObjectInfo


class Carrier:
    """Brings objects to the target; one that cannot be brought is an event, never an error."""

    def __init__(self, source: Backend, target: Backend, options: Options, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._progress = progress
        self._warned = False

    def likeness(self, ours: ObjectInfo, theirs: ObjectInfo | None) -> Likeness:
        if theirs is None:
            return Likeness.DIFFERENT
        return compare(ours, theirs, checksum=self._options.checksum)

    async def bring(self, ours: ObjectInfo, theirs: ObjectInfo | None) -> Event:
        """Make the target's object, listed as `theirs`, the same as the source's."""
        key = ours.key
        try:
            if self._target.capabilities.listing:
                conditions = _unchanged(theirs)
            else:
                theirs, conditions = await self._look(key)
            if theirs is not None and await self._same(ours, theirs):
                return Skipped(key)
            if self._options.dry_run:
                return Copied(key, ours.size)
            return await self._copy(key, conditions)
        except PreconditionFailed:
            told = "somebody wrote it at the target since it was listed, which is kept; run again to compare anew"
            return Failed(key, PreconditionFailed(key, told))
        except ObjectStoreError as error:
            return Failed(key, error)

    async def _look(self, key: str) -> tuple[ObjectInfo | None, Conditions]:
        """What a target that cannot be listed has under the key, and how it may be replaced."""
        try:
            found = await patiently(lambda: self._target.head(key), self._options.retries)
        except NotFound:
            return None, ONLY_IF_ABSENT
        except (MethodNotAllowed, Unsupported):
            return None, UNCONDITIONAL  # it can only be written
        return found, _unchanged(found)

    async def _same(self, ours: ObjectInfo, theirs: ObjectInfo) -> bool:
        likeness = self.likeness(ours, theirs)
        if likeness is not Likeness.UNKNOWN:
            return likeness is Likeness.SAME
        # By the algorithm of the side that knows one, so that only the other is read.
        known = (ours.digests.keys() | theirs.digests.keys()) & ALGORITHMS
        algorithm = "sha-256" if "sha-256" in known else min(known, default="sha-256")
        here = await self._digests(self._source, ours, algorithm)
        there = await self._digests(self._target, theirs, algorithm)
        return bool(agree(here, there))

    async def _digests(self, backend: Backend, info: ObjectInfo, algorithm: str) -> Mapping[str, bytes]:
        if algorithm in info.digests:
            return info.digests
        return await patiently(lambda: digests_at(backend, info.key, {algorithm}), self._options.retries)

    async def _copy(self, key: str, conditions: Conditions) -> Event:
        if not self._target.capabilities.conditions:
            conditions = UNCONDITIONAL
        passage = Passage(self._source, self._target, key, conditions, self._progress)
        try:
            info = await patiently(passage.attempt, self._options.retries)
        except NotFound:
            return Skipped(key)  # the source has lost it since it was listed
        if info.attributes != NO_ATTRIBUTES and not self._target.capabilities.attributes and not self._warned:
            self._warned = True
            name = self._target.capabilities.name
            self._progress.happened(Warned(f"{name} keeps no content types and metadata: they are left behind"))
        return Copied(key, info.size)


def _unchanged(theirs: ObjectInfo | None) -> Conditions:
    return ONLY_IF_ABSENT if theirs is None else Conditions(if_match=(theirs.etag,))
