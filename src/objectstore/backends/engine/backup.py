"""Taking a backup of a data directory, also while servers write to it.

The moment of the backup is that of a read transaction: the index is copied as it was then, and all blobs that
it names are still there, since garbage is held back meanwhile (`hold.py`) and blobs never change. What a
folder of backups has already is not moved again; the index is copied whole each time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from objectstore.backends.engine import schema, steps, transcript
from objectstore.backends.engine.backupset import BESIDE, FOLDERS, BackupSet, Manifest, WantedBlob, wanted, write_file
from objectstore.backends.engine.directory import FILE_MODE, FOLDER_MODE, Directory, make_folder, sync_folder
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.hold import held
from objectstore.backends.engine.index import Index
from objectstore.errors import ConfigurationError, Corrupted, Unavailable

Tell = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""

_PAGES: Final = 2048  # of the index, copied at once
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a backup holds, and what it took."""

    manifest: Manifest
    linked: int  # blobs that share their bytes with the data directory
    copied: int  # blobs
    copied_size: int  # bytes of those
    removed: int  # blobs that only the state before needed


def no_telling(_done: int, _total: int) -> None:
    """Nobody wants to know how far it is."""


def take(
    data: Path,
    target: Path,
    *,
    now: datetime,
    share: bool = True,
    replace: bool = False,
    tell: Tell = no_telling,
    step: Callable[[str], None] = steps.no_step,
) -> Report:
    """Let the folder `target` hold a backup of the data directory `data` as it is now, instead of the one before.

    At every moment it holds the old one or the new one, whole. `share` lets blobs be links to those of `data`
    where that works; what is copied is compared with its digest. `replace` allows what looks like a mistake: a
    backup of an earlier state, or of another store, in the place of a later one.

    Raises:
        ConfigurationError: `data` is no data directory, or `target` holds something else.
        Corrupted: something in `data` is missing or damaged; the backup before stays.
        StorageFull, Unavailable: likewise.
    """
    directory = Directory(data)
    directory.check_format()
    _check_apart(data, target)
    taking = _Taking(directory, BackupSet(target), now=now, share=share, replace=replace, tell=tell, step=step)
    try:
        with taking.kept.changing():
            return taking.run()
    except (OSError, sqlite3.Error) as error:
        raise translate(error) from error


class _Vanished(Exception):
    """A blob was unlinked after all: by a server of an earlier release, which knows of no hold."""


@dataclass(slots=True, kw_only=True)
class _Done:
    """How much is done of what is to be done."""

    total: int = 0  # bytes
    size: int = 0  # bytes
    linked: int = 0
    copied: int = 0
    copied_size: int = 0  # bytes
    changed_folders: set[str] = field(default_factory=set)


