"""Does the data directory hold what its index says, and nothing else?

It may run beside processes that have the store open: a blob on its way has its batch marked in staging, and
what seems missing is looked for again. Only what nothing refers to is ever removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias

from objectstore.backends.engine import highwater, mending, rebuilding, recovery, rescue, schema, steps
from objectstore.backends.engine.blobs import BATCH_SUFFIX
from objectstore.backends.engine.counters import count
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.failures import LOG_REMOVED, translate
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.mending import Donor
from objectstore.backends.engine.rescue import Nameless
from objectstore.backends.engine.stored import Bodies, FaultKind, Stored
from objectstore.backends.engine.turns import Turns
from objectstore.errors import Corrupted, ObjectStoreError, Unavailable
from objectstore.values import Usage

Kind: TypeAlias = FaultKind | Literal["orphan-file", "orphan-body", "wrong-usage", "damaged-index", "lost-changes"]

_LOST: Final = frozenset({"missing", "wrong-size", "wrong-digest", "unreadable", "damaged-index", "lost-changes"})
_TURN_TIMEOUT: Final = 60.0  # seconds
_ORPHAN_BODIES: Final = """
    SELECT seq FROM bodies EXCEPT SELECT seq FROM objects WHERE blob IS NULL
    EXCEPT SELECT seq FROM parts WHERE blob IS NULL"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be."""

    kind: Kind
    name: str  # the key, `upload/number` of a part, the path of a file, or the number of a body
    message: str
    repaired: bool = False
    body: Stored | None = None  # what is lost, where its row is known

    @property
    def lost(self) -> bool:
        """Whether stored data is gone or damaged; else there is only too much of something."""
        return self.kind in _LOST

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.message}"


def check(
    path: Path,
    *,
    deep: bool = False,
    repair: bool = False,
    backup: Path | None = None,
    step: Callable[[str], None] = steps.no_step,
) -> Iterator[Finding]:
    """What is wrong in the data directory `path`: nothing, when all is well.

    `deep` reads every body and compares digests. `repair` removes what nothing refers to, and
    brings back from `backup` what is lost and in it, byte for byte; what is lost else stays as it is found. With nobody
    having the store open it also makes a sound index of a damaged one, and accepts one that ends before what was
    acknowledged, so that the store can be opened again: bodies that no row names then are kept in `lost`, and so is
    what it tells of that. A repair that was cut short, at whatever moment, is done again by the next one.

    Raises:
        ConfigurationError: it is no data directory, or of a newer format, or `backup` is no backup.
        Unavailable: it cannot be read.
    """
    directory = Directory(path)
    directory.check_format()
    try:
        with ExitStack() as opened:
            source = None if backup is None else opened.enter_context(mending.donor(backup))
            yield from examine(directory, deep=deep, repair=repair, source=source, step=step)
    except (OSError, sqlite3.Error) as error:
        raise translate(error) from error


def examine(
    directory: Directory,
    *,
    deep: bool = False,
    repair: bool = False,
    source: Donor | None = None,
    step: Callable[[str], None] = steps.no_step,
) -> Iterator[Finding]:
    """`check`, of a directory that is known to be one, even if it does not say so yet."""
    try:
        _check_log(directory)
        damage = list(_damage(directory, deep=deep))
        rebuilt = _rebuilt(directory, source, step) if damage and repair else None
        if rebuilt is not None:
            yield from (replace(finding, repaired=True) for finding in damage)
            yield from rebuilt
        elif damage:
            yield from (_in_use(finding) for finding in damage) if repair else damage
            # What such an index says, or leaves out, is no reason to remove anything.
            yield from _what_is_left_to_tell(directory, deep=deep)
            return
        behind = _behind(directory)
        if behind is not None:
            accepted, findings = _settle_behind(directory, behind, step, repair=repair)
            yield from findings
            if not accepted:
                yield from _what_is_left_to_tell(directory, deep=deep)
                return
        with directory.opening(), closing(schema.open_for_reading(directory.index)) as connection:
            recovery.sweep(directory, Index(connection), steps.no_step)
        with closing(schema.open_for_reading(directory.index)) as connection:
            checker = _Checker(directory, connection, deep=deep)
            for finding in checker.lost():
                body = finding.body if repair else None
                yield finding if body is None or source is None else _mended(directory, finding, body, source)
            for finding in chain(checker.orphans(), checker.miscounted()):
                yield replace(finding, repaired=True) if repair and _remove(directory, finding) else finding
    except (OSError, sqlite3.Error) as error:
        raise translate(error) from error


