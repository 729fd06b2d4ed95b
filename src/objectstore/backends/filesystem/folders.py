"""Folders by file descriptor, one step at a time and never through a symbolic link.

A path as text is looked up anew by every call, and means another place as soon as someone swaps a folder on the
way for a symbolic link. So each folder is opened from the descriptor of the one that holds it, and what is done in
it is done relative to its descriptor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_folder(name: str, inside: int) -> int:
    """A descriptor of the folder `name` in the open folder `inside`.

    Raises:
        FileNotFoundError: there is nothing.
        NotADirectoryError: there is something else, a symbolic link to a folder included.
    """
    try:
        return os.open(name, _FOLDER, dir_fd=inside)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        raise


def open_file(root: int, way: Sequence[str], name: str, flags: int) -> int:
    """A descriptor of the file `name` in the folder that is found by going `way` from `root`."""
    folder = root
    try:
        for step in way:
            inner = open_folder(step, folder)
            if folder != root:
                os.close(folder)
            folder = inner
        return os.open(name, flags, dir_fd=folder)
    finally:
        if folder != root:
            os.close(folder)


@contextmanager
def opened(root: int, way: Sequence[str]) -> Iterator[int]:
    """The folder that is found by going `way` from `root`. Raises as `open_folder`."""
    folder = descend(root, way)
    try:
        yield folder
    finally:
        os.close(folder)


def descend(root: int, way: Sequence[str]) -> int:
    """A descriptor, to be closed by the caller, of the folder found by going `way` from `root`."""
    # Not dup, whose descriptors share one position: two listings would take each other's names away.
    folder = open_folder(".", root)
    for name in way:
        folder = _into(folder, name)
    return folder


def make(root: int, way: Sequence[str], mode: int, *, for_good: bool = True) -> int:
    """As `descend`, making the folders that are missing; `for_good` brings those to disk before it returns.

    A folder that another writer made a moment ago is synced by that writer. A journal that has what we then sync in
    the folder has the folder too.
    """
    folder = open_folder(".", root)
    for name in way:
        try:
            # Mostly it is there, and being told so costs more than looking.
            folder = _into(folder, name, keep=True)
        except FileNotFoundError:
            try:
                with suppress(FileExistsError):
                    os.mkdir(name, mode, dir_fd=folder)
                if for_good:
                    os.fsync(folder)
            except BaseException:
                os.close(folder)
                raise
            folder = _into(folder, name)
    return folder


def prune(root: int, way: Sequence[str]) -> int:
    """Remove the last folder on the way, then the one that holds it, and so on as long as they are empty.

    Gives a descriptor, to be closed by the caller, of the innermost folder that is left: to sync it is to keep
    what was removed from coming back.
    """
    for length in range(len(way), 0, -1):
        try:
            with opened(root, way[: length - 1]) as holder:
                os.rmdir(way[length - 1], dir_fd=holder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            # Not empty, or not ours to remove.
            try:
                return descend(root, way[:length])
            except (FileNotFoundError, NotADirectoryError):
                continue
    return open_folder(".", root)


def remove_if_hollow(name: str, inside: int) -> bool:
    """Remove the folder `name` if it holds nothing but folders that hold nothing, at any depth; whether it did."""
    try:
        with opened(inside, [name]) as folder:
            for entry in os.listdir(folder):  # noqa: PTH208  a descriptor
                if not remove_if_hollow(entry, folder):
                    return False
        os.rmdir(name, dir_fd=inside)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _into(folder: int, name: str, *, keep: bool = False) -> int:
    try:
        inner = open_folder(name, folder)
    except FileNotFoundError:
        if not keep:
            os.close(folder)
        raise
    except BaseException:
        os.close(folder)
        raise
    os.close(folder)
    return inner
