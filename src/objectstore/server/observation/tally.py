"""Numbers that this process counts, and that every worker of the server can read.

Each worker has two files in a folder they share: `<id>.cells`, mapped into memory, eight bytes a number, and
`<id>.names`, a line of JSON for each cell in use. To count is one addition in memory, a tenth of what a
counter of the Prometheus library costs. A worker holds a lock on its cells while it lives. What dead ones
have counted is added up in `past.json`.

Without a folder the cells are private memory, and the process tells of itself alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import secrets
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from objectstore.errors import ConfigurationError

Series: TypeAlias = tuple[str, ...]
"""The name of a metric and the values of its labels; for a bucket of a histogram, also its number, in digits."""

GAUGE: Final = "g"
COUNTER: Final = "c"

_CELLS: Final = 16384
_WIDTH: Final = 8  # bytes
_SINK: Final = 64  # cells for what finds no room any more: nothing that is known counts that much
_PAST: Final = "past.json"
_FILE_MODE: Final = 0o600


class Tally:
    """The numbers of this process. Cells are written by one thread, the one that runs the loop."""

    def __init__(self, folder: Path | None = None) -> None:
        """Raises ConfigurationError when the folder cannot be used."""
        self._folder = folder
        self._used: dict[tuple[str, Series], int] = {}
        self._names = -1
        self._fd = -1
        try:
            memory = mmap.mmap(-1, _CELLS * _WIDTH) if folder is None else self._map(folder)
        except OSError as error:
            raise ConfigurationError(
                f"the folder {folder} of PROMETHEUS_MULTIPROC_DIR cannot be used: {error.strerror}"
            ) from error
        self._memory = memory
        self.cells = memoryview(memory).cast("d")
        self.block(GAUGE, [("", str(number)) for number in range(_SINK)])

    def cell(self, kind: str, series: Series) -> int:
        """The index in `cells` of a series, which begins at 0."""
        return self.block(kind, [series])

    def block(self, kind: str, series: Sequence[Series]) -> int:
        """The index of the first of series that have neighbouring cells; always asked for together."""
        found = self._used.get((kind, series[0]))
        if found is None:
            found = len(self._used)
            if found + len(series) > _CELLS:
                return 0
            self._used.update({(kind, one): found + number for number, one in enumerate(series)})
            if self._names >= 0:
                os.write(self._names, b"".join(json.dumps([kind, *one]).encode() + b"\n" for one in series))
        return found

    def totals(self) -> tuple[Mapping[Series, float], int]:
        """Each series over all workers, counters of dead ones included; and how many workers live."""
        if self._folder is None:
            return {series: self.cells[index] for (_, series), index in self._used.items() if series[0]}, 1
        living = 0
        with _locked(self._folder, fcntl.LOCK_SH):
            sums = _past(self._folder)
            for path in self._folder.glob("*.cells"):
                lives = _lives(path)
                living += lives
                for kind, series, value in _read(path):
                    if lives or kind == COUNTER:
                        sums[series] += value
        return sums, living

    def close(self) -> None:
        """Be counted among the dead from now on."""
        self.cells.release()
        self._memory.close()
        for fd in (self._names, self._fd):
            if fd >= 0:
                os.close(fd)
        self._names = self._fd = -1

    def _map(self, folder: Path) -> mmap.mmap:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = f"{os.getpid()}-{secrets.token_hex(4)}"
        with _locked(folder, fcntl.LOCK_EX):
            _bury(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._fd = os.open(folder / f"{stem}.cells", flags, _FILE_MODE)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            os.truncate(self._fd, _CELLS * _WIDTH)
            self._names = os.open(folder / f"{stem}.names", flags | os.O_APPEND, _FILE_MODE)
        return mmap.mmap(self._fd, _CELLS * _WIDTH)


def _bury(folder: Path) -> None:
    """Add what dead workers have counted to the past, so that files do not pile up where workers come and go."""
    dead = [path for path in folder.glob("*.cells") if not _lives(path)]
    if not dead:
        return
    sums = _past(folder)
    for path in dead:
        for kind, series, value in _read(path):
            if kind == COUNTER:
                sums[series] += value
    fresh = folder / f".{_PAST}"
    fresh.write_text(json.dumps([[list(series), value] for series, value in sums.items()]))
    fresh.replace(folder / _PAST)
    for path in dead:
        path.unlink(missing_ok=True)
        path.with_suffix(".names").unlink(missing_ok=True)


def _past(folder: Path) -> defaultdict[Series, float]:
    found: defaultdict[Series, float] = defaultdict(float)
    with contextlib.suppress(FileNotFoundError, ValueError):
        found.update({tuple(series): value for series, value in json.loads((folder / _PAST).read_text())})
    return found


def _read(path: Path) -> Iterator[tuple[str, Series, float]]:
    with contextlib.suppress(FileNotFoundError):
        names = path.with_suffix(".names").read_bytes()
        # A line that its writer is in the middle of has no end yet.
        lines = names[: names.rfind(b"\n") + 1].splitlines()
        with path.open("rb") as file:
            values = struct.unpack(f"={len(lines)}d", file.read(len(lines) * _WIDTH))
        for line, value in zip(lines, values, strict=True):
            kind, *series = json.loads(line)
            if series[0]:
                yield kind, tuple(series), value


def _lives(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)
