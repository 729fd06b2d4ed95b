"""Rows of an SQLite file, page by page, whatever its trees say: what is left when some pages are damaged.

A page of a tree holds whole rows (but for those that go on in other pages), so what stands on a sound page can be
read even when the page above it is not. Pages that are free hold what was once there, and are passed over as far
as the list of free pages can be read. The format is https://sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from objectstore.backends.engine.schema import PAGE_SIZE

Value: TypeAlias = int | float | str | bytes | None
Kind: TypeAlias = Literal["leaf", "inner", "rows"]

# Of a table without row ids, or an index: leaves and what is above them both hold rows. Of others, only leaves.
_KINDS: Final[dict[int, Kind]] = {0x0A: "leaf", 0x02: "inner", 0x0D: "rows"}
_FREE: Final = 32  # where the number of the first page that lists free ones stands
_MOST_FREE: Final = PAGE_SIZE // 4 - 2  # on one such page
# Bytes of a row on its page: at most, or at least when it goes on in others.
_MOST: Final[dict[Kind, int]] = {
    "rows": PAGE_SIZE - 35,
    "leaf": (PAGE_SIZE - 12) * 64 // 255 - 23,
    "inner": (PAGE_SIZE - 12) * 64 // 255 - 23,
}
_LEAST: Final = (PAGE_SIZE - 12) * 32 // 255 - 23
_MORE: Final = PAGE_SIZE - 4  # bytes of a row on each other page
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type to bytes


class Page(NamedTuple):
    """A page that holds rows; `row_ids` beside them, each 0 where the table has none."""

    number: int
    kind: Kind
    rows: list[tuple[Value, ...]]
    row_ids: list[int]


class _Damaged(Exception):
    """This is not what it should be."""


def pages(path: Path) -> Iterator[Page]:
    """All pages that hold rows and are not free, in the order of the file. Not the first, which tells of the tables.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        reader = _Reader(file.fileno())
        free = reader.free()
        for number in range(2, reader.count + 1):
            if number not in free and (page := reader.page(number)) is not None:
                yield page


class _Reader:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.count = os.fstat(fd).st_size // PAGE_SIZE

    def free(self) -> set[int]:
        found: set[int] = set()
        with suppress(_Damaged):
            trunk = _number(self._raw(1), _FREE)
            while trunk not in found:  # the last one names page 0, which is none
                raw = self._raw(trunk)
                found.add(trunk)
                trunk, count = _number(raw, 0), _number(raw, 4)
                if count > _MOST_FREE:
                    raise _Damaged
                found |= {_number(raw, at) for at in range(8, 8 + 4 * count, 4)}
        return found

    def page(self, number: int) -> Page | None:
        """The page, if it holds rows; those of them that can be read."""
        try:
            raw = self._raw(number)
        except _Damaged:
            return None
        kind = _KINDS.get(raw[0])
        count = int.from_bytes(raw[3:5], "big")
        first = 12 if kind == "inner" else 8
        if kind is None or first + 2 * count > PAGE_SIZE:
            return None
        page = Page(number, kind, [], [])
        for at in range(first, first + 2 * count, 2):
            try:
                row_id, row = self._cell(raw, int.from_bytes(raw[at : at + 2], "big"), kind)
            except (_Damaged, IndexError, ValueError):
                continue
            page.rows.append(row)
            page.row_ids.append(row_id)
        return page

    def _cell(self, raw: bytes, at: int, kind: Kind) -> tuple[int, tuple[Value, ...]]:
        if kind == "inner":
            at += 4
        size, at = _varint(raw, at)
        row_id = 0
        if kind == "rows":
            row_id, at = _varint(raw, at)
        return row_id, _record(self._payload(raw, at, size, kind))

    def _payload(self, raw: bytes, at: int, size: int, kind: Kind) -> bytes:
        if size <= _MOST[kind]:
            return _cut(raw, at, size)
        here = _LEAST + (size - _LEAST) % _MORE
        here = here if here <= _MOST[kind] else _LEAST
        found = [_cut(raw, at, here)]
        follows = _number(raw, at + here)
        left = size - here
        if left > self.count * PAGE_SIZE:
            raise _Damaged
        while left > 0:
            more = self._raw(follows)
            follows = _number(more, 0)
            found.append(more[4 : 4 + left])
            left -= len(found[-1])
        return b"".join(found)

    def _raw(self, number: int) -> bytes:
        with suppress(OSError):  # the disk cannot read it, or there is none before the first
            raw = os.pread(self._fd, PAGE_SIZE, (number - 1) * PAGE_SIZE)
            if len(raw) == PAGE_SIZE:
                return raw
        raise _Damaged


def _number(raw: bytes, at: int) -> int:
    """The number of a page, or a count of them."""
    return int.from_bytes(_cut(raw, at, 4), "big")


def _record(data: bytes) -> tuple[Value, ...]:
    end, at = _varint(data, 0)
    body = end
    values: list[Value] = []
    while at < end:
        kind, at = _varint(data, at)
        value, body = _value(data, kind, body)
        values.append(value)
    if at != end or body != len(data):
        raise _Damaged
    return tuple(values)


def _value(data: bytes, kind: int, at: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in {8, 9}:
        return kind - 8, at
    if kind in _INTEGERS:
        size = _INTEGERS[kind]
        return int.from_bytes(_cut(data, at, size), "big", signed=True), at + size
    if kind < 12:
        raise _Damaged  # floating point, which we do not keep, or of SQLite's own
    size = (kind - 12) // 2
    found = _cut(data, at, size)
    return found if kind % 2 == 0 else found.decode(), at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9


def _cut(data: bytes, at: int, size: int) -> bytes:
    found = data[at : at + size]
    if len(found) != size:
        raise _Damaged
    return found
