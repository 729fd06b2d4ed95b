"""Files that survive a crash: read and replaced as a whole, held by one transfer at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def state_folder() -> Path:
    """Where unfinished uploads are noted: `objectstore/uploads` in the user's state folder (XDG).

    Raises RuntimeError: this user has no home.
    """
    told = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative ones ignored.
    base = Path(told) if Path(told).is_absolute() else Path.home() / ".local" / "state"
    return base / "objectstore" / "uploads"


def load(path: Path) -> Mapping[str, Any]:
    """What was noted; nothing when there is no note, or none that can be understood."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def note(path: Path, told: Mapping[str, object]) -> None:
    """Replace the note: after a crash there is the old one or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.write(fd, json.dumps(told).encode())
        finally:
            os.close(fd)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def hold(path: Path) -> int:
    """A descriptor of the file, made if need be and private, that no other transfer holds. Closing it lets go.

    Raises:
        BlockingIOError: another one holds it.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it before may have renamed or removed it after we opened it.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), path.stat()):
                    return fd
        except BlockingIOError:
            os.close(fd)
            raise BlockingIOError(errno.EWOULDBLOCK, "another transfer is at work on it", str(path)) from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
