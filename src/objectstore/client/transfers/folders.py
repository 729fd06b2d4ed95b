"""Whole folders: which files there are to send, where objects go, and what is left alone.

Symbolic links to files inside the folder are sent as what they point to. Those that lead out of it, those to folders,
pipes, sockets and devices are not; the report tells of each. Nothing is written outside of the folder.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path, PurePosixPath

from objectstore.client.steps import Work, local
from objectstore.client.transfers.jobs import Download, Job, Report, Upload
from objectstore.client.transfers.names import clashes, is_marker, is_ours, key_of, path_of
from objectstore.errors import InvalidKey, ObjectStoreError
from objectstore.values import Attributes, ObjectInfo
from objectstore.wire import flows
from objectstore.wire.requests import MAX_BATCH, list_objects
from objectstore.wire.retries import Retries


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be transferred, and what is known to come of the rest."""

    jobs: list[Job] = field(default_factory=list)
    total: int = 0  # bytes
    report: Report = field(default_factory=Report)


@dataclass(frozen=True, slots=True)
class Found:
    """A file in a folder."""

    path: str
    relative: str  # to the folder
    size: int  # bytes
    changed: int  # nanoseconds since 1970


def upload_plan(
    folder: str | os.PathLike[str], prefix: str, retries: Retries, *, skip_same: bool, attributes: Attributes
) -> Work[Plan]:
    """The files of the folder, in order of their paths. Raises OSError: there is no such folder."""
    report = Report()
    found = yield from local(partial(_walked, Path(folder), report))
    there: dict[str, ObjectInfo] = {}
    if skip_same:
        there = {info.key: info for info in (yield from listed(prefix, retries))}
    jobs: list[Job] = []
    total = 0
    for one in found:
        try:
            key = key_of(one.relative, prefix)
        except InvalidKey as error:
            report.failed[f"{prefix}{one.relative}"] = error
            continue
        total += one.size
        jobs.append(Upload(source=one.path, key=key, attributes=attributes, size=one.size, there=there.get(key)))
    return Plan(jobs, total, report)


def download_plan(prefix: str, folder: str | os.PathLike[str], retries: Retries, *, skip_same: bool) -> Work[Plan]:
    """The objects whose keys start with the prefix. The folder is made if need be."""
    into = Path(folder)
    objects = yield from listed(prefix, retries)
    report = Report()
    found = yield from local(partial(placed, objects, prefix, into, report))
    jobs: list[Job] = [
        Download(key=info.key, path=path, size=info.size, there=info if skip_same else None) for path, info in found
    ]
    return Plan(jobs, sum(info.size for _, info in found), report)


def placed(objects: Iterable[ObjectInfo], prefix: str, into: Path, report: Report) -> list[tuple[Path, ObjectInfo]]:
    """Where in the folder each of the objects goes; the report tells of those that can go nowhere.

    The folder is made, and so are those that empty objects stand for. Raises OSError: it cannot be made.
    """
    folds = _prepared(into)
    paths: dict[PurePosixPath, ObjectInfo] = {}
    for info in objects:
        try:
            if is_marker(info.key, info.size):
                _make_folder(into, info.key, prefix)
                report.done[info.key] = info
            else:
                paths[path_of(info.key, prefix)] = info
        except (ObjectStoreError, OSError) as error:
            report.failed[info.key] = error
    for path, clash in clashes(paths, folds=folds).items():
        report.failed[paths.pop(path).key] = clash
    found: list[tuple[Path, ObjectInfo]] = []
    root = os.path.realpath(into)
    for path, info in paths.items():
        target = into / path
        if not _inside(os.path.realpath(target), root):
            report.failed[info.key] = InvalidKey(f"{target} leads out of the folder by a symbolic link: remove that")
            continue
        found.append((target, info))
    return found


def listed(prefix: str, retries: Retries) -> Work[list[ObjectInfo]]:
    """Everything under the prefix."""
    found: list[ObjectInfo] = []
    cursor: str | None = None
    while True:
        request = list_objects(
            prefix=prefix, delimiter="", limit=MAX_BATCH, cursor=cursor, start_after=None, details=True
        )
        page = yield from flows.list_page(request, cursor, retries)
        found += page.objects
        cursor = page.next_cursor
        if cursor is None:
            return found


def walk(folder: Path, report: Report) -> Iterator[Found]:
    """The files in and below the folder that are to be sent, in order of their paths; of others the report tells."""
    root = os.path.realpath(folder)
    top = "" if str(folder) == "." else os.path.join(folder, "")  # noqa: PTH118  pathlib leaves out the slash
    left = [""]  # folders below it, with a slash at their ends, the next at the end
    while left:
        below = left.pop()
        try:
            with os.scandir(top + below or ".") as found:
                entries = sorted(found, key=attrgetter("name"))
        except OSError as error:
            if not below:
                raise
            report.failed[below.removesuffix("/")] = error
            continue
        folders: list[str] = []
        for entry in entries:
            relative = below + entry.name
            if _is_folder(entry):
                folders.append(relative + "/")
                continue
            try:
                told = entry.stat()
            except OSError as error:
                report.ignored[relative] = f"it cannot be read: {error.strerror}"
                continue
            reason = _reason(entry, told, root)
            if reason:
                report.ignored[relative] = reason
            elif not is_ours(entry.name):
                yield Found(top + relative, relative, told.st_size, told.st_mtime_ns)
        left += reversed(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _walked(folder: Path, report: Report) -> list[Found]:
    return list(walk(folder, report))


def _reason(entry: os.DirEntry[str], told: os.stat_result, root: str) -> str:
    if stat.S_ISDIR(told.st_mode):
        return "a symbolic link to a folder, which is not followed"
    if not stat.S_ISREG(told.st_mode):
        return "a pipe, a socket or a device"
    if entry.is_symlink() and not _inside(os.path.realpath(entry.path), root):
        return "a symbolic link out of the folder, which is not followed"
    return ""


def _inside(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


def _make_folder(folder: Path, key: str, prefix: str) -> None:
    if (name := key.removeprefix(prefix).removesuffix("/")) == "":
        return
    path = folder / path_of(prefix + name, prefix)
    if not _inside(os.path.realpath(path), os.path.realpath(folder)):
        raise InvalidKey(f"{path} leads out of the folder by a symbolic link: remove that")
    path.mkdir(parents=True, exist_ok=True)


def _prepared(folder: Path) -> bool:
    """Make the folder; whether its file system takes upper and lower case for the same."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(OSError), tempfile.NamedTemporaryFile(prefix=".ObjectStore-", dir=folder) as probe:
        return Path(probe.name).with_name(Path(probe.name).name.swapcase()).exists()
    return False
