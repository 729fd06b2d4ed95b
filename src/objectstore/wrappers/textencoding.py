"""Text that comes and goes as UTF-8 and is stored in a character encoding of choice."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.errors import BadRequest, ConfigurationError, Corrupted
from objectstore.wrappers.transforming import Form, Transforming
from objectstore.wrappers.validating import Validating

NAME: Final = "TextEncodingStore"


def encoding_name(encoding: str) -> str:
    """Python's own name of a character encoding. Raises ConfigurationError for what is none."""
    try:
        # Not `codecs.lookup` alone, which knows codecs from bytes to bytes, too.
        "".encode(encoding)
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise ConfigurationError(
            f"{encoding!r} is no character encoding that Python knows; write for instance utf-8, latin-1 or utf-16"
        ) from error


def stored_as_text(inner: Backend, encoding: str = "utf-8") -> Backend:
    """The wrapper that stores UTF-8 text in `encoding`. Raises ConfigurationError for an unknown one."""
    name = encoding_name(encoding)
    if name == "utf-8":
        return Validating(inner, Utf8Check, name=NAME, note="A body that is not UTF-8 text is refused.")
    return Reencoded(inner, name)


class Reencoded(Transforming):
    """Keeps UTF-8 text in another encoding. Text that would not come back as it is is refused."""

    def __init__(self, inner: Backend, encoding: str) -> None:
        name = encoding_name(encoding)
        super().__init__(inner, Form(name, lambda: TextEncoder(name), lambda: TextDecoder(name)), name=NAME)


class Utf8Check:
    """Whether bytes are UTF-8 text. Raises BadRequest."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes, /) -> None:
        self.decode(data)

    def finish(self) -> None:
        self.decode(b"", final=True)

    def decode(self, data: bytes, *, final: bool = False) -> str:
        """The text that has come to be whole."""
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise BadRequest(f"the body is not UTF-8 text: {error.reason}") from error


class TextEncoder:
    """What is encoded is decoded again: some encodings turn characters into others, and some cannot be cut."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._text = Utf8Check()
        self._encoder = codecs.getincrementalencoder(encoding)()
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._expected = ""

    def feed(self, data: bytes, /) -> bytes:
        return self._encode(self._text.decode(data), final=False)

    def finish(self) -> bytes:
        stored = self._encode(self._text.decode(b"", final=True), final=True)
        if self._expected:
            raise self._refusal("it would not come back")
        return stored

    def _encode(self, text: str, *, final: bool) -> bytes:
        try:
            stored = self._encoder.encode(text, final)
            back = self._decoder.decode(stored, final)
        except UnicodeError as error:
            raise self._refusal(str(error)) from error
        self._expected += text
        if not self._expected.startswith(back):
            raise self._refusal("a character would come back as another")
        self._expected = self._expected[len(back) :]
        return stored

    def _refusal(self, reason: str) -> BadRequest:
        return BadRequest(f"the text cannot be stored in {self._encoding}: {reason[:200]}")


class TextDecoder:
    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        if text := self._decode(data, final=False):
            yield text

    def finish(self) -> bytes:
        return self._decode(b"", final=True)

    def _decode(self, data: bytes, *, final: bool) -> bytes:
        try:
            return self._decoder.decode(data, final).encode()
        except UnicodeError as error:
            raise Corrupted(f"what is stored is not text in {self._encoding}: {str(error)[:200]}") from error
