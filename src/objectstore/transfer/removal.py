"""Objects that only the target has: remembered while stores are compared, deleted afterwards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Final, Self

from objectstore.backends.contract import Backend
from objectstore.errors import NotFound, ObjectStoreError, PreconditionFailed
from objectstore.transfer.patience import patiently
from objectstore.transfer.report import Deleted, Event, Failed
from objectstore.values import UNCONDITIONAL, Conditions, ObjectInfo
from objectstore.wire.retries import Retries

_IN_MEMORY: Final = 4 * 1024**2  # bytes of keys; more go into a temporary file


class Surplus:
    """Keys with their etags, in the order in which they came, however many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, info: ObjectInfo) -> None:
        self._file.write(json.dumps([info.key, info.etag]).encode() + b"\n")
        self.count += 1

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self._file.seek(0)
        for line in self._file:
            key, etag = json.loads(line)
            yield key, etag


async def remove(target: Backend, key: str, etag: str, retries: Retries) -> Event:
    """Delete the object as it was listed; one that somebody has written since is kept."""
    conditions = Conditions(if_match=(etag,)) if target.capabilities.conditions else UNCONDITIONAL
    try:
        await patiently(lambda: target.delete(key, conditions), retries)
    except NotFound:
        return Deleted(key)  # by somebody else, or by a try whose answer was lost
    except PreconditionFailed:
        told = "it was written at the target since it was listed, and is kept; run again to look at it anew"
        return Failed(key, PreconditionFailed(key, told))
    except ObjectStoreError as error:
        return Failed(key, error)
    return Deleted(key)
