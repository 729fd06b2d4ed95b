"""Making a data directory of a backup.

The folder becomes a data directory, by its FORMAT, as the last step: a restore that ends in the middle leaves
one that no server takes for its data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.backends.engine import schema, steps, transcript
from objectstore.backends.engine.backup import Tell, no_telling
from objectstore.backends.engine.backupset import BESIDE, FOLDERS, BackupSet, Manifest, wanted, write_file
from objectstore.backends.engine.check import Finding, examine
from objectstore.backends.engine.directory import Directory, make_folder, sync_folder
from objectstore.backends.engine.failures import translate
from objectstore.errors import ConfigurationError, Corrupted

_MARKER: Final = "RESTORING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored, and what is wrong with it: nothing, unless damage was to be put up with."""

    manifest: Manifest
    findings: tuple[Finding, ...] = ()


def restore(
    source: Path,
    data: Path,
    *,
    deep: bool = False,
    salvage: bool = False,
    tell: Tell = no_telling,
    step: Callable[[str], None] = steps.no_step,
) -> Restored:
    """Make `data`, a new or empty folder, the data directory that the backup in `source` is of.

    Everything is copied, synced and looked over as `check` does: sizes, and with `deep` digests. With `salvage`
    a damaged backup is restored all the same, and what is wrong is told.

    Raises:
        ConfigurationError: there is no backup, or `data` is not empty, which is then not touched.
        Corrupted: the backup is damaged; `data` is left as no data directory.
        StorageFull, Unavailable.
    """
    kept = BackupSet(source)
    directory = Directory(data)
    try:
        with kept.reading():
            manifest = kept.read()
            if not manifest.state:
                raise ConfigurationError(f"there is no whole backup in {source}: the first one was cut short")
            state = kept.states / manifest.state
            Directory(state).check_format()
            _begin(directory)
            damaged = _copy_index(kept, manifest, directory)
            if damaged and not salvage:
                raise Corrupted(f"the index in {source} is not what was backed up; --salvage restores what can be read")
            _copy_blobs(kept, directory, tell)
            findings = tuple(examine(directory, deep=deep))
            lost = [finding for finding in findings if finding.lost]
            if lost and not salvage:
                raise Corrupted(_told(source, lost))
            _finish(state, directory, step)
            return Restored(manifest=manifest, findings=findings)
    except (OSError, sqlite3.Error) as error:
        raise translate(error) from error


def _begin(directory: Directory) -> None:
    with directory.opening():
        there = sorted(entry.name for entry in directory.root.iterdir())
        if _MARKER in there:
            raise ConfigurationError(
                f"{directory.root} holds what a restore that was cut short has left; delete it, then restore again"
            )
        if there:
            raise ConfigurationError(
                f"{directory.root} is not empty (it holds {there[0]!r}); restore into an empty or a new folder"
            )
        write_file(directory.root / _MARKER, b"")
        sync_folder(directory.root)


def _copy_index(kept: BackupSet, manifest: Manifest, directory: Directory) -> bool:
    """Whether it is damaged."""
    source = kept.index(manifest.state)
    try:
        size, digest = transcript.copy(str(source), str(directory.index))
    except FileNotFoundError:
        raise Corrupted(f"the index of the backup, {source}, is missing") from None
    return size != manifest.index_size or digest.hex() != manifest.index_sha256


def _copy_blobs(kept: BackupSet, directory: Directory, tell: Tell) -> None:
    make_folder(directory.blobs)
    done = 0
    with closing(schema.open_for_reading(directory.index)) as index:
        total = sum(blob.size for name in FOLDERS for blob in wanted(index, name))
        for name in FOLDERS:
            blobs = wanted(index, name)
            if not blobs:
                continue
            make_folder(directory.blobs / name)
            for blob in blobs:
                # What is missing or too short is found when everything is looked over.
                with suppress(FileNotFoundError):
                    transcript.copy(str(kept.blobs / name / blob.name), directory.blob(blob.name))
                done += blob.size
                tell(done, total)
            sync_folder(directory.blobs / name)


def _finish(state: Path, directory: Directory, step: Callable[[str], None]) -> None:
    for name in BESIDE:
        with suppress(FileNotFoundError):
            write_file(directory.root / name, (state / name).read_bytes())
    sync_folder(directory.root)
    step(steps.BEFORE_FORMAT)
    (directory.root / _MARKER).unlink()
    temporary = directory.root / ".FORMAT-restored"
    write_file(temporary, (state / "FORMAT").read_bytes())
    temporary.rename(directory.format)
    sync_folder(directory.root)


def _told(source: Path, lost: list[Finding]) -> str:
    shown = [f"{finding.kind}: {finding.name}: {finding.message}" for finding in lost[:10]]
    more = [f"and {len(lost) - len(shown)} more"] if len(lost) > len(shown) else []
    return "\n".join(
        [f"the backup in {source} is damaged; --salvage restores what can be read:", *shown, *more],
    )