def _check_log(directory: Directory) -> None:
    with directory.opening():
        if rescue.in_use(directory) and not directory.log.exists():
            raise Unavailable(LOG_REMOVED)


def _damage(directory: Directory, *, deep: bool) -> Iterator[Finding]:
    name = str(directory.index)
    try:
        with closing(schema.open_for_reading(directory.index)) as connection:
            for (line,) in connection.execute(f"PRAGMA {'integrity_check' if deep else 'quick_check'}").fetchall():
                if line != "ok":
                    yield Finding(kind="damaged-index", name=name, message=line)
    except sqlite3.DatabaseError as error:
        if not isinstance(translate(error), Corrupted):
            raise
        yield Finding(kind="damaged-index", name=name, message=str(error))


def _rebuilt(directory: Directory, source: Donor | None, step: Callable[[str], None]) -> list[Finding] | None:
    """What is lost, and what is known of it, with a sound index in the place of the damaged one. None: it is in use."""
    with directory.opening():
        if rescue.in_use(directory):
            return None
        told = rebuilding.rebuild(directory, source, step)
        index = str(directory.index)
        found = [
            Finding(kind="damaged-index", name=index, message=f"{gap}: what was there is lost") for gap in told.gaps
        ]
        if told.missing is not None:
            found.append(Finding(kind="lost-changes", name=index, message=_missing(*told.missing)))
        for key in told.from_backup:
            message = "its row is that of the backup; it may have changed since"
            found.append(Finding(kind="damaged-index", name=key, message=message, repaired=True))
        for key in told.from_files:
            message = "its row is made anew of its file: etag, times and attributes are lost"
            found.append(Finding(kind="damaged-index", name=key, message=message))
        found += [Finding(kind="orphan-body", name=index, message=f"kept in lost: {body}") for body in told.kept]
        found += [_nameless(body, f"kept in {directory.lost.name}: ") for body in told.nameless]
        rescue.record(directory, map(str, found))
        step(steps.AFTER_RECORD)
        rebuilding.put_in_place(directory, told, step)
    return found


def _in_use(finding: Finding) -> Finding:
    return replace(finding, message=f"{finding.message}; not repaired: end the servers first, by SIGTERM")


def _behind(directory: Directory) -> Finding | None:
    marked = highwater.mark(directory.highwater)  # before the index, which goes on
    with closing(schema.open_for_reading(directory.index)) as connection:
        last = Index(connection).last_seq()
    if last >= marked:
        return None
    return Finding(kind="lost-changes", name=str(directory.index), message=_missing(last + 1, marked))


def _missing(first: int, last: int) -> str:
    return (
        f"the changes {first} to {last} were acknowledged and are not in it: its log was removed, or it was "
        "replaced by an older one; what was written last is lost, and what was deleted last is there again"
    )


def _settle_behind(
    directory: Directory, behind: Finding, step: Callable[[str], None], *, repair: bool
) -> tuple[bool, list[Finding]]:
    """Whether the loss is accepted now, and what is known of it. Nothing is removed."""
    with directory.opening(), closing(schema.open_for_reading(directory.index)) as connection:
        index = Index(connection)
        told = "no row names this file any more: "
        if not repair:
            return False, [behind, *(_nameless(body, told) for body in rescue.nameless(directory, index))]
        if rescue.in_use(directory):
            return False, [_in_use(behind)]
        found = [replace(behind, message=f"{behind.message}; accepted, so that the store can be opened")]
        bodies = list(rescue.nameless(directory, index))
        found += [_nameless(body, f"kept in {directory.lost.name}: ") for body in bodies]
        rescue.record(directory, map(str, found))
        step(steps.AFTER_RECORD)
        for body in bodies:
            rescue.keep(directory, body)
            step(steps.AFTER_KEEP)
        highwater.accept(directory.highwater, index.last_seq())
        step(steps.AFTER_ACCEPT)
        for body in bodies:
            body.path.unlink()
    return True, found


def _nameless(body: Nameless, told: str) -> Finding:
    return Finding(kind="orphan-file", name=str(body.path), message=f"{told}{body}")


