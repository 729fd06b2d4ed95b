"""Keys spread by a hash: stores that slow down when neighbouring keys are busy see none."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.values import Capabilities, ListPage, ListQuery
from objectstore.wrappers.keymapping import KeyMapping
from objectstore.wrappers.scanning import READS_ALL_NAMES, scanned

MAX_HASH_LENGTH: Final = 64  # characters of a hex SHA-256


class HashPrefixed(KeyMapping):
    """Keeps `key` as the first characters of its hex SHA-256, the separator, and the key itself."""

    def __init__(self, inner: Backend, *, hash_length: int = 8, separator: str = "/") -> None:
        if not 1 <= hash_length <= MAX_HASH_LENGTH:
            raise ValueError(f"the hash length is 1 to {MAX_HASH_LENGTH} characters, not {hash_length}")
        super().__init__(inner, name="HashPrefixStore")
        self._hash_length = hash_length
        self._separator = separator

    @property
    def capabilities(self) -> Capabilities:
        told = super().capabilities
        return replace(told, notes=(*told.notes, READS_ALL_NAMES.format(within="")))

    def inside(self, key: str) -> str:
        digest = hashlib.sha256(key.encode()).hexdigest()
        return digest[: self._hash_length] + self._separator + key

    def outside(self, inner_key: str) -> str | None:
        key = inner_key[self._hash_length + len(self._separator) :]
        return key if key and self.inside(key) == inner_key else None

    async def list(self, query: ListQuery) -> ListPage:
        return await scanned(self._inner, query, within="", outside=self.outside, head=self.head)
