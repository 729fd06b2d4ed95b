"""A download, step by step, for both drivers.

The first request asks for so many bytes as are not worth cutting: of most objects that is all. The parts of larger ones
come side by side, each on the condition that the object is still the one of the first answer; when it is not, the
download starts over with what it is now.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

from objectstore.client.steps import Brief, Gather, Local, Pour, Work, brief
from objectstore.client.transfers.content import SMALL
from objectstore.client.transfers.layout import FEW, Layout, missing
from objectstore.client.transfers.meter import Meter
from objectstore.client.transfers.options import Options
from objectstore.client.transfers.partfile import Begun, PartFile, settled
from objectstore.errors import Corrupted, InvalidRange, NotFound, PreconditionFailed, Unavailable, Unsupported
from objectstore.values import Bounded, Conditions, ObjectInfo
from objectstore.wire import flows, requests
from objectstore.wire.downloads import Download
from objectstore.wire.flows import Close
from objectstore.wire.replies import Reply
from objectstore.wire.retries import ConnectionFailed, Retries

Write: TypeAlias = Callable[[int, Sequence[bytes]], None]
_STARTS: Final = 4  # of an object that changes again and again while it is read


class _Changed(Exception):
    """The object is no longer the one of which there are parts already."""


def download(
    key: str,
    path: str | os.PathLike[str],
    conditions: Conditions,
    options: Options,
    site: str,
    retries: Retries,
    meter: Meter,
) -> Work[ObjectInfo]:
    """Bring the object into the file at `path`, which appears or is replaced when all of it is there."""
    requests.path_of(key)
    fetching = _Fetching(key, conditions, options, site, retries, meter)
    # A symbolic link stays one: what it points to is replaced.
    target = Path(os.path.realpath(path))
    if _is_special(target):
        info = yield from fetching.straight(target)
    else:
        info = yield from fetching.replacing(PartFile(target, options.mode))
    meter.finish()
    return info


def download_small(
    key: str, path: str | os.PathLike[str], conditions: Conditions, options: Options, retries: Retries, meter: Meter
) -> Work[tuple[ObjectInfo, Path] | None]:
    """As `download`, of what is believed to be small, and held in memory. Also where it was put.

    None when it is not small, or goes to a pipe or a device, and nothing was done.
    """
    small = _Small(path, options)
    if not (yield from brief(small.look)):
        return None
    try:
        found = yield from flows.get_small(key, SMALL, conditions, retries)
    except Unsupported:
        return None  # the server serves no ranges
    if found is None:
        return None
    info, data = found
    meter.expect(info.size)
    try:
        yield Brief(partial(small.write, data))
        yield Local(small.sync)
        yield Brief(small.finish)
    finally:
        small.close()
    meter.add(info.size)
    meter.finish()
    return info, small.target


def abandon(path: str | os.PathLike[str]) -> None:
    """Remove what an unfinished download to `path` has left."""
    file = PartFile(Path(os.path.realpath(path)))
    file.open()
    file.drop()


def _is_special(target: Path) -> bool:
    """Whether it is a pipe or a device. Raises IsADirectoryError, which says what to do instead."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder: name the file in it", str(target))
    return not stat.S_ISREG(mode)