def _what_is_left_to_tell(directory: Directory, *, deep: bool) -> Iterator[Finding]:
    """Which objects a damaged index has lost, as far as it can be read."""
    with suppress(sqlite3.DatabaseError), closing(schema.open_for_reading(directory.index)) as connection:
        yield from _Checker(directory, connection, deep=deep).lost()


class _Checker:
    def __init__(self, directory: Directory, connection: sqlite3.Connection, *, deep: bool) -> None:
        self._directory = directory
        self._connection = connection
        self._index = Index(connection)
        self._bodies = Bodies(directory, connection)
        self._deep = deep

    def lost(self) -> Iterator[Finding]:
        for stored in chain(self._bodies.objects(), self._bodies.parts()):
            fault = self._bodies.fault(stored, deep=self._deep)
            if fault is not None:
                yield Finding(kind=fault.kind, name=stored.name, message=fault.message, body=stored)
        for gap in self._bodies.gaps:
            yield Finding(kind="damaged-index", name=str(self._directory.index), message=str(gap))

    def orphans(self) -> Iterator[Finding]:
        for folder in sorted(self._directory.blobs.iterdir()):
            if not folder.is_dir():
                yield _orphan(folder)
                continue
            files = [entry.name for entry in folder.iterdir()]
            # In this order: a file without a mark is settled, so it has its row by now, or is gone.
            marked = self._marked()
            known = self._index.known_among(files)
            for name in sorted(set(files) - known):
                if name[2:] not in marked and (folder / name).exists():
                    yield _orphan(folder / name)
        for (seq,) in self._connection.execute(_ORPHAN_BODIES).fetchall():
            yield Finding(kind="orphan-body", name=str(seq), message="no row refers to this body in the index")

    def miscounted(self) -> Iterator[Finding]:
        if not schema.counts_usage(self._connection):
            return
        self._connection.execute("BEGIN")  # one moment, for all that is compared
        found = []
        last, counted = self._index.sequences()
        # Counters that are not up to date are counted anew by the next write.
        if counted == last:
            prefixes = [prefix for (prefix,) in self._connection.execute("SELECT prefix FROM usage").fetchall()]
            for prefix, told in self._index.usage(prefixes).items():
                if (right := count(self._connection, prefix)) != told:
                    found.append(Finding(kind="wrong-usage", name=prefix, message=_miscounted(told, right)))
        self._connection.execute("ROLLBACK")
        yield from found

    def _marked(self) -> set[str]:
        marked: set[str] = set()
        for folder in self._directory.staging.iterdir():
            # Its process may have ended since, and then has nothing on its way.
            with suppress(FileNotFoundError, NotADirectoryError):
                marked.update(entry.stem for entry in folder.iterdir() if entry.suffix == BATCH_SUFFIX)
        return marked


def _orphan(path: Path) -> Finding:
    told = "the store makes no folder here; look what it is for" if path.is_dir() else "no row refers to this file"
    return Finding(kind="orphan-file", name=str(path), message=told)


def _miscounted(told: Usage, right: Usage) -> str:
    return (
        f"{told.objects} objects, {told.size} bytes and {told.parts_size} of parts are counted under this prefix, "
        f"but there are {right.objects}, {right.size} and {right.parts_size}"
    )


def _mended(directory: Directory, finding: Finding, body: Stored, source: Donor) -> Finding:
    try:
        done = mending.mend(directory, body, source)
        reason = "the backup has no sound body of it"
    except (ObjectStoreError, OSError, sqlite3.Error) as error:
        # The others may have more luck.
        done, reason = False, f"not repaired: {error}"
    return replace(finding, repaired=True) if done else replace(finding, message=f"{finding.message}; {reason}")


def _remove(directory: Directory, finding: Finding) -> bool:
    if finding.kind == "orphan-file":
        path = Path(finding.name)
        if path.is_dir():
            return False  # of another program, and nobody knows what is in it
        path.unlink(missing_ok=True)
        return True
    with closing(Turns(directory, _TURN_TIMEOUT)) as turns:
        turns.take()
        # Closed before the turn ends: the last connection to close makes a checkpoint.
        with closing(schema.open_for_writing(directory.index, "full")) as connection:
            if finding.kind == "wrong-usage":
                # Not up to date, so that the next write counts anew.
                connection.execute("UPDATE usage_sequence SET last = -1")
            else:
                connection.execute("DELETE FROM bodies WHERE seq = ?", (int(finding.name),))
    return True
