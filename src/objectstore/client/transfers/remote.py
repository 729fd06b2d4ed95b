"""An object of another server, as what is uploaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objectstore.values import Bounded, Conditions, ObjectInfo

if TYPE_CHECKING:
    from objectstore.client.sync import RestStore


class RemoteContent:
    """One version of an object, read by ranges whenever somebody takes some of it.

    Reading raises PreconditionFailed or NotFound when the object is no longer the same.
    """

    def __init__(self, store: RestStore, info: ObjectInfo, place: str) -> None:
        """`place` names the object and its server, so that an upload that was broken off is found again."""
        self.size = info.size
        self.digest = info.digests.get("sha-256")
        self.place = place
        self.identity = [info.etag, info.size]
        self._store = store
        self._key = info.key
        self._same = Conditions(if_match=(info.etag,))

    def read_at(self, position: int, size: int) -> bytes:
        stop = min(self.size, position + size)
        return self._store.get(self._key, range=Bounded(position, stop), conditions=self._same) if size else b""

    def check(self) -> None:
        """Each read has been of the same version."""
