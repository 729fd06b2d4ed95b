"""Keys in byte order by lazy descent: a folder is looked into only when its keys are next.

In a folder, entries are taken in the order of their keys, in which a folder counts with its slash: `a.txt` comes
before what is in `a`, for "." sorts before "/". A page costs one look into each folder that its keys lie in, or
that lies on the way to them; folders before its start, outside its prefix, or in a group that is already found are
not entered. Reading one folder is one step, whatever its size: a page from a folder of a million files reads a
million names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from objectstore.backends.filesystem import folders
from objectstore.backends.filesystem.paths import HIDDEN, is_key
from objectstore.core.listing import PageBuilder, group_of
from objectstore.values import ListPage, ListQuery, ObjectInfo

_AFTER_SLASH: Final = "0"  # the character that follows "/": `a0` is the smallest string after all that begin with `a/`


def list_page(root: int, query: ListQuery, describe: Callable[[str], ObjectInfo | None]) -> ListPage:
    """The page that answers `query`; `describe` tells of a key, or None when it is gone by now."""
    return _Walk(root, query, describe).page()


class _Walk:
    def __init__(self, root: int, query: ListQuery, describe: Callable[[str], ObjectInfo | None]) -> None:
        self._root = root
        self._query = query
        self._describe = describe
        self._builder = PageBuilder(query)

    def page(self) -> ListPage:
        # A stack of our own: a key may have 512 segments, more than there should be open folders or frames.
        open_folders = [iter(self._entries(""))]
        while open_folders:
            path = next(open_folders[-1], None)
            if path is None:
                open_folders.pop()
            elif path[-1] != "/":
                if not self._offer(path):
                    break
            elif self._is_wanted(path):
                if self._is_grouped(path):
                    if (key := self._any_object(path)) is not None and not self._builder.offer(key):
                        break
                else:
                    open_folders.append(iter(self._entries(path)))
        return self._builder.page()

    def _offer(self, key: str) -> bool:
        position = self._builder.position
        if position is None:
            return False
        if key < position:
            return True
        info = None
        if self._query.details and group_of(key, self._query) is None:
            info = self._describe(key)
            if info is None:
                return True
        return self._builder.offer(key, info)

    def _is_wanted(self, path: str) -> bool:
        """Whether keys that begin with `path`, which ends with a slash, may belong to the page."""
        position = self._builder.position
        prefix = self._query.prefix
        return (
            position is not None
            and path[:-1] + _AFTER_SLASH > position
            and (path.startswith(prefix) or prefix.startswith(path))
        )

    def _is_grouped(self, path: str) -> bool:
        """Whether the keys that begin with `path` are all wanted and all in one group: any one will do."""
        position = self._builder.position
        return (
            position is not None
            and position <= path
            and path.startswith(self._query.prefix)
            and group_of(path, self._query) is not None
        )

    def _entries(self, path: str) -> list[str]:
        """What is in a folder and may belong to the page, in order; folders end with a slash."""
        position = self._builder.position or ""
        prefix = self._query.prefix
        found: list[str] = []
        with _scanned(self._root, path) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    key = path + entry.name
                    if key >= position and key.startswith(prefix) and is_key(key):
                        found.append(key)
                elif entry.is_dir(follow_symlinks=False) and _is_folder(path, entry.name):
                    inner = f"{path}{entry.name}/"
                    if self._is_wanted(inner):
                        found.append(inner)
        found.sort()
        return found

    def _any_object(self, path: str) -> str | None:
        """Some key that begins with `path`, found without regard to order; None when there is none."""
        left = [path]
        while left:
            path = left.pop()
            with _scanned(self._root, path) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        if is_key(path + entry.name):
                            return path + entry.name
                    elif entry.is_dir(follow_symlinks=False) and _is_folder(path, entry.name):
                        left.append(f"{path}{entry.name}/")
        return None


@contextmanager
def _scanned(root: int, path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """The entries of the folder `path`; none when it is no longer a folder, or is closed to us."""
    try:
        folder = folders.descend(root, path.split("/")[:-1])
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        yield iter(())
        return
    try:
        with os.scandir(folder) as entries:
            yield entries
    finally:
        os.close(folder)


def _is_folder(path: str, name: str) -> bool:
    if not path and name == HIDDEN:
        return False
    # Whether the shortest key in it is one.
    return is_key(f"{path}{name}/x")
