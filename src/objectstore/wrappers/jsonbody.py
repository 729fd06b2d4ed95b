"""Objects that are JSON."""

from __future__ import annotations

from objectstore.backends.contract import Backend
from objectstore.wrappers.jsongrammar import JsonGrammar
from objectstore.wrappers.textencoding import Utf8Check
from objectstore.wrappers.validating import Validating


class JsonOnly(Validating):
    """Takes bodies that are JSON (RFC 8259: UTF-8, no byte order mark), and keeps their bytes as they came."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, JsonCheck, name="JsonStore", note="A body that is not JSON is refused.")


class JsonCheck:
    """Whether bytes are one JSON text. Raises BadRequest."""

    def __init__(self) -> None:
        self._text = Utf8Check()
        self._grammar = JsonGrammar()

    def feed(self, data: bytes, /) -> None:
        self._grammar.feed(self._text.decode(data))

    def finish(self) -> None:
        self._grammar.feed(self._text.decode(b"", final=True))
        self._grammar.finish()
