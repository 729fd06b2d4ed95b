"""What a disk may hold after a power cut: worked out from a trace of what a process wrote, named and synced.

The rules are those that POSIX leaves a file system (ALICE, OSDI '14): what was written to a file, and not synced
since, may be there, or not, or in part, and each file for itself. What was done to the names in folders is done in
order, since the file systems that we promise for have a journal, but is on disk for sure only when the folder that
has the new name was synced. Renaming is atomic.
"""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias

_HEAD = struct.Struct("=6Q")
SECTOR = 512  # bytes; a disk writes these whole
FOLDER = 0  # in the place of an inode
MARKS = "marks"  # the file under the root whose writes are marks


@dataclass(frozen=True)
class Op:
    """A record of `tracer.c`."""

    kind: str
    inode: int
    offset: int
    path: str
    other: str
    data: bytes


def parse(trace: bytes) -> Iterator[Op]:
    at = 0
    while at < len(trace):
        kind, inode, offset, path, other, data = _HEAD.unpack_from(trace, at)
        at += _HEAD.size
        fields = []
        for length in (path, other, data):
            fields.append(trace[at : at + length])
            at += length
        yield Op(chr(kind), inode, offset, fields[0].decode(), fields[1].decode(), fields[2])


@dataclass(frozen=True)
class Change:
    """Of a body: bytes that were written at an offset, or None for a new size."""

    offset: int
    data: bytes | None

    def to(self, body: bytearray, cut: int | None = None) -> None:
        if self.data is None:
            del body[self.offset :]
            body.extend(bytes(self.offset - len(body)))
            return
        data = self.data[:cut]
        body.extend(bytes(max(0, self.offset - len(body))))
        body[self.offset : self.offset + len(data)] = data


@dataclass(frozen=True)
class Body:
    """Of a file. Names of one file have the same inode."""

    inode: int
    data: bytes


Found: TypeAlias = "dict[str, Body | None]"  # path to body; None is a folder
Chooser: TypeAlias = "Callable[[list[Change]], list[tuple[Change, int | None]]]"  # which arrive, and how much of each


@dataclass(frozen=True)
class Naming:
    """One atomic change of names: one goes, one comes."""

    gone: str | None
    come: str | None
    inode: int

    @property
    def folders(self) -> set[str]:
        """Those whose sync puts it on disk."""
        return {str(PurePosixPath(self.come or self.gone or "").parent)}


@dataclass
class File:
    safe: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)


