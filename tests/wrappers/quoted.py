"""A wrapper for tests: any bytes as a JSON text, for stores that take nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from objectstore.backends.contract import Backend
from objectstore.errors import Corrupted
from objectstore.wrappers.base64ed import Base64Decoder, Base64Encoder
from objectstore.wrappers.transforming import Form, Transforming


class Quoted(Transforming):
    """Keeps a body as its Base64 in quotes."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, Form("quoted", _Encoder, _Decoder), name="Quoted")


class _Encoder(Base64Encoder):
    def __init__(self) -> None:
        super().__init__()
        self._opening = b'"'

    def feed(self, data: bytes, /) -> bytes:
        opening, self._opening = self._opening, b""
        return opening + super().feed(data)

    def finish(self) -> bytes:
        return self._opening + super().finish() + b'"'


class _Decoder:
    def __init__(self) -> None:
        self._base64 = Base64Decoder()
        self._quotes = 0

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        self._quotes += data.count(b'"')
        yield from self._base64.feed(data.replace(b'"', b""))

    def finish(self) -> bytes:
        if self._quotes != 2:
            raise Corrupted("this is not one quoted text")
        return self._base64.finish()
