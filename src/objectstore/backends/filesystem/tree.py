"""Objects as files, done by blocking calls: what is opened, placed and removed, and in which order.

ROOT/a/b.txt                    the object `a/b.txt`, an ordinary file
ROOT/.objectstore/records/ab/…  records of objects whose file cannot carry one (`sidecars.py`)
ROOT/.objectstore/staging/<id>/ files on their way, of one opening each (`staging.py`)
ROOT/.objectstore/locks/ab      one of 256 for each key (`locks.py`)
ROOT/.objectstore/uploads/      a store of the same kind: parts that have arrived

**Why an object and its record cannot be mixed up, whenever the power goes.** A put writes a draft, sets its time of
last change, and syncs it; the rename onto the object's file is the one moment at which the object changes.

- Usually the record is an extended attribute of the draft, so both are on disk before the rename and move together.
- Otherwise the sidecar is replaced before the rename, by one that holds the new record *and* the one in force.
  Which of the two counts is decided by the file: a record names the size and the time (and where times are coarse,
  the inode) of the file that it is about, and believed is only one that fits. So a crash before the rename leaves the
  old file, which finds its old record; after it, the new file, which finds its new one. If a file system brings the
  rename to disk but not the sidecar's, the new file finds a record that does not fit and is taken for one that some
  other program put there: whole, without attributes, and not acknowledged. For a put is acknowledged when both
  folders are synced.
- A sidecar that is no longer needed goes when the change that made it so is synced. One that stays behind fits no
  file, and the next put replaces it. The one that a first put left when it died before its rename is removed when
  its draft is swept.

**Why nothing outside the root is touched.** No symbolic link below the root is followed (`folders.py`, `beneath.py`),
and no segment of a key is `..`. What remains is a program that moves a folder out of the root while we are working in
it: that folder takes along what we then put there.

**Why conditions are atomic with the write.** Checking and renaming or unlinking happen under the lock of the key,
which all processes on the root share. Programs that know nothing of it may come between.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from objectstore.backends.filesystem import folders, paths, xattrs
from objectstore.backends.filesystem.beneath import Opening
from objectstore.backends.filesystem.failures import ABSENT
from objectstore.backends.filesystem.layout import Layout
from objectstore.backends.filesystem.locks import Locks
from objectstore.backends.filesystem.names import refuse_lax_names
from objectstore.backends.filesystem.recent import Recent, Remembered
from objectstore.backends.filesystem.records import Found, Record, foreign, known, nanoseconds, time_of
from objectstore.backends.filesystem.sidecars import Sidecars
from objectstore.backends.filesystem.staging import Draft, Staging
from objectstore.core.conditions import check_source, check_write
from objectstore.errors import NotFound, Unavailable
from objectstore.values import Conditions, CopyOptions, ObjectInfo, PutOptions

_ATTEMPTS: Final = 1000
_RECENT_SIZE: Final = 32 * 1024 * 1024  # bytes of small objects kept in memory: about 12 000 of 1 KiB


class Tree:
    """The folder `root`, open from construction to `close`. Raises OSError beside the errors of the contract."""

    def __init__(
        self,
        root: Path,
        layout: Layout,
        *,
        clock: Callable[[], datetime],
        step: Callable[[str], None],
        carry_records: bool,
    ) -> None:
        self._path = root
        self._layout = layout
        self._clock = clock
        self._step = step
        self._carry_records = carry_records
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as opened:

            def keep(fd: int) -> int:
                opened.callback(os.close, fd)
                return fd

            self.root = keep(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            self._opening = Opening(self.root)
            self._recent = Recent(_RECENT_SIZE)
            hidden = keep(folders.make(self.root, [paths.HIDDEN], 0o700))
            self._locks = Locks(keep(folders.make(hidden, ["locks"], 0o700, for_good=False)))
            with self._locks.holding("opening"):
                refuse_lax_names(layout.name, hidden)
            self._sidecars = Sidecars(hidden)
            # Who may look into the root may look into what is put there (less the umask).
            mode = os.fstat(self.root).st_mode
            self._folder_mode = mode & 0o777 | 0o700
            self._staging = Staging(hidden, self._locks, mode & 0o666 | 0o600)
            opened.callback(self._staging.close)
            self._forget_what_died(self._staging.swept)
            opened.callback(layout.close)
            with self._locks.holding("opening"):
                layout.open(root / paths.HIDDEN)
            self._opened = opened.pop_all()

    def close(self) -> None:
        self._opened.close()

    def open(self, key: str) -> tuple[int, Found]:
        """A descriptor of the object's file, to be closed by the caller, and what is known of just this file.

        Raises:
            NotFound, InvalidKey.
        """
        *way, name = segments = self._layout.segments(key)
        path = os.fsencode("/".join(segments))
        while True:
            fd = self._open_file(key, path)
            found = None
            try:
                file = os.fstat(fd)
                if stat.S_ISREG(file.st_mode):
                    found = self._known(fd, file, key)
                    if found is None:
                        if not self._is_still(file, way, name):
                            # Replaced while its record was looked for, which was perhaps lost by that.
                            continue
                        found = foreign(key, file)
            finally:
                if found is None:
                    os.close(fd)
            if found is None:
                raise NotFound(key)
            return fd, found

    def recall(self, key: str) -> Remembered | None:
        """The object as it is now, if it is remembered. Raises NotFound, if it was."""
        seen = self._recent.get(key)
        if seen is None:
            return None
        fd = self._open_file(key, seen.path)
        try:
            return seen if seen.is_of(os.fstat(fd)) else None
        finally:
            os.close(fd)

    def remember(self, key: str, file: os.stat_result, found: Found, data: bytes) -> None:
        """Keep the bytes that were read of the object when `file` was the status of its file, by one thread alone."""
        if found.record is not None and found.record.describes(file):
            path = os.fsencode("/".join(self._layout.segments(key)))
            self._recent.remember(key, path, file, found, data, now=nanoseconds(self._clock()))

    def look(self, key: str) -> Found | None:
        """What is known of the object; None when there is none. Raises InvalidKey."""
        try:
            seen = self.recall(key)
            if seen is not None:
                return seen.found
            fd, found = self.open(key)
        except NotFound:
            return None
        except PermissionError:
            return self._look_from_outside(key)
        os.close(fd)
        return found

    def draft(self, key: str, algorithms: frozenset[str] = frozenset()) -> Draft:
        """A file in which to collect what is to become the object `key`."""
        self._layout.segments(key)
        return self._staging.draft(paths.hashed(key), algorithms)

    def commit(self, key: str, draft: Draft, digests: Mapping[str, bytes], options: PutOptions) -> ObjectInfo:
        """Make the draft the object `key`, on disk for good. Raises PreconditionFailed, InvalidKey.

        Whatever is raised, discarding the draft is left to the caller.
        """
        hashed_key = paths.hashed(key)
        # Synced outside the lock, which others may wait for; hence the guess at what it will find.
        expected = self.look(key)
        check_write(options.conditions, key, _info(expected))
        file = draft.stamp(self._clock())
        self._step("after_write")
        modified = time_of(file.st_mtime_ns)
        record = Record(
            size=file.st_size,
            mtime_ns=file.st_mtime_ns,
            inode=file.st_ino,
            etag=options.etag or os.urandom(16).hex(),
            created=modified if expected is None else expected.info.created,
            digests=digests,
            attributes=options.attributes,
        )
        carried = draft.seal(record, carry=self._carry_records)
        self._step("after_sync")
        with self._locks.holding_key(hashed_key):
            current = self.look(key)
            check_write(options.conditions, key, _info(current))
            created = modified if current is None else current.info.created
            if created != record.created:
                record = replace(record, created=created)
                carried = draft.seal(record, carry=self._carry_records)
            self._layout.appearing(key)
            touched = self._replace(key, hashed_key, draft, None if carried else record, current)
        _sync_all(touched)
        self._step("after_folder_sync")
        return known(key, record).info

    def copy(self, source: str, target: str, options: CopyOptions) -> ObjectInfo:
        """Make the object `target` of the bytes of `source`, within the kernel where their digests are known."""
        self._layout.segments(target)
        fd, found = self.open(source)
        try:
            check_source(options.source, found.info)
            draft = self.draft(target)
            try:
                if found.info.digests:
                    draft.copy(fd, found.info.size)
                    digests = found.info.digests
                else:
                    draft.read_in(fd)
                    digests = draft.digester.digests()
                self._refuse_changed(fd, found, draft)
                attributes = found.info.attributes if options.attributes is None else options.attributes
                put = PutOptions(attributes=attributes, conditions=options.conditions)
                return self.commit(target, draft, digests, put)
            finally:
                draft.discard()
        finally:
            os.close(fd)

    def remove(self, key: str, conditions: Conditions) -> int:
        """Remove the object, and the folders that held nothing else.

        Gives a descriptor, to be closed by the caller: when it is synced, the removal is on disk for good.

        Raises:
            NotFound, PreconditionFailed, InvalidKey.
        """
        *way, name = self._layout.segments(key)
        hashed_key = paths.hashed(key)
        with self._locks.holding_key(hashed_key):
            current = self.look(key)
            if current is None:
                raise NotFound(key)
            check_write(conditions, key, current.info)
            try:
                with folders.opened(self.root, way) as folder:
                    os.unlink(name, dir_fd=folder)
                    self._step("after_unlink")
                    self._sidecars.remove(hashed_key, folder)
            except (FileNotFoundError, NotADirectoryError):
                # Another program was faster.
                raise NotFound(key) from None
        return folders.prune(self.root, way)

    def forget(self, key: str) -> None:
        """To be called when the removal of the object is on disk."""
        if self._layout.indexed:
            with self._locks.holding_key(paths.hashed(key)):
                if self.look(key) is None:
                    self._layout.gone(key)

    def check(self) -> tuple[int, int]:
        """Make and remove a file; how many bytes and files there is still room for (0 files: the system has no count).

        Raises Unavailable when the root is no longer where it was.
        """
        here, there = os.fstat(self.root), self._path.stat()
        if not os.path.samestat(here, there):
            raise Unavailable(f"{self._layout.name}: the root folder was moved or replaced; restart to use the new one")
        draft = self._staging.draft("check")
        draft.write(b"can this be written?")
        draft.discard()
        room = os.fstatvfs(self.root)
        return room.f_bavail * room.f_frsize, room.f_favail if room.f_files else 1

    def _open_file(self, key: str, path: bytes) -> int:
        try:
            return self._opening.file(path)
        except OSError as error:
            if error.errno in ABSENT:
                raise NotFound(key) from None
            raise

    def _known(self, fd: int, file: os.stat_result, key: str) -> Found | None:
        found = xattrs.read(fd, key)
        if found is not None and found.record is not None and found.record.describes(file):
            return found
        for record in self._sidecars.read(paths.hashed(key)):
            if record.describes(file):
                return known(key, record)
        return None

    def _stat_file(self, way: Sequence[str], name: str) -> os.stat_result:
        with folders.opened(self.root, way) as folder:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def _is_still(self, file: os.stat_result, way: Sequence[str], name: str) -> bool:
        try:
            return os.path.samestat(file, self._stat_file(way, name))
        except OSError:
            return False

    def _look_from_outside(self, key: str) -> Found | None:
        *way, name = self._layout.segments(key)
        try:
            file = self._stat_file(way, name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return foreign(key, file) if stat.S_ISREG(file.st_mode) else None

    def _replace(
        self, key: str, hashed_key: str, draft: Draft, record: Record | None, current: Found | None
    ) -> Sequence[int]:
        """Rename the draft into its place, `record` (None: it carries its own) into a sidecar; folders to sync."""
        *way, name = self._layout.segments(key)
        touched: list[int] = []
        try:
            if record is not None:
                kept = [record] if current is None or current.record is None else [record, current.record]
                touched.append(self._sidecars.write(key, hashed_key, kept, self._staging.synced))
                self._step("after_sidecar")
            touched.append(self._place(key, way, name, draft, current))
        except BaseException:
            _close_all(touched)
            if current is None:
                self._sidecars.remove(hashed_key)
                os.close(folders.prune(self.root, way))
            raise
        draft.placed()
        try:
            self._step("after_rename")
            if record is None:
                self._sidecars.remove(hashed_key, touched[-1])
        except BaseException:
            _close_all(touched)
            raise
        return touched

    def _place(self, key: str, way: Sequence[str], name: str, draft: Draft, current: Found | None) -> int:
        for _ in range(_ATTEMPTS):
            try:
                folder = folders.make(self.root, way, self._folder_mode)
            except FileNotFoundError:
                # A removal took the folder for one that is no longer needed, just as we went through it.
                continue
            except NotADirectoryError:
                raise paths.unholdable(
                    self._layout.name, key, "a part of its path is an object or a symbolic link"
                ) from None
            try:
                if current is None:
                    self._refuse_what_is_no_object(key, name, folder)
                os.rename(draft.name, name, src_dir_fd=draft.folder, dst_dir_fd=folder)
            except BaseException as error:
                os.close(folder)
                if isinstance(error, FileNotFoundError):
                    continue
                raise
            return folder
        raise Unavailable(f"{self._layout.name}: the folder of {key!r} is removed again and again; try later")

    def _refuse_what_is_no_object(self, key: str, name: str, folder: int) -> None:
        try:
            there = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(there):
            # What a put that died, or another program, left empty is in nobody's way.
            if not folders.remove_if_hollow(name, folder):
                raise paths.unholdable(self._layout.name, key, "it is the folder of other objects")
        elif not stat.S_ISREG(there):
            raise paths.unholdable(self._layout.name, key, "something that is no plain file has its name")

    def _refuse_changed(self, fd: int, found: Found, draft: Draft) -> None:
        after = os.fstat(fd)
        if not draft.size == after.st_size == found.info.size or time_of(after.st_mtime_ns) != found.info.modified:
            raise Unavailable(f"the object {found.info.key!r} was changed by another program while it was copied")

    def _forget_what_died(self, swept: Sequence[str]) -> None:
        """Remove the sidecars that puts left which died before they made their object."""
        for hashed_key in {name.partition(".")[0] for name in swept}:
            key = self._sidecars.key_of(hashed_key)
            if key is not None:
                with self._locks.holding_key(hashed_key):
                    if self.look(key) is None:
                        self._sidecars.remove(hashed_key)


def _info(found: Found | None) -> ObjectInfo | None:
    return None if found is None else found.info


def _sync_all(touched: Sequence[int]) -> None:
    try:
        for fd in touched:
            os.fsync(fd)
    finally:
        _close_all(touched)


def _close_all(touched: Sequence[int]) -> None:
    for fd in touched:
        os.close(fd)