@dataclass
class Disk:
    """What is on disk for sure, and what is under way."""

    names: dict[str, int] = field(default_factory=dict)  # path to inode
    namings: list[Naming] = field(default_factory=list)
    files: dict[int, File] = field(default_factory=dict)
    now: dict[str, int] = field(default_factory=dict)  # the names as the process sees them
    folders: set[str] = field(default_factory=set)  # all that there ever were
    number: dict[int, int] = field(default_factory=dict)  # inode of the system, which gives them out again, to ours

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """One that has the folder for sure, and all that is in it."""
        disk = cls(folders={str(folder)}, names={str(folder): FOLDER})
        for path in folder.rglob("*"):
            if path.is_dir():
                disk.folders.add(str(path))
                disk.names[str(path)] = FOLDER
                continue
            inode = path.stat().st_ino
            if inode not in disk.number:
                disk.number[inode] = len(disk.files) + 1
                disk.files[disk.number[inode]] = File(bytearray(path.read_bytes()))
            disk.names[str(path)] = disk.number[inode]
        disk.now = dict(disk.names)
        return disk

    def do(self, op: Op) -> None:
        match op.kind:
            case "c":
                self.number[op.inode] = inode = len(self.files) + 1
                self.files[inode] = File()
                self._name(Naming(None, op.path, inode))
            case "m":
                self.folders.add(op.path)
                self._name(Naming(None, op.path, FOLDER))
            case "u":
                self._name(Naming(op.path, None, FOLDER))
            case "r":
                self._name(Naming(op.path, op.other, self.now[op.path]))
            case "l":
                self._name(Naming(None, op.other, self.now[op.path]))
            case "w":
                self._file(op).pending.append(Change(op.offset, op.data))
            case "t":
                self._file(op).pending.append(Change(op.offset, None))
            case "s" if op.inode not in self.number or op.path in self.folders:
                self._sync_folder(op.path)
            case "s":
                file = self._file(op)
                for change in file.pending:
                    change.to(file.safe)
                file.pending.clear()
            case _:
                raise AssertionError(op.kind)

    def sync_all(self) -> None:
        """As after a clean unmount."""
        for file in self.files.values():
            for change in file.pending:
                change.to(file.safe)
            file.pending.clear()
        self.names = dict(self.now)
        self.namings.clear()

    def _file(self, op: Op) -> File:
        return self.files[self.number[op.inode]]

    def _name(self, naming: Naming) -> None:
        self.namings.append(naming)
        _apply(self.now, naming)

    def _sync_folder(self, path: str) -> None:
        """It has its names on disk, and with them, as the journal is in order, all that was done to names before."""
        last = max((n for n, naming in enumerate(self.namings) if path in naming.folders), default=-1)
        for naming in self.namings[: last + 1]:
            _apply(self.names, naming)
        del self.namings[: last + 1]

    def outcomes(self, chance: random.Random, count: int) -> Iterator[Found]:
        """What may be found when the power goes now: the extremes, and `count` others by chance."""
        none: list[Naming] = []
        yield self._found(none, lambda _changes: [])
        yield self._found(self.namings, lambda changes: [(change, None) for change in changes])
        yield self._found(self.namings, lambda _changes: [])
        yield self._found(none, lambda changes: [(change, None) for change in changes])

        def some(changes: list[Change]) -> list[tuple[Change, int | None]]:
            return [(change, _torn(chance, change)) for change in changes if chance.random() < 0.6]

        for _ in range(count):
            yield self._found(self.namings[: chance.randint(0, len(self.namings))], some)

    def _found(self, namings: Sequence[Naming], choose: Chooser) -> Found:
        names = dict(self.names)
        for naming in namings:
            _apply(names, naming)
        found: Found = {}
        bodies: dict[int, Body] = {}
        for path, inode in sorted(names.items()):
            folder = str(PurePosixPath(path).parent)
            if folder in self.folders and folder not in found:
                continue  # it has no way to it
            if inode == FOLDER:
                found[path] = None
                continue
            if inode not in bodies:
                file = self.files[inode]
                data = bytearray(file.safe)
                for change, cut in choose(file.pending):
                    change.to(data, cut)
                bodies[inode] = Body(inode, bytes(data))
            found[path] = bodies[inode]
        return found


def lay_out(found: Found, root: Path, target: Path) -> None:
    """Make the files of an outcome that were below `root` below `target`, which may be there with something else."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    placed: dict[int, Path] = {}
    for path, body in found.items():
        if not (path == str(root) or path.startswith(f"{root}/")):
            continue
        place = target / PurePosixPath(path).relative_to(root)
        if body is None:
            place.mkdir(parents=True, exist_ok=True)
        elif path.endswith("-shm"):
            continue  # which is of the processes, and made anew
        elif body.inode in placed:
            place.hardlink_to(placed[body.inode])
        else:
            place.write_bytes(body.data)
            placed[body.inode] = place


def _apply(names: dict[str, int], naming: Naming) -> None:
    if naming.gone is not None:
        names.pop(naming.gone, None)
    if naming.come is not None:
        names[naming.come] = naming.inode


def _torn(chance: random.Random, change: Change) -> int | None:
    """How many bytes of it arrive: mostly all, else whole sectors."""
    if change.data is None or len(change.data) <= SECTOR or chance.random() < 0.7:
        return None
    return SECTOR * chance.randrange(len(change.data) // SECTOR)
