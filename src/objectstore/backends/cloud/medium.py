"""What a cloud's service is asked for: all that the services differ in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from objectstore.backends.cloud.records import Found
from objectstore.backends.cloud.spool import Spool
from objectstore.values import ByteRange


@dataclass(frozen=True, slots=True)
class Overwrite:
    """Write, whatever is there."""


@dataclass(frozen=True, slots=True)
class Create:
    """Write only if nothing is there."""


@dataclass(frozen=True, slots=True)
class Replace:
    """Write only if what is there has this etag of the service."""

    etag: str


Mode: TypeAlias = Overwrite | Create | Replace
OVERWRITE: Final = Overwrite()
Decide: TypeAlias = Callable[[], Awaitable[Mode]]
"""Looks at the object and tells how it may be written now. Raises PreconditionFailed."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose body is read as it comes: bytes `start` to `stop` of the object."""

    found: Found
    start: int
    stop: int
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Names:
    """Keys, and groups by "/" if those were asked for, in ascending order; `more` when there are further ones."""

    names: Sequence[str]
    more: bool


class Medium(Protocol):
    """One bucket of a service. Keys given to it are such as it can hold; errors are those of `failures`."""

    name: str
    identifiers_only: bool  # names of metadata have to be identifiers

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def find(self, key: str) -> Found:
        """Raises NotFound."""
        ...

    def read(self, key: str, wanted: ByteRange | None) -> AbstractAsyncContextManager[Opened]:
        """Raises NotFound, OutOfRange."""
        ...

    async def write(self, key: str, data: bytes | Spool, fields: dict[str, str], mode: Mode) -> None:
        """Raises Refused."""
        ...

    async def write_large(
        self, key: str, first: Spool, rest: AsyncIterator[bytes], fields: dict[str, str], decide: Decide
    ) -> None:
        """What `first` holds and what follows it, in parts. Nothing is to be seen of a body that fails.

        `decide` is asked when all has been sent, again when the service then refuses.
        """
        ...

    async def copy(self, source: str, found: Found, target: str, fields: dict[str, str], decide: Decide) -> bool:
        """Copy within the service, of that very version. False: it cannot.

        Raises NotFound, Refused, OutOfRange: the source is not that version any more.
        """
        ...

    async def join(
        self, parts: Sequence[tuple[str, Found]], target: str, fields: dict[str, str], decide: Decide
    ) -> bool:
        """Make one object of several within the service, of those very versions. False: it cannot."""
        ...

    async def delete(self, key: str, etag: str | None) -> None:
        """Delete; with `etag`, and where the service can, only that version. Raises NotFound, Refused."""
        ...

    async def list(self, prefix: str, start: str, *, grouped: bool, limit: int) -> Names:
        """Some of the names that begin with `prefix`, from `start` on: earlier ones may come before."""
        ...