class _Fetching:
    """One download; `site` is the address of the store, for the note."""

    def __init__(
        self, key: str, conditions: Conditions, options: Options, site: str, retries: Retries, meter: Meter
    ) -> None:
        self._key = key
        self._conditions = conditions
        self._options = options
        self._site = site
        self._retries = retries
        self._meter = meter

    def straight(self, target: Path) -> Work[ObjectInfo]:
        """Into a pipe or a device, from front to back."""
        opened = _Special(target)
        try:
            yield Local(opened.open)
            found, reply = yield from flows.open_object(self._key, None, self._conditions, self._retries)
            self._meter.expect(found.info.size)
            yield from self._pour(found, reply, lambda _, chunks: opened.write(chunks))
        except _Changed as changed:
            # What was written cannot be taken back.
            raise cast("Unavailable", changed.__cause__) from changed
        finally:
            opened.close()
        return found.info

    def replacing(self, file: PartFile) -> Work[ObjectInfo]:
        try:
            yield Local(file.open)
            for start in range(_STARTS):
                try:
                    info = yield from self._fetch(file, go_on=self._options.resume and not start)
                except _Changed:
                    self._meter.restart()
                    continue
                yield Local(partial(file.finish, settle=self._options.settle))
                return info
            raise Unavailable(f"the object under {self._key!r} was changed {_STARTS} times while it was downloaded")
        except Corrupted:
            file.drop()
            raise
        finally:
            if self._options.resume:
                file.give_up()
            else:
                file.drop()

    def _fetch(self, file: PartFile, *, go_on: bool) -> Work[ObjectInfo]:
        begun = file.earlier(self._site, self._key) if go_on else None
        if begun is not None:
            info = yield from flows.head(self._key, self._retries, self._conditions)
            if (info.etag, info.size) == (begun.etag, begun.layout.size):
                self._meter.expect(info.size)
                self._meter.add(sum(map(begun.layout.length, file.done)))
                yield from self._gather(file, begun, missing(begun.layout.count, set(file.done)))
                yield from self._verified(file)
                return info
        found, reply = yield from self._open()
        begun = Begun(
            self._site,
            self._key,
            found.info.etag,
            Layout(found.info.size, self._options.part_size),
            found.info.digests.get("sha-256"),
        )
        try:
            self._meter.expect(found.info.size)
            yield Local(partial(file.begin, begun))
        except Exception:
            yield Close(reply)
            raise
        if found.stop == found.info.size:
            # All of it, hashed while it comes.
            yield from self._arriving(file, found, reply)
        else:
            head = self._arriving(file, found, reply)
            yield from self._gather(file, begun, range(FEW, begun.layout.count), (head,))
            yield from self._verified(file)
        return found.info

    def _open(self) -> Work[tuple[Download, Reply]]:
        key, conditions, retries = self._key, self._conditions, self._retries
        try:
            wanted = Bounded(0, FEW * self._options.part_size)
            return (yield from flows.open_object(key, wanted, conditions, retries))
        except (InvalidRange, Unsupported):
            # It is empty, or the server serves no ranges.
            return (yield from flows.open_object(key, None, conditions, retries))

    def _gather(
        self, file: PartFile, begun: Begun, parts: Iterable[int], first: tuple[Work[None], ...] = ()
    ) -> Work[None]:
        works = chain(first, (self._part(file, begun, part) for part in parts))
        yield Gather(works, self._options.concurrency)

    def _part(self, file: PartFile, begun: Begun, part: int) -> Work[None]:
        wanted = Bounded(begun.layout.start(part), begun.layout.stop(part))
        same = Conditions(if_match=(begun.etag,))
        try:
            found, reply = yield from flows.open_object(self._key, wanted, same, self._retries)
        except (PreconditionFailed, NotFound, InvalidRange) as error:
            raise _Changed from error
        yield from self._arriving(file, found, reply)
        if self._options.verify:
            yield Local(file.hash_prefix)

    def _arriving(self, file: PartFile, found: Download, reply: Reply) -> Work[None]:
        def write(position: int, chunks: Sequence[bytes]) -> None:
            file.write(position, chunks)
            file.reached(position, found.position)

        yield from self._pour(found, reply, write)

    def _pour(self, found: Download, reply: Reply, write: Write) -> Work[None]:
        def sink(chunks: Sequence[bytes]) -> None:
            position = found.position
            for chunk in chunks:
                found.feed(chunk)
            write(position, chunks)
            self._meter.add(found.position - position)

        while True:
            try:
                yield Pour(reply, sink)
            except ConnectionFailed as failure:
                if found.position < found.stop:
                    reply = yield from self._resumed(found, failure)
                    continue
            try:
                found.finish()
            except ConnectionFailed as failure:
                reply = yield from self._resumed(found, failure)
                continue
            return

    def _resumed(self, found: Download, failure: ConnectionFailed) -> Work[Reply]:
        try:
            return (yield from flows.resume(found, failure, self._retries))
        except Unavailable as error:
            if isinstance(error.__cause__, NotFound | PreconditionFailed):
                raise _Changed from error
            raise

    def _verified(self, file: PartFile) -> Work[None]:
        if not self._options.verify:
            return
        whole: list[bool] = []
        yield Local(lambda: whole.append(file.is_whole()))
        if not whole[0]:
            raise Corrupted(
                f"what arrived of {self._key!r} has not the SHA-256 digest that the server tells of it: "
                "download it again"
            )


class _Small:
    """A file that is written at once. Only `sync` waits for the disk."""

    def __init__(self, path: str | os.PathLike[str], options: Options) -> None:
        self.target = Path(path)
        self._options = options
        self._file: PartFile | None = None

    def look(self) -> bool:
        """Whether it is, or will be, a regular file. Raises IsADirectoryError."""
        self.target = Path(os.path.realpath(self.target))
        return not _is_special(self.target)

    def write(self, data: bytes) -> None:
        self._file = PartFile(self.target, self._options.mode)
        self._file.open()
        self._file.clear()
        self._file.write(0, (data,))
        self._file.permit()

    def sync(self) -> None:
        self._of.sync()

    def finish(self) -> None:
        self._of.place()
        if self._options.settle:
            settled(self.target.parent)

    def close(self) -> None:
        """Remove what is not finished."""
        if self._file is not None:
            self._file.drop()

    @property
    def _of(self) -> PartFile:
        assert self._file is not None  # noqa: S101  it was written
        return self._file


class _Special:
    """A pipe or a device opened for writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> None:
        self._file = self._path.open("wb", buffering=0)

    def write(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest and self._file is not None:
                rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
