"""Many transfers at once: what is to be done, what happens to it, what came of it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from objectstore.client.sources import Data
from objectstore.client.steps import Local, Work, brief, local
from objectstore.client.transfers import downloads, uploads
from objectstore.client.transfers.content import SMALL, digest_of, open_content, read_small
from objectstore.client.transfers.kinds import guess_content_type
from objectstore.client.transfers.layout import in_parts
from objectstore.client.transfers.meter import Meter, Progress
from objectstore.client.transfers.options import Options
from objectstore.client.transfers.partfile import settled, usual_mode
from objectstore.client.transfers.remote import RemoteContent
from objectstore.errors import InvalidParameter, ObjectStoreError
from objectstore.values import NO_ATTRIBUTES, UNCONDITIONAL, Attributes, Conditions, ObjectInfo
from objectstore.wire import flows
from objectstore.wire.retries import Retries

CONCURRENCY: Final = 16  # objects under way at once
CONNECTIONS: Final = 64  # that the parts of all of them together use at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # two jobs are two, however alike
class Upload:
    """A source that is to be stored under a key.

    Without a content type, it is that of the name. When `there` is what the store has under the key already, a file
    that is the same by its size and digest is skipped.
    """

    source: Data | str | RemoteContent  # a str is a path
    key: str
    attributes: Attributes = NO_ATTRIBUTES
    conditions: Conditions = UNCONDITIONAL
    size: int | None = None  # bytes, when it is known
    there: ObjectInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # two jobs are two, however alike
class Download:
    """An object that is to be brought into a file, whose folder is made if need be.

    When `there` is what the store has under the key, a file that is the same by its size and digest is skipped.
    """

    key: str
    path: str | os.PathLike[str]
    conditions: Conditions = UNCONDITIONAL
    size: int | None = None  # bytes, when it is known
    there: ObjectInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # two jobs are two, however alike
class Copy:
    """An object that is to be stored under another key of the same store, without passing here."""

    source: str  # its key
    key: str
    attributes: Attributes = NO_ATTRIBUTES  # instead of all that the source has
    conditions: Conditions = UNCONDITIONAL  # on what is under `key`
    size: int | None = None  # bytes, when it is known


Job: TypeAlias = Upload | Download | Copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """What came of a job: the object, or the error."""

    job: Job
    info: ObjectInfo | None = None
    skipped: bool = False  # it was the same already
    error: ObjectStoreError | OSError | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A job is being worked at."""

    job: Job


