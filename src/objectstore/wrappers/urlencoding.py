"""Keys percent-encoded, for stores that cannot hold every character."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, unquote

from objectstore.backends.contract import Backend
from objectstore.values import Capabilities, ListPage, ListQuery
from objectstore.wrappers.keymapping import KeyMapping
from objectstore.wrappers.scanning import READS_ALL_NAMES, scanned


class UrlEncoded(KeyMapping):
    """Keeps `key` with all but letters, digits, `-._~` and `/` as `%` and upper-case hex of their UTF-8 bytes."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, name="UrlEncodingStore")

    @property
    def capabilities(self) -> Capabilities:
        told = super().capabilities
        return replace(told, notes=(*told.notes, READS_ALL_NAMES.format(within=" with its prefix")))

    def inside(self, key: str) -> str:
        return quote(key, safe="/")

    def outside(self, inner_key: str) -> str | None:
        key = unquote(inner_key)
        # Spelled in another way, it is the object of no key: asked for by this one, another name would be looked at.
        return key if self.inside(key) == inner_key else None

    async def list(self, query: ListQuery) -> ListPage:
        # Each character is encoded by itself, so keys with a prefix are names with the prefix encoded.
        within = self.inside(query.prefix)
        return await scanned(self._inner, query, within=within, outside=self.outside, head=self.head)
