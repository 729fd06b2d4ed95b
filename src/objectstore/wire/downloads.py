"""One object on its way in: counted and hashed, and where to go on after the connection was lost."""

from __future__ import annotations

import hashlib
from typing import Protocol

from objectstore.errors import Corrupted, Unsupported
from objectstore.values import Bounded, ByteRange, Conditions, ObjectInfo
from objectstore.wire.headers import format_etag
from objectstore.wire.ranges import format_content_range
from objectstore.wire.replies import Reply, check_span, read_info, read_span
from objectstore.wire.requests import Request, get_object
from objectstore.wire.retries import ConnectionFailed


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Download:
    """Bytes `start` to `stop` (end exclusive) of an object, of which those up to `position` have arrived."""

    def __init__(self, request: Request, reply: Reply, wanted: ByteRange | None) -> None:
        """Raises InternalError: the reply is none of an object store; Unsupported: it is not the range."""
        if wanted is not None and reply.status != 206:
            raise Unsupported("the server does not serve ranges: it answered with the whole object")
        self.info: ObjectInfo = read_info(reply, request)
        self.start, self.stop = check_span(read_span(reply, request), wanted, reply, request)
        self.position = self.start
        whole = self.start == 0 and self.stop == self.info.size
        self._digest = self.info.digests.get("sha-256") if whole else None
        self.sha256: Hash = hashlib.sha256()  # of what arrives; whoever reads may have another way to compute it
        self._cuts = 0
        self._cut_at = -1

    def feed(self, chunk: bytes) -> None:
        """Take note of the bytes that came next. Raises Corrupted: more than there are."""
        self.position += len(chunk)
        if self.position > self.stop:
            raise Corrupted(f"more than the {self.stop - self.start} bytes announced arrived of {self.info.key!r}")
        if self._digest is not None:
            self.sha256.update(chunk)

    def finish(self) -> None:
        """Nothing, when all has arrived. Raises Corrupted; ConnectionFailed when it ended early."""
        if self.position < self.stop:
            missing = self.stop - self.position
            raise ConnectionFailed(f"the body of {self.info.key!r} ended {missing} bytes early", sent=True)
        if self._digest is not None and self._digest != self.sha256.digest():
            raise Corrupted(f"what arrived of {self.info.key!r} has not the SHA-256 digest that the server tells of it")

    def cut(self) -> int:
        """Take note that the connection was lost; how often that had happened since bytes last arrived."""
        self._cuts = self._cuts + 1 if self.position == self._cut_at else 0
        self._cut_at = self.position
        return self._cuts

    def rest(self) -> Request:
        """The request for what is missing, of the very same version."""
        same = Conditions(if_match=(self.info.etag,))
        return get_object(self.info.key, Bounded(self.position, self.stop), same)

    def continues(self, reply: Reply) -> bool:
        """Whether the reply to `rest` carries just that."""
        span = format_content_range(self.position, self.stop, self.info.size)
        return reply.status == 206 and reply.fields.get(b"content-range") == span

    def starts_over(self, reply: Reply) -> bool:
        """Whether the reply to `rest` carries all of the object: the server serves no ranges."""
        return reply.status == 200 and reply.fields.get(b"etag") == format_etag(self.info.etag)
