"""Where `get` writes: stdout, or a file that appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from objectstore.cli.exits import Usage

STDOUT: Final = "-"
_PRIVATE: Final = 0o600


def destination_of(key: str, name: str | None) -> str:
    """The file for `key`: what was named, in a folder if it is one, else what follows the last `/` of the key.

    Raises:
        Usage: the key does not end in anything that could name a file.
    """
    if name is not None and not Path(name).is_dir():
        return name
    last = key.rpartition("/")[2]
    if last in {"", ".", ".."}:
        raise Usage(f"the end of the key {key!r} cannot name a file; say which: objectstore get KEY FILE")
    return last if name is None else str(Path(name, last))


@contextmanager
def replacing(name: str) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `name` at the end, as a whole, or vanishes if anything fails.

    `-` is stdout. What is no regular file, such as `/dev/null` or a pipe, is written to as it is.
    """
    if name == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # A symbolic link stays one: what it points to is replaced.
    path = Path(os.path.realpath(name))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    with _replacing_regular(path, name) as file:
        yield file


@contextmanager
def _replacing_regular(path: Path, name: str) -> Iterator[BinaryIO]:
    temporary = path.with_name(f".objectstore-{secrets.token_hex(8)}.part")
    try:
        file = temporary.open("xb")
    except OSError as error:
        error.filename = name  # which is what the user knows
        raise
    try:
        with file:
            mode = _mode_of(path, file)
            # Until it is whole and has the permissions that it is to have, it is nobody else's business.
            os.fchmod(file.fileno(), _PRIVATE)
            yield file
            os.fchmod(file.fileno(), mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode_of(path: Path, made: BinaryIO) -> int:
    """The permissions of the file that is replaced; of a new one those that the umask gives it."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return stat.S_IMODE(os.fstat(made.fileno()).st_mode)