@dataclass(frozen=True, slots=True)
class Moved:
    """So many bytes of a job are done."""

    job: Job
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A job is done with."""

    result: Transferred


Event: TypeAlias = Started | Moved | Ended
OnEvent: TypeAlias = Callable[[Event], object]
"""Called by one thread at a time. What it raises ends all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of each of many objects, by key; `ignored` are files that were not meant, with the reason."""

    done: dict[str, ObjectInfo] = field(default_factory=dict)
    skipped: dict[str, ObjectInfo] = field(default_factory=dict)  # the same already
    failed: dict[str, ObjectStoreError | OSError] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)

    def add(self, one: Transferred) -> None:
        if one.error is not None:
            self.failed[one.job.key] = one.error
        elif one.info is not None:
            (self.skipped if one.skipped else self.done)[one.job.key] = one.info

    def check(self) -> None:
        """Raises the first error, if there is one."""
        for error in self.failed.values():
            raise error


class Crew:
    """Makes the works of jobs, and tells how far they are."""

    def __init__(
        self,
        site: str,
        retries: Retries,
        options: Options,
        concurrency: int,
        progress: Progress | None = None,
        on_event: OnEvent | None = None,
        total: int | None = None,
        jobs: Iterable[Job] = (),
    ) -> None:
        """`jobs` are looked at when they are known beforehand."""
        if concurrency < 1:
            raise InvalidParameter(f"at least one object is transferred at a time, not {concurrency}")
        self._site = site
        self._retries = retries
        # So that the parts of all together do not wait for connections.
        large = min(concurrency, _large(jobs, options.part_size)) if isinstance(jobs, Collection) else concurrency
        parts = min(options.concurrency, max(1, CONNECTIONS // max(1, large)))
        self._options = replace(options, concurrency=parts, settle=False, mode=usual_mode())
        self._made: set[str] = set()  # folders that are there
        self._folders: set[Path] = set()  # with new names, which are settled once
        self._on_event = on_event
        self._telling = threading.RLock()
        self.meter = Meter(progress, total)

    def works(self, jobs: Iterable[Job]) -> Iterator[Work[Transferred]]:
        return map(self._work, jobs)

    def finish(self) -> Work[None]:
        """Have all that was done on the disk, and tell that all is done."""
        for folder in sorted(self._folders):
            yield Local(partial(settled, folder))
        self.meter.finish()

    def _work(self, job: Job) -> Work[Transferred]:
        self._tell(Started(job))
        counted = 0

        def count(done: int, total: int | None) -> None:
            nonlocal counted
            self.meter.add(done - counted)
            counted = done
            if self._on_event is not None:
                self._tell(Moved(job, done, total))

        meter = Meter(count)
        try:
            result = yield from self._same(job, meter)
            if result is None:
                result = Transferred(job=job, info=(yield from self._moved(job, meter)))
        except (ObjectStoreError, OSError) as error:
            result = Transferred(job=job, error=error)
        self._tell(Ended(result))
        return result

    def _moved(self, job: Job, meter: Meter) -> Work[ObjectInfo]:
        if isinstance(job, Upload):
            return uploads.upload(
                job.source,
                job.key,
                typed(job.attributes, job.source, job.key),
                job.conditions,
                self._options,
                self._site,
                self._retries,
                meter,
            )
        if isinstance(job, Copy):
            return self._copied(job, meter)
        return self._downloaded(job, meter)

    def _copied(self, job: Copy, meter: Meter) -> Work[ObjectInfo]:
        info = yield from flows.copy(job.source, job.key, job.attributes, job.conditions, self._retries)
        meter.expect(info.size)
        meter.finish()
        return info

    def _downloaded(self, job: Download, meter: Meter) -> Work[ObjectInfo]:
        folder = os.path.dirname(job.path)  # noqa: PTH120  there are many of them
        if folder not in self._made:
            yield Local(partial(Path(folder).mkdir, parents=True, exist_ok=True))
            self._made.add(folder)
        how = (job.key, job.path, job.conditions, self._options)
        if job.size is not None and 0 < job.size <= SMALL:
            found = yield from downloads.download_small(*how, self._retries, meter)
            if found is not None:
                info, path = found
                self._folders.add(path.parent)
                return info
        info = yield from downloads.download(*how, self._site, self._retries, meter)
        self._folders.add(Path(os.path.realpath(job.path)).parent)
        return info

    def _same(self, job: Job, meter: Meter) -> Work[Transferred | None]:
        if isinstance(job, Copy) or job.there is None:
            return None
        path = job.source if isinstance(job, Upload) else job.path
        if not isinstance(path, str | os.PathLike):
            return None
        look = brief if job.there.size <= SMALL else local
        if (yield from look(partial(_is_same, path, job.there))):
            meter.expect(job.there.size)
            meter.finish()
            return Transferred(job=job, info=job.there, skipped=True)
        return None

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            with self._telling:
                self._on_event(event)


def _large(jobs: Collection[Job], part_size: int) -> int:
    """How many of them may go in parts."""
    return sum(job.size is None or in_parts(job.size, part_size) for job in jobs)


def typed(attributes: Attributes, source: object, key: object) -> Attributes:
    """With the content type of the name, when none was given."""
    if attributes.content_type is not None or not isinstance(key, str):
        return attributes
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    guessed = guess_content_type(name if isinstance(name, str) else "", key)
    return attributes if guessed is None else replace(attributes, content_type=guessed)


def _is_same(name: str | os.PathLike[str], info: ObjectInfo) -> bool:
    """Whether the file has the size and digest of the object; unknown is no."""
    digest = info.digests.get("sha-256")
    try:
        if digest is None:
            return False
        if 0 < info.size <= SMALL:
            data = read_small(name)
            return data is not None and len(data) == info.size and hashlib.sha256(data).digest() == digest
        path = Path(name)
        if not path.is_file() or path.stat().st_size != info.size:
            return False
        file, content = open_content(path)
    except OSError:
        return False
    with file:
        return digest_of(content, 0, content.size) == digest if content is not None else info.size == 0
