"""Marks: a child of a mirror may have missed a change of this key."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from objectstore.core.listing import prefix_end
from objectstore.errors import Corrupted, InvalidKey

RESERVED: Final = "objectstore-mirror/"
BEHIND: Final = prefix_end(RESERVED) or ""
MARKS: Final = f"{RESERVED}marks/"
ETAGS: Final = f"{RESERVED}etags/"
UPLOADS: Final = f"{RESERVED}uploads/"


def _host() -> str:
    # Containers may share a name, and count their processes each for itself.
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


_HOST: Final = _host()
_PROCESS: Final = secrets.token_hex(8)  # tells this process from an earlier one with its number
_live: Final[set[str]] = set()  # changes that this process is making now


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What stands on a child about a key while it is changed, and afterwards if the change did not come to its end."""

    key: str
    deleting: bool  # one of the changes that may be missing here is a deletion
    change: str
    host: str
    pid: int
    process: str  # empty: whoever put it is done, and left it because something is missing here

    @property
    def dead(self) -> bool | None:
        """Whether nobody is at the change any more; None when that cannot be told from this machine."""
        if not self.process:
            return True
        if self.host != _HOST:
            return None
        if self.pid == os.getpid():
            return self.process != _PROCESS or self.change not in _live
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return None
        # Perhaps another program by now, as after a restart of the machine.
        return None


def new_mark(key: str, *, deleting: bool) -> Mark:
    return Mark(key=key, deleting=deleting, change=secrets.token_hex(8), host=_HOST, pid=os.getpid(), process=_PROCESS)


def enter(mark: Mark) -> None:
    """The change is being made from now on."""
    _live.add(mark.change)


def leave(mark: Mark) -> None:
    """Nobody makes the change any more."""
    _live.discard(mark.change)


def dump(mark: Mark) -> bytes:
    return json.dumps(asdict(mark), ensure_ascii=False).encode()


def load(raw: bytes) -> Mark:
    """The mark that `dump` was given. Raises Corrupted."""
    try:
        return Mark(**json.loads(raw))
    except (TypeError, ValueError) as error:
        raise Corrupted(f"a mark of a mirror cannot be read: {error}") from error


def mark_key(key: str) -> str:
    return MARKS + _name(key)


def etag_key(key: str) -> str:
    return ETAGS + _name(key)


def _name(key: str) -> str:
    # Not the key: it may be too long with something before it, or no path of a file system.
    return hashlib.sha256(key.encode()).hexdigest()


def is_reserved(key: str) -> bool:
    return key.startswith(RESERVED)


def check_unreserved(key: str) -> None:
    """Raises InvalidKey for a key that is not to be written."""
    if is_reserved(key):
        raise InvalidKey(f"keys that start with {RESERVED!r} are reserved in a mirror")
