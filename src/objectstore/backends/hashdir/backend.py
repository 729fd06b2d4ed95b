"""Where the files lie, and what makes them listable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Unpack

from objectstore.backends.filesystem.backend import FilesystemBackend, Options
from objectstore.backends.filesystem.layout import Layout
from objectstore.backends.hashdir.index import KeyIndex
from objectstore.errors import ConfigurationError
from objectstore.values import ListPage, ListQuery, ObjectInfo

_INDEX: Final = "keys.sqlite3"
_DIGITS: Final = 64  # of a SHA-256 in hexadecimal


class HashdirBackend(FilesystemBackend):
    """Objects as files named by the SHA-256 of their key; the rest is a `FilesystemBackend`'s.

    The 64 hexadecimal digits are cut into `depth` folder names of `width` digits and the name of the file.

    Raises (on construction):
        ConfigurationError: no digit would be left for the name of the file, or `width` or `depth` is below 1.
    """

    def __init__(self, root: Path, *, width: int = 2, depth: int = 3, **options: Unpack[Options]) -> None:
        if width < 1 or depth < 1 or width * depth >= _DIGITS:
            raise ConfigurationError(
                f"HashdirStore: width={width} and depth={depth} have to be at least 1, and width × depth below "
                f"{_DIGITS}: the digits of a SHA-256, of which at least one names the file"
            )
        super().__init__(root, layout=_Hashed(width, depth), **options)


class _Hashed(Layout):
    name = "HashdirStore"
    notes = (
        "Objects that another program put there can be read, overwritten and deleted by their keys, but not listed.",
        "What another program put there has no attributes and digests.",
        "A new key costs one more write to disk, into the index of keys; a listing looks at each file that it names.",
        "Conditions hold between all processes of this program; other programs that write files know nothing of them.",
    )
    indexed = True

    def __init__(self, width: int, depth: int) -> None:
        self._width = width
        self._depth = depth
        self._index: KeyIndex | None = None

    def segments(self, key: str) -> Sequence[str]:
        digits = hashlib.sha256(key.encode()).hexdigest()
        cut = self._width * self._depth
        return [*(digits[at : at + self._width] for at in range(0, cut, self._width)), digits[cut:]]

    def list_page(self, root: int, query: ListQuery, describe: Callable[[str], ObjectInfo | None]) -> ListPage:  # noqa: ARG002  names on disk do not tell keys
        return self._opened.list_page(query, describe)

    def open(self, hidden: Path) -> None:
        self._index = KeyIndex(self.name, hidden / _INDEX)

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def appearing(self, key: str) -> None:
        self._opened.add(key)

    def gone(self, key: str) -> None:
        self._opened.remove(key)

    @property
    def _opened(self) -> KeyIndex:
        if self._index is None:
            raise RuntimeError("the index of keys is opened together with its store")
        return self._index
