"""Keys ⇄ names of files in a folder: rules without a disk.

A key names a file when what follows the prefix is one or more names, with a slash between two. What would leave the
folder, or would not be found again under its key, is refused.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from objectstore.client.transfers.partfile import SUFFIX
from objectstore.core.keys import check_key
from objectstore.errors import InvalidKey

_MAX_NAME: Final = 255  # bytes


def key_of(relative: str, prefix: str) -> str:
    """The key of a file in the folder. Raises InvalidKey: its name is not UTF-8, or too long for a key."""
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise InvalidKey(
            f"the name {os.fsencode(relative)!r} is not UTF-8, and so cannot be a key: rename the file"
        ) from None
    return check_key(prefix + relative)


def path_of(key: str, prefix: str) -> PurePosixPath:
    """The path of an object in the folder. Raises InvalidKey: it can have none; the message says why."""
    name = key.removeprefix(prefix)
    for segment in name.split("/"):
        if segment in {"", ".", ".."}:
            what = f"{segment!r} between slashes" if segment else "an empty name between slashes"
            raise InvalidKey(f"the key {key!r} is no path of a file in a folder: it has {what}; use download for it")
        if "\0" in segment:
            raise InvalidKey(f"the key {key!r} has a NUL, and no file has")
        if len(segment.encode()) > _MAX_NAME:
            raise InvalidKey(f"the key {key!r} has a name of more than {_MAX_NAME} bytes, and no file has")
    if is_ours(PurePosixPath(name).name):
        raise InvalidKey(f"the key {key!r} has the name of an unfinished download")
    return PurePosixPath(name)


def is_ours(name: str) -> bool:
    """Whether that is a file of an unfinished download."""
    return name.startswith(".") and name.removesuffix(".new").removesuffix(".json").endswith(SUFFIX)


def is_marker(key: str, size: int) -> bool:
    """Whether the object stands for a folder, as some tools make them."""
    return key.endswith("/") and not size


def clashes(paths: Iterable[PurePosixPath], *, folds: bool) -> dict[PurePosixPath, InvalidKey]:
    """Those that cannot be files beside the others.

    That is what others need as a folder and, when the file system `folds` upper and lower case, all but the first of
    those that differ in nothing else.
    """
    found: dict[PurePosixPath, InvalidKey] = {}
    all_paths = list(paths)

    def same(path: PurePosixPath) -> str:
        return unicodedata.normalize("NFC", str(path)).casefold() if folds else str(path)

    folders = {same(parent) for path in all_paths for parent in path.parents}
    taken: dict[str, PurePosixPath] = {}
    for path in all_paths:
        name = same(path)
        first = taken.setdefault(name, path)
        if name in folders:
            found[path] = InvalidKey(f"{str(path)!r} cannot be a file: there are objects below {str(path) + '/'!r}")
        elif first != path:
            found[path] = InvalidKey(f"{str(path)!r} would be the same file as {str(first)!r} on this file system")
    if folds:
        # A folder spelled in two ways would be one, and its files' keys could not be told from their paths.
        spelled: dict[str, PurePosixPath] = {}
        for path in all_paths:
            for parent in path.parents:
                first = spelled.setdefault(same(parent), parent)
                if first != parent:
                    found.setdefault(
                        path, InvalidKey(f"the folder of {str(path)!r} would be {str(first)!r} on this file system")
                    )
    return found
