"""Uploads in parts to a mirror."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from objectstore.backends.contract import Backend
from objectstore.backends.staged import StagedUploads
from objectstore.errors import ObjectStoreError, Unavailable
from objectstore.values import (
    COMPLETE,
    CompleteOptions,
    ObjectInfo,
)
from objectstore.wrappers.mirroring import marks
from objectstore.wrappers.mirroring.changes import Changes
from objectstore.wrappers.mirroring.check import mend
from objectstore.wrappers.mirroring.child import Child
from objectstore.wrappers.prefix import Prefixed


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return secrets.token_hex(16)


class MirroredUploads(StagedUploads):
    """Stages parts on the first child, and completes an upload on all."""

    def __init__(self, mirror: Backend, children: Sequence[Child], changes: Changes) -> None:
        staging = Prefixed(children[0].backend, marks.UPLOADS)
        super().__init__(mirror, staging, clock=_now, new_id=_new_id)
        self._children = children
        self._changes = changes

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        info = await super().complete(upload_id, parts, options)
        # An earlier attempt may have made the object on the first child and failed on another one.
        for child in self._children[1:]:
            try:
                mark = await child.mark_at(marks.mark_key(info.key))
            except ObjectStoreError as error:
                raise child.told(error, f"whether {info.key!r} has arrived there is unknown") from error
            if mark is not None and mark.dead is not False:
                await self._mend(info.key)
        return info

    async def _mend(self, key: str) -> None:
        left = [finding for finding in await mend(key, self._children, self._changes) if not finding.repaired]
        if left:
            raise Unavailable(f"{key!r} is not on all stores of the mirror: {left[0].message}")
