"""Uploads in parts to a bucket: parts wait as objects of the store's own, and are joined within the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from objectstore.backends.contract import Backend
from objectstore.backends.staged import StagedUploads, key_of_part
from objectstore.backends.uploadstate import UploadState
from objectstore.errors import InvalidPart, NotFound
from objectstore.values import ObjectInfo, Part, PutOptions

LEAST_PART: Final = 5 * 1024 * 1024  # bytes: S3 joins smaller ones only as the last

Join: TypeAlias = Callable[[str, Sequence[tuple[str, Part]], PutOptions], Awaitable[ObjectInfo | None]]
"""Makes an object of objects of the staging, by their keys there; None when the service cannot."""


class BucketUploads(StagedUploads):
    """As `StagedUploads`, which reads all parts and writes them as one object: that is spared where it may be.

    It may not where a digest of the whole was announced or asked for, since nobody would have seen the whole.
    """

    def __init__(
        self,
        target: Backend,
        staging: Backend,
        join: Join,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        super().__init__(target, staging, clock=clock, new_id=new_id)
        self._join = join

    async def store(self, state: UploadState, parts: Sequence[Part], options: PutOptions) -> ObjectInfo:
        large = all(part.size >= LEAST_PART for part in parts[:-1]) and parts[0].size >= LEAST_PART
        if large and not options.expected and not options.digests:
            chosen = [(key_of_part(state.upload_id, part.number), part) for part in parts]
            try:
                joined = await self._join(state.key, chosen, options)
            except NotFound as error:
                raise InvalidPart("a part was removed during completion") from error
            if joined is not None:
                return joined
        return await super().store(state, parts, options)
