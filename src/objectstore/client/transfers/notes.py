"""What is kept of an unfinished upload, so that a later run goes on with it."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.client.steps import Work
from objectstore.client.transfers import keeping
from objectstore.errors import UploadNotFound
from objectstore.wire import flows
from objectstore.wire.retries import Retries

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Noted:
    upload_id: str
    part_size: int  # bytes
    said: str  # what it was begun with


class UploadNote:
    """The note of the upload of one source to one key of one store; nothing is noted while another transfer holds it.

    `place` names the source, `identity` is what changes when it does, as it goes through JSON.
    """

    def __init__(self, site: str, key: str, place: str, identity: Sequence[object] = ()) -> None:
        self._place = {"version": _VERSION, "site": site, "key": key, "path": place}
        self._identity = list(identity)
        name = hashlib.sha256("\0".join(map(str, self._place.values())).encode("utf-8", "surrogateescape")).hexdigest()
        self._name = name[:32]
        self._file = self._lock = Path()  # known once it is open
        self._fd: int | None = None
        self.busy = False  # another transfer is at work on the same
        self.untouched = False  # the file is the one of which the note was made

    def open(self) -> None:
        try:
            folder = keeping.state_folder()
            self._file, self._lock = folder / f"{self._name}.json", folder / f"{self._name}.lock"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = keeping.hold(self._lock)
        except BlockingIOError:
            self.busy = True
        except (OSError, RuntimeError):
            # Without a place to note it the upload is as good, only it cannot be gone on with.
            pass

    def load(self) -> Noted | None:
        if self._fd is None:
            return None
        told = keeping.load(self._file)
        if any(told.get(name) != value for name, value in self._place.items()):
            return None
        upload_id, part_size, said = told.get("upload_id"), told.get("part_size"), told.get("said")
        if not (isinstance(upload_id, str) and isinstance(said, str) and isinstance(part_size, int) and part_size > 0):
            return None
        self.untouched = told.get("source") == self._identity
        return Noted(upload_id, part_size, said)

    def save(self, upload_id: str, part_size: int, said: str) -> None:
        if self._fd is not None:
            told = {"upload_id": upload_id, "part_size": part_size, "said": said, "source": self._identity}
            with suppress(OSError):
                keeping.note(self._file, self._place | told)

    def drop(self) -> None:
        """Forget the upload."""
        if self._fd is not None:
            self._file.unlink(missing_ok=True)

    def close(self) -> None:
        if self._fd is not None:
            with suppress(OSError):
                self._lock.unlink()
            os.close(self._fd)
            self._fd = None


def place_of(path: Path) -> str:
    """The name of a file in notes."""
    return os.path.abspath(path)  # noqa: PTH100  pathlib would follow links


def identity_of(stat: os.stat_result) -> Sequence[int]:
    """What changes when the file does."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino)


def abandoned(path: Path, key: str, site: str, retries: Retries) -> Work[None]:
    """Forget the noted upload, here and on the server. Raises BlockingIOError: it is under way."""
    note = UploadNote(site, key, place_of(path))
    try:
        note.open()
        if (noted := note.load()) is not None:
            with suppress(UploadNotFound):
                yield from flows.abort_upload(noted.upload_id, retries)
            note.drop()
        elif note.busy:
            raise BlockingIOError(errno.EWOULDBLOCK, "it is being uploaded", str(path))
    finally:
        note.close()
