"""Records in files of their own, for file systems without extended attributes and for large records.

`records/ab/cdef…` in the hidden folder, named by the SHA-256 of the key, holds the key and one or two records as
JSON: the new one first, then that of the file which it is about to replace.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from objectstore.backends.filesystem import folders, records
from objectstore.backends.filesystem.records import Record

_FOLDER: Final = "records"


class Sidecars:
    """The sidecars in the open folder `hidden`. Who writes one holds the lock of its key."""

    def __init__(self, hidden: int) -> None:
        self._hidden = hidden

    def read(self, hashed_key: str) -> Sequence[Record]:
        """The records kept for a key, none when there is no sidecar."""
        value = self._value(hashed_key)
        if not isinstance(value, dict) or not isinstance(value.get("records"), list):
            return ()
        return [record for one in value["records"] if (record := records.load(one)) is not None]

    def key_of(self, hashed_key: str) -> str | None:
        """Which key the sidecar of that name is about."""
        value = self._value(hashed_key)
        key = value.get("key") if isinstance(value, dict) else None
        return key if isinstance(key, str) else None

    def write(self, key: str, hashed_key: str, kept: Sequence[Record], draft: Callable[[bytes], str]) -> int:
        """Replace the sidecar; `draft` makes a synced file of bytes and gives its path in the hidden folder.

        Gives the folder of the sidecar, to be synced and closed by the caller: before that, a crash may undo this.
        """
        raw = records.encode({"key": key, "records": [records.dump(record) for record in kept]})
        folder = folders.make(self._hidden, [_FOLDER, hashed_key[:2]], 0o700)
        try:
            os.rename(draft(raw), hashed_key[2:], src_dir_fd=self._hidden, dst_dir_fd=folder)
        except BaseException:
            os.close(folder)
            raise
        return folder

    def remove(self, hashed_key: str, changed: int | None = None) -> None:
        """Remove the sidecar if there is one, once the change in the folder `changed` that makes it stale is on disk.

        Otherwise a crash might bring back the file and not the sidecar.
        """
        try:
            os.stat(_path(hashed_key), dir_fd=self._hidden)
        except FileNotFoundError:
            return
        if changed is not None:
            os.fsync(changed)
        with suppress(FileNotFoundError):
            os.unlink(_path(hashed_key), dir_fd=self._hidden)

    def _value(self, hashed_key: str) -> object:
        try:
            fd = os.open(_path(hashed_key), os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._hidden)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:  # noqa: PTH123  a descriptor
            return records.decode(file.read())


def _path(hashed_key: str) -> str:
    return f"{_FOLDER}/{hashed_key[:2]}/{hashed_key[2:]}"
