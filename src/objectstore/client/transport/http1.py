"""HTTP/1.1 as a client speaks it (RFC 9112): the head of a request, and an answer out of the bytes that arrive.

No connection is involved, so that a client that blocks and one that awaits share every rule.
"""

from __future__ import annotations

import re
from typing import Final

from objectstore.wire.headers import FieldList, Fields

MAX_HEAD: Final = 64 * 1024  # bytes of the head of an answer, or of a line between the chunks of its body
_END: Final = b"\r\n\r\n"
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


class Malformed(Exception):
    """What arrived is no answer of HTTP/1.1, or only the beginning of one."""


def format_head(method: str, target: str, host: str, fields: FieldList) -> bytes:
    """Raises ValueError: a field, or the target, would end its line and begin another."""
    lines = [f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n".encode("ascii")]
    lines += [b"%b: %b\r\n" % one for one in fields]
    lines.append(b"\r\n")
    head = b"".join(lines)
    breaks = len(fields) + 3
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        raise ValueError("no header field may hold the end of a line")
    return head


def announced(fields: FieldList) -> int | None:
    """Bytes that the body of a request is said to have; None for one that is sent in chunks."""
    return next((int(value) for name, value in fields if name == b"content-length"), None)


class Answer:
    """One answer, being fed what arrives. `status` is 0 until its head is there; interim ones (1xx) are passed over."""

    __slots__ = ("_chunked", "_left", "_method", "_pending", "done", "fields", "reusable", "status")

    def __init__(self, method: str) -> None:
        self.status = 0
        self.fields: Fields = {}
        self.done = False  # all of it has arrived
        self.reusable = False  # whether the connection may carry another request, once it is done
        self._method = method
        self._pending = b""
        self._left: int | None = None  # bytes of the body to come; None: it ends with the connection
        self._chunked: _Chunks | None = None

    def feed(self, data: bytes) -> bytes:
        """What `data`, which has come next, holds of the body. Raises Malformed."""
        if not self.status:
            data = self._pending + data if self._pending else data
            rest = self._begin(data)
            if rest is None:
                self._pending = data
                return b""
            self._pending = b""
            data = rest
        return self._body(data)

    def end(self) -> None:
        """The connection has ended. Raises Malformed: before the answer has."""
        if self.done:
            return
        if not self.status:
            raise Malformed("the server hung up without an answer")
        if self._left is not None or self._chunked is not None:
            raise Malformed("the answer ended early")
        self.done = True

    def _begin(self, data: bytes) -> bytes | None:
        """What follows the head; None while that is not whole."""
        while (end := data.find(_END)) >= 0:
            version, status, fields = _parse_head(data[:end])
            data = data[end + 4 :]
            if status >= 200:
                self._frame(version, status, fields)
                self.status, self.fields = status, fields
                return data
            if status == 101:
                raise Malformed("the server changes to a protocol that nobody asked for")
        # A mail server, say, is not waited for.
        if len(data) > MAX_HEAD or not b"HTTP/1.".startswith(data[:7]):
            raise Malformed(f"the answer is not HTTP/1.1; it begins: {data[:40]!r}")
        return None

    def _frame(self, version: bytes, status: int, fields: Fields) -> None:
        """How the end of the body is known (RFC 9112 §6.3), and whether the connection outlives it (§9.3)."""
        connection = fields.get(b"connection")
        if connection is None:
            self.reusable = version == b"1"
        else:
            options = {one.strip() for one in connection.lower().split(b",")}
            self.reusable = b"close" not in options and (version == b"1" or b"keep-alive" in options)
        coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
        if self._method == "HEAD" or status in {204, 304}:
            self._left = 0
        elif coding is not None:
            if coding.lower() != b"chunked":
                raise Malformed(f"the answer comes in a transfer coding that nobody asked for: {coding[:40]!r}")
            self._chunked = _Chunks()
            self.reusable &= length is None  # RFC 9112 §6.1: somebody on the way may have understood it otherwise
        elif length is not None:
            self._left = _parse_length(length)
        else:
            self.reusable = False

    def _body(self, data: bytes) -> bytes:
        if self._chunked is not None:
            data = self._chunked.feed(data)
            self.done = self._chunked.done
            self.reusable &= not self._chunked.surplus
            return data
        if self._left is None:
            return data
        if len(data) > self._left:
            # Bytes that nobody asked for: what else comes on this connection is not to be trusted.
            self.reusable = False
            data = data[: self._left]
        self._left -= len(data)
        self.done = not self._left
        return data


class _Chunks:
    """A body in chunks (RFC 9112 §7.1). Trailer fields are passed over."""

    def __init__(self) -> None:
        self.done = False
        self.surplus = False  # something came after the end
        self._pending = b""
        self._left = 0  # bytes of the chunk to come
        self._ending = False  # the line end after a chunk is to come
        self._last = False  # trailers are to come

    def feed(self, data: bytes) -> bytes:
        data = self._pending + data if self._pending else data
        self._pending = b""
        found: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                piece = data[at : at + self._left]
                found.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._ending = not self._left
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._pending = data[at:]
                if len(self._pending) > MAX_HEAD:
                    raise Malformed("a line between the chunks of the answer has no end")
                break
            self._line(data[at:end])
            at = end + 2
        self.surplus = self.done and at < len(data)
        return found[0] if len(found) == 1 else b"".join(found)

    def _line(self, line: bytes) -> None:
        if self._last:
            self.done = not line
        elif self._ending:
            if line:
                raise Malformed("a chunk of the answer is longer than it was said to be")
            self._ending = False
        else:
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise Malformed(f"a chunk of the answer has a size that is none: {line[:40]!r}")
            self._left = int(size[1], 16)
            self._last = not self._left


def _parse_head(raw: bytes) -> tuple[bytes, int, dict[bytes, bytes]]:
    """The minor version, the status and the fields, by their names in lower case."""
    lines = iter(raw.split(b"\r\n"))
    start = next(lines)
    status = start[9:12]
    if start[:7] != b"HTTP/1." or start[8:9] != b" " or not status.isdigit() or status < b"100" or start[12:13].strip():
        raise Malformed(f"the answer is not HTTP/1.1; it begins: {start[:40]!r}")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        # A line that begins with a space goes on with the one before: obsolete, and a way to smuggle (RFC 9112 §5.2).
        if not colon or not name or name != name.strip():
            raise Malformed(f"the answer has a header field that is none: {line[:40]!r}")
        name = name.lower()
        value = value.strip(b" \t")
        # Lines of one name are one field (RFC 9110 §5.3); of those that are not, as Set-Cookie, none is read here.
        fields[name] = fields[name] + b", " + value if name in fields else value
    return start[7:8], int(status), fields


def _parse_length(value: bytes) -> int:
    lengths = {one.strip() for one in value.split(b",")}
    length = lengths.pop()
    if lengths or not length.isdigit() or len(length) > 19:
        raise Malformed(f"the answer has a length that is none: {value[:40]!r}")
    return int(length)