class _Taking:
    def __init__(
        self,
        directory: Directory,
        kept: BackupSet,
        *,
        now: datetime,
        share: bool,
        replace: bool,
        tell: Tell,
        step: Callable[[str], None],
    ) -> None:
        self.kept = kept
        self._directory = directory
        self._now = now
        self._share = share
        self._replace = replace
        self._tell = tell
        self._step = step
        self._done = _Done()

    def run(self) -> Report:
        if self.kept.claim():
            self._step(steps.AFTER_MARK)
        before = self.kept.read()
        self.kept.check_format(before)
        make_folder(self.kept.states)
        make_folder(self.kept.blobs)
        for attempt in range(1, _ATTEMPTS + 1):  # pragma: no branch  the last one is made or raises
            self._done = _Done()
            try:
                manifest = self._add(before)
                break
            except _Vanished:
                if attempt == _ATTEMPTS:
                    raise Unavailable(
                        "files are removed while they are backed up; "
                        "restart the servers of earlier releases, then try again"
                    ) from None
        self.kept.write(manifest)
        self._step(steps.AFTER_MANIFEST)
        removed = self._remove(manifest)
        done = self._done
        return Report(
            manifest=manifest,
            linked=done.linked,
            copied=done.copied,
            copied_size=done.copied_size,
            removed=removed,
        )

    def _add(self, before: Manifest) -> Manifest:
        """Add a state and its blobs; what the manifest has to say of them."""
        with held(self._directory):
            state = secrets.token_hex(8)
            folder = self.kept.states / state
            folder.mkdir(mode=FOLDER_MODE)
            index = self.kept.index(state)
            self._copy_index(index, before)
            for name in ("FORMAT", *BESIDE):
                with suppress(FileNotFoundError):
                    write_file(folder / name, (self._directory.root / name).read_bytes())
            sync_folder(folder)
            sync_folder(self.kept.states)
            self._step(steps.AFTER_SNAPSHOT)
            with closing(sqlite3.connect(index)) as copied:
                manifest = _described(copied, state, index, self._now)
                self._add_blobs(copied)
            for name in self._done.changed_folders:
                sync_folder(self.kept.blobs / name)
            sync_folder(self.kept.blobs)
            self._step(steps.AFTER_BLOBS)
        return manifest

    def _copy_index(self, target: Path, before: Manifest) -> None:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        with (
            closing(schema.open_for_reading(self._directory.index)) as live,
            closing(sqlite3.connect(target, isolation_level=None)) as copied,
        ):
            live.execute("BEGIN")  # one moment, however long the copying takes and whoever writes meanwhile
            last = Index(live).last_seq()
            if last < before.sequence and not self._replace:
                raise ConfigurationError(
                    f"{self.kept.root} holds a later state (change {before.sequence}) than {self._directory.root} "
                    f"(change {last}): is it another store, or is its disk not mounted? --replace backs it up anyway"
                )
            live.backup(copied, pages=_PAGES, progress=self._index_progress)
            live.execute("ROLLBACK")
            copied.execute("DELETE FROM garbage")  # those blobs are not wanted
        # Closing has brought the log into the file and removed it.
        fd = os.open(target, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _index_progress(self, _status: int, remaining: int, total: int) -> None:
        self._tell((total - remaining) * schema.PAGE_SIZE, total * schema.PAGE_SIZE)

    def _add_blobs(self, index: sqlite3.Connection) -> None:
        done = self._done
        done.total = sum(blob.size for name in FOLDERS for blob in self._missing(index, name))
        for name in FOLDERS:
            for blob in self._missing(index, name):
                make_folder(self.kept.blobs / name)
                done.changed_folders.add(name)
                self._add_blob(blob)
                self._step(steps.AFTER_NEW_BLOB)
                done.size += blob.size
                self._tell(done.size, done.total)

    def _missing(self, index: sqlite3.Connection, folder: str) -> list[WantedBlob]:
        there = _sizes(self.kept.blobs / folder)
        return [blob for blob in wanted(index, folder) if there.get(blob.name) != blob.size]

    def _add_blob(self, blob: WantedBlob) -> None:
        source = self._directory.blob(blob.name)
        target = f"{self.kept.blobs}/{blob.name[:2]}/{blob.name}"
        try:
            with suppress(FileNotFoundError):
                os.unlink(target)  # noqa: PTH108  of another size, so it is none; pathlib would cost as much again
            if self._share and transcript.link(source, target, blob.size):
                self._done.linked += 1
                return
            size, digest = transcript.copy(source, target)
        except FileNotFoundError:
            if not self._is_named(blob.name):
                raise _Vanished from None
            raise Corrupted(f"the file {source} is missing; run `objectstore check {self._directory.root}`") from None
        if size != blob.size or digest != blob.sha256:
            os.unlink(target)  # noqa: PTH108  as above
            raise Corrupted(f"the file {source} is damaged; run `objectstore check --deep {self._directory.root}`")
        self._done.copied += 1
        self._done.copied_size += size

    def _is_named(self, blob: str) -> bool:
        with closing(schema.open_for_reading(self._directory.index)) as live:
            return Index(live).refers_to(blob)

    def _remove(self, manifest: Manifest) -> int:
        """Remove what the state of the manifest does not need; how many blobs that were."""
        for state in self.kept.states.iterdir():
            if state.name != manifest.state:
                shutil.rmtree(state)
        self._step(steps.AFTER_OLD_STATES)
        removed = 0
        with closing(sqlite3.connect(self.kept.index(manifest.state))) as index:
            for name in FOLDERS:
                there = _sizes(self.kept.blobs / name)
                for unwanted in there.keys() - {blob.name for blob in wanted(index, name)}:
                    os.unlink(self.kept.blobs / name / unwanted)  # noqa: PTH108  as above
                    removed += not unwanted.endswith(transcript.UNFINISHED)
        self._step(steps.AFTER_OLD_BLOBS)
        return removed


def _check_apart(data: Path, target: Path) -> None:
    here, there = data.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigurationError(f"a backup of {data} cannot be kept in {target}: one is inside the other")


def _described(index: sqlite3.Connection, state: str, path: Path, now: datetime) -> Manifest:
    ((objects, size),) = index.execute("SELECT count(*), coalesce(sum(size), 0) FROM objects")
    blobs = blobs_size = 0
    for name in FOLDERS:
        for blob in wanted(index, name):
            blobs += 1
            blobs_size += blob.size
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Manifest(
        state=state,
        taken=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        sequence=Index(index).last_seq(),
        objects=objects,
        size=size,
        blobs=blobs,
        blobs_size=blobs_size,
        index_size=path.stat().st_size,
        index_sha256=digest,
    )


def _sizes(folder: Path) -> dict[str, int]:
    """The files in the folder, with their sizes in bytes; none when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
    except FileNotFoundError:
        return {}
