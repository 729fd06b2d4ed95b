"""What has to be moved to bring sources to their targets: the jobs, found by looking at both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from objectstore.cli.exits import Usage
from objectstore.cli.locations import Local, Remote, destination
from objectstore.cli.stores import Stores
from objectstore.client import RestStore
from objectstore.client.syncing.times import NAME, told
from objectstore.client.transfers.folders import Found, placed, walk
from objectstore.client.transfers.jobs import Copy, Download, Job, Report, Upload
from objectstore.client.transfers.kinds import guess_content_type
from objectstore.client.transfers.names import key_of, path_of
from objectstore.client.transfers.remote import RemoteContent
from objectstore.errors import InvalidKey, NotFound
from objectstore.values import NO_ATTRIBUTES, UNCONDITIONAL, Attributes, Conditions, ObjectInfo

Side: TypeAlias = Local | Remote


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A job, the store that carries it out, and what its source is."""

    job: Job
    store: RestStore
    size: int  # bytes
    source: str
    target: str
    file: Found | None = None  # the source, when it is one
    info: ObjectInfo | None = None  # the source, when it is an object
    origin: RestStore | None = None  # where that is


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What was asked for."""

    recursive: bool = False
    attributes: Attributes = NO_ATTRIBUTES
    conditions: Conditions = UNCONDITIONAL
    skip_same: bool = False  # by size and digest


@dataclass(frozen=True, slots=True)
class ToDo:
    """The tasks, and what is known to come of the rest."""

    tasks: list[Task] = field(default_factory=list)
    same: list[tuple[Task, ObjectInfo]] = field(default_factory=list)
    report: Report = field(default_factory=Report)


class Finder:
    """Finds the tasks."""

    def __init__(self, stores: Stores, how: How) -> None:
        self._stores = stores
        self._how = how

    def find(self, sources: Sequence[Side], target: Side) -> ToDo:
        """All that is to be done for the sources. Raises Usage, OSError, ObjectStoreError."""
        into = target.is_folder or (isinstance(target, Local) and Path(target.path).is_dir())
        if len(sources) > 1 and not into:
            raise Usage(f"several sources go into a folder, and {target} is none: end it with a slash")
        found = ToDo()
        for source in sources:
            if isinstance(source, Local):
                if isinstance(target, Local):
                    raise Usage(f"{source} and {target} are both paths on this machine; what is on a server is os:KEY")
                self._of_local(source, target, found, into=into)
            else:
                self._of_remote(source, target, found, into=into)
        return found

    def _of_local(self, source: Local, target: Remote, found: ToDo, *, into: bool) -> None:
        path = Path(source.path)
        if not path.is_dir():
            one = path.stat()
            place = destination(source, target, into=into, tree=False)
            self.add_upload(Found(str(path), path.name, one.st_size, one.st_mtime_ns), place, None, found)
            return
        if not self._how.recursive:
            raise Usage(f"{source} is a folder: add -r to copy all that is in it")
        self.add_tree(list(walk(path, found.report)), destination(source, target, into=into, tree=True), found)

    def add_tree(self, files: Sequence[Found], target: Side, found: ToDo) -> None:
        """Upload the files of a folder below the target."""
        assert isinstance(target, Remote)  # noqa: S101  of what is local, by `find`
        there = self._there(target) if files else {}
        below = target.within().below
        for one in files:
            try:
                key = key_of(one.relative, "")
            except InvalidKey as error:
                found.report.failed[one.path] = error
                continue
            place = below(key)
            self.add_upload(one, place, there.get(place.key), found)

    def add_upload(self, file: Found, target: Side, there: ObjectInfo | None, found: ToDo) -> None:
        assert isinstance(target, Remote)  # noqa: S101  of what is local, by `find`
        given = self._how.attributes
        attributes = replace(
            given,
            content_type=given.content_type or guess_content_type(file.path, target.key),
            metadata={NAME: told(file.changed), **given.metadata},
        )
        job = Upload(
            source=file.path,
            key=target.key,
            attributes=attributes,
            conditions=self._how.conditions,
            size=file.size,
            there=there,
        )
        store = self._stores.at(target.server)
        found.tasks.append(Task(job=job, store=store, size=file.size, source=file.path, target=str(target), file=file))

    def _of_remote(self, source: Remote, target: Side, found: ToDo, *, into: bool) -> None:
        store = self._stores.at(source.server)
        objects = list(store.objects(source.within().key)) if self._how.recursive else []
        if objects:
            self.add_objects(source.within(), objects, destination(source, target, into=into, tree=True), found)
        elif self._how.recursive and source.is_folder:
            raise NotFound(str(source))
        else:
            if source.key == "":
                raise Usage(f"{source} is a whole store: add -r to copy all that is in it")
            info = store.head(source.key)
            place = destination(source, target, into=into, tree=False)
            if isinstance(place, Remote):
                self._add_copy(source, info, place, None, found)
            else:
                if into:
                    path_of(source.last, "")  # which tells of names that no file can have
                self.add_download(source, info, Path(place.path), found)

    def add_objects(self, source: Remote, objects: Sequence[ObjectInfo], target: Side, found: ToDo) -> None:
        """Bring objects below the source to their places below the target."""
        if isinstance(target, Local):
            for path, info in placed(objects, source.key, Path(target.path), found.report):
                self.add_download(Remote(source.server, info.key, source.text), info, path, found)
            return
        there = self._there(target)
        for info in objects:
            place = Remote(target.server, target.key + info.key.removeprefix(source.key), target.text)
            self._add_copy(Remote(source.server, info.key, source.text), info, place, there.get(place.key), found)

    def add_download(self, source: Remote, info: ObjectInfo, path: Path, found: ToDo) -> None:
        store = self._stores.at(source.server)
        there = info if self._how.skip_same else None
        if self._how.conditions != UNCONDITIONAL and path.exists():
            found.report.failed[str(path)] = FileExistsError(17, "it exists already", str(path))
            return
        job = Download(key=info.key, path=path, size=info.size, there=there)
        found.tasks.append(
            Task(job=job, store=store, size=info.size, source=str(source), target=str(path), info=info, origin=store)
        )

    def _add_copy(
        self, source: Remote, info: ObjectInfo, target: Remote, there: ObjectInfo | None, found: ToDo
    ) -> None:
        origin, store = self._stores.at(source.server), self._stores.at(target.server)
        if origin is store and source.key == target.key:
            raise Usage(f"{source} and {target} are the same object")
        given, conditions = self._how.attributes, self._how.conditions
        job: Job
        if origin is store:
            whole = given if given == NO_ATTRIBUTES else merged(info.attributes, given)
            job = Copy(source=info.key, key=target.key, attributes=whole, conditions=conditions, size=info.size)
        else:
            job = Upload(
                source=RemoteContent(origin, info, str(source)),
                key=target.key,
                attributes=merged(info.attributes, given),
                conditions=conditions,
                size=info.size,
            )
        task = Task(
            job=job, store=store, size=info.size, source=str(source), target=str(target), info=info, origin=origin
        )
        if there is not None and same(info, there):
            found.same.append((task, there))
        else:
            found.tasks.append(task)

    def _there(self, target: Remote) -> Mapping[str, ObjectInfo]:
        if not self._how.skip_same:
            return {}
        return {info.key: info for info in self._stores.at(target.server).objects(target.key)}


def same(one: ObjectInfo, other: ObjectInfo) -> bool:
    """Whether they have the same bytes; unknown is no."""
    digest = one.digests.get("sha-256")
    return digest is not None and one.size == other.size and digest == other.digests.get("sha-256")


def merged(kept: Attributes, given: Attributes) -> Attributes:
    """What an object has, with what is given instead or besides."""
    return Attributes(
        content_type=given.content_type or kept.content_type,
        content_encoding=given.content_encoding or kept.content_encoding,
        content_disposition=given.content_disposition or kept.content_disposition,
        content_language=given.content_language or kept.content_language,
        cache_control=given.cache_control or kept.cache_control,
        metadata={**kept.metadata, **given.metadata},
    )
