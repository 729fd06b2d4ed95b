"""An object that is written bit by bit, for both kinds of files: visible when it is finished, and not before."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import Final

from objectstore.client.sources import InHand
from objectstore.client.steps import Work, local
from objectstore.errors import AlreadyExists, Corrupted, InvalidParameter, NotFound, ObjectStoreError
from objectstore.values import Attributes, Conditions, ObjectInfo
from objectstore.wire import flows
from objectstore.wire.replies import UploadedPart
from objectstore.wire.retries import Retries

BUFFER_SIZE: Final = 1024 * 1024  # bytes


class Writing:
    """What has been written is held until it fills a part, and a part until it has arrived."""

    def __init__(
        self, key: str, attributes: Attributes, conditions: Conditions, part_size: int, retries: Retries
    ) -> None:
        self.key = key
        self.size = 0  # bytes written
        self._attributes = attributes
        self._conditions = conditions
        self._part_size = part_size
        self._retries = retries
        self._held = bytearray()
        self._upload_id = ""
        self._parts: list[UploadedPart] = []
        self._sha256 = hashlib.sha256()  # of what has arrived
        self._hashed = self._sha256  # with what is being sent

    @property
    def is_full(self) -> bool:
        """Whether `send` has to be called before more is added."""
        return len(self._held) >= self._part_size

    def add(self, data: memoryview) -> int:
        """Hold as much of it as fits; how many bytes that is."""
        taken = min(len(data), self._part_size - len(self._held))
        self._held += data[:taken]
        self.size += taken
        return taken

    def check(self) -> Work[None]:
        """Raises AlreadyExists: an object is there, and only a new one is wanted."""
        if self._conditions.if_none_match == "*":
            with suppress(NotFound):
                yield from flows.head(self.key, self._retries)
                raise AlreadyExists(self.key)

    def send(self) -> Work[None]:
        """Send what is held as the next part. When that fails it is held on to."""
        if not self._upload_id:
            begun = yield from flows.begin_upload(self.key, self._attributes, self._conditions, self._retries)
            self._upload_id = begun.upload_id
        piece = yield from local(self._piece)
        part = yield from flows.put_part(self._upload_id, len(self._parts) + 1, piece, self._retries)
        self._parts.append(part)
        self._sha256 = self._hashed
        self._held.clear()

    def finish(self) -> Work[ObjectInfo]:
        """Make the object visible. When that fails nothing is left."""
        if not self._upload_id:
            body = InHand(bytes(self._held))
            return (yield from flows.put(self.key, body, self._attributes, self._conditions, self._retries))
        try:
            if self._held:
                yield from self.send()
            info = yield from flows.complete_upload(self._upload_id, self._parts, self._retries)
        except Exception:
            yield from self.drop()
            raise
        if info.digests.get("sha-256", self._sha256.digest()) != self._sha256.digest():
            raise Corrupted(
                f"the object stored under {self.key!r} is wrong: its SHA-256 digest is not that of the bytes that were "
                "written; write it again"
            )
        return info

    def _piece(self) -> InHand:
        self._hashed = self._sha256.copy()
        self._hashed.update(self._held)
        return InHand(bytes(self._held))

    def drop(self) -> Work[None]:
        """Leave nothing of it."""
        self._held.clear()
        if self._upload_id:
            with suppress(ObjectStoreError):  # it expires by itself
                yield from flows.abort_upload(self._upload_id, self._retries)


def exclusive(conditions: Conditions, mode: str) -> Conditions:
    """With "x" in the mode, only a new object is wanted."""
    return replace(conditions, if_none_match="*") if "x" in mode else conditions


def check_mode(mode: str, buffer_size: int, part_size: int, kept: object) -> None:
    """Raises ValueError, InvalidParameter: a file cannot be opened so."""
    if mode not in {"rb", "wb", "xb"}:
        raise ValueError(f"a file is opened with 'rb', 'wb' or 'xb', not with {mode!r}; for text use io.TextIOWrapper")
    if mode == "rb" and kept:
        raise ValueError("what is said of an object is said when it is written")
    if buffer_size < 1 or part_size < 1:
        raise InvalidParameter("a buffer and a part have at least 1 byte")


def gone(key: str) -> str:
    return f"the object under {key!r} was overwritten or deleted while it was read; open it again"
