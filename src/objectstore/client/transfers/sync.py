"""The transfers of the client that blocks."""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import Literal, Unpack, overload

from objectstore.client.drivers import Driver
from objectstore.client.sources import Data, Kept
from objectstore.client.transfers import downloads, folders, uploads
from objectstore.client.transfers.files import ObjectRaw, ObjectWriter
from objectstore.client.transfers.folders import Plan
from objectstore.client.transfers.jobs import CONCURRENCY, Crew, Job, OnEvent, Report, Transferred, typed
from objectstore.client.transfers.many import MANY, Items, fetches, uploads_of
from objectstore.client.transfers.meter import Meter, Progress
from objectstore.client.transfers.notes import abandoned
from objectstore.client.transfers.options import CONCURRENCY as PARTS
from objectstore.client.transfers.options import Options
from objectstore.client.transfers.writing import BUFFER_SIZE, Writing, check_mode, exclusive
from objectstore.errors import ObjectStoreError
from objectstore.values import NO_ATTRIBUTES, UNCONDITIONAL, Attributes, Conditions, ObjectInfo
from objectstore.wire import flows
from objectstore.wire.flows import PART_SIZE


class Transfers:
    """What `RestStore` moves between files and the store."""

    _driver: Driver

    def upload(
        self,
        source: Data | str,
        key: str,
        *,
        part_size: int = PART_SIZE,
        concurrency: int = PARTS,
        resume: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> ObjectInfo:
        """Store a file under `key`: all of it or, on any error, nothing; a large one in parts, side by side.

        An upload that was broken off, by whatever, is gone on with when the same file is uploaded to the same key
        again: what has arrived is not sent again. What it was is noted in the user's state folder.

        Args:
            source: a path, as str or Path; a binary file, from where it stands; bytes, or an iterable of them.
            key: 1 to 1024 bytes of UTF-8.
            part_size: bytes; what has more than four parts goes in parts.
            concurrency: how many parts are under way at once.
            resume: go on with an upload that was broken off, and note this one; only of paths.
            verify: compare the digest of the whole with the server's, besides those of the parts.
            progress: called with the bytes done and their total.
            conditions: as for `put`; checked at the beginning, and atomically at the end.
            kept: as for `put`. The content type is that of the name when none is given.

        Raises:
            OSError: of the file. IsADirectoryError: it is a folder.
            IncompleteBody, Corrupted: the file was changed meanwhile, or the server stored something else.
            AlreadyExists, PreconditionFailed, TooLarge, StorageFull, InvalidMetadata: nothing was changed.
        """
        options = Options(part_size=part_size, concurrency=concurrency, resume=resume, verify=verify)
        attributes = typed(Attributes(**kept) if kept else NO_ATTRIBUTES, source, key)
        driver = self._driver
        how = (key, attributes, conditions, options, str(driver.site), driver.retries, Meter(progress))
        return driver.run(uploads.upload(source, *how))

    def download(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        part_size: int = PART_SIZE,
        concurrency: int = PARTS,
        resume: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
        conditions: Conditions = UNCONDITIONAL,
    ) -> ObjectInfo:
        """Bring an object into a file, which appears or is replaced at the end: whole, verified and on the disk.

        Until then it grows in `.NAME.objectstore-part` beside it. A download that was broken off is gone on with when
        it is asked for again, unless the object was changed meanwhile: then it starts over.

        Args:
            key: of the object.
            path: of the file; what a symbolic link points to is replaced. A pipe or device is written to as it is.
            part_size: bytes; an object of more than four parts comes in parts.
            concurrency: how many parts are under way at once.
            resume: go on with a download that was broken off, and leave what can be gone on with.
            verify: compare the digest of the whole with the server's when it came in parts.
            progress: called with the bytes done and their total.
            conditions: as for `get`.

        Raises:
            NotFound, NotModified, PreconditionFailed: as `get`.
            IsADirectoryError, OSError: of the file; a disk that is full among them.
            BlockingIOError: another transfer writes to the same file.
            Corrupted: what arrived is not what is stored; there is nothing under the name.
        """
        options = Options(part_size=part_size, concurrency=concurrency, resume=resume, verify=verify)
        driver = self._driver
        work = downloads.download(key, path, conditions, options, str(driver.site), driver.retries, Meter(progress))
        return driver.run(work)

    def abandon_upload(self, source: str | os.PathLike[str], key: str) -> None:
        """Forget an upload of this file to this key that was broken off, here and on the server."""
        driver = self._driver
        driver.run(abandoned(Path(source), key, str(driver.site), driver.retries))

    def abandon_download(self, path: str | os.PathLike[str]) -> None:
        """Remove what a download to `path` that was broken off has left."""
        downloads.abandon(path)

    def transfer(
        self,
        jobs: Iterable[Job],
        *,
        concurrency: int = CONCURRENCY,
        part_size: int = PART_SIZE,
        resume: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
        total: int | None = None,
        on_event: OnEvent | None = None,
    ) -> Generator[Transferred]:
        """Carry out many uploads and downloads, some at a time, and give what came of each as they end.

        What fails does not stop the others. Nothing is done unless the results are taken; closing the iterator, or
        leaving its loop by an exception, ends what is under way, as a broken off `upload` or `download` does.

        Args:
            jobs: taken one by one when there is something to do; a generator may find them meanwhile.
            concurrency: how many objects are under way at once.
            part_size: as for `upload` and `download`.
            resume: the same.
            verify: the same.
            progress: called with the bytes of all that are done, and `total`.
            total: bytes of all jobs, when it is known.
            on_event: called with `Started`, `Moved` and `Ended`.
        """
        options = Options(part_size=part_size, resume=resume, verify=verify)
        driver = self._driver
        crew = Crew(str(driver.site), driver.retries, options, concurrency, progress, on_event, total, jobs)
        with closing(driver.each(crew.works(jobs), concurrency)) as outcomes:
            for outcome in outcomes:
                yield outcome.get()
        driver.run(crew.finish())

    def upload_dir(
        self,
        folder: str | os.PathLike[str],
        prefix: str = "",
        *,
        skip_same: bool = False,
        concurrency: int = CONCURRENCY,
        part_size: int = PART_SIZE,
        resume: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
        on_event: OnEvent | None = None,
        **kept: Unpack[Kept],
    ) -> Report:
        """Store every file in and below the folder under `prefix` and its path, with slashes.

        What fails does not stop the others. Links that lead out of the folder, links to folders, and what is no regular
        file are left alone, as the report tells; so are folders without a file, since a store has none.

        Args:
            folder: a path.
            prefix: raw characters before each path: with a slash at its end, usually.
            skip_same: leave out files of which the store has the same size and digest.
            concurrency: how many files are under way at once.
            part_size: as for `upload`.
            resume: the same.
            verify: the same.
            kept: the same, for all files.
            progress: called with the bytes of all files, and their total.
            on_event: as for `transfer`.
        """
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        retries = self._driver.retries
        plan = self._driver.run(
            folders.upload_plan(folder, prefix, retries, skip_same=skip_same, attributes=attributes)
        )
        return self._carried_out(
            plan, concurrency, Options(part_size=part_size, resume=resume, verify=verify), progress, on_event
        )

    def download_dir(
        self,
        prefix: str,
        folder: str | os.PathLike[str],
        *,
        skip_same: bool = False,
        concurrency: int = CONCURRENCY,
        part_size: int = PART_SIZE,
        resume: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
        on_event: OnEvent | None = None,
    ) -> Report:
        """Bring every object whose key starts with `prefix` into the folder, under what follows the prefix.

        What fails does not stop the others. A key that cannot be the path of a file in the folder is an `InvalidKey` in
        the report: one with an empty name, `.` or `..` between slashes, one that others need as a folder, one that
        differs from another in nothing but case where the file system sees no difference, one that leads out by a link.
        An empty object whose key ends with a slash makes a folder.

        Args:
            prefix: raw characters.
            folder: a path; it is made if need be.
            skip_same: leave out objects of which the folder has the same size and digest.
            concurrency: how many objects are under way at once.
            part_size: as for `download`.
            resume: the same.
            verify: the same.
            progress: called with the bytes of all objects, and their total.
            on_event: as for `transfer`.
        """
        plan = self._driver.run(folders.download_plan(prefix, folder, self._driver.retries, skip_same=skip_same))
        return self._carried_out(
            plan, concurrency, Options(part_size=part_size, resume=resume, verify=verify), progress, on_event
        )

    def get_many(
        self, keys: Iterable[str], *, concurrency: int = MANY
    ) -> Generator[tuple[str, bytes | ObjectStoreError]]:
        """Each key with the bytes of its object, or with the error, in the order of the keys.

        Several are fetched at a time. Keys are taken, and objects held, only some ahead of what is read.
        """
        driver = self._driver
        with closing(driver.each(fetches(keys, driver.retries), concurrency, ordered=True)) as outcomes:
            for outcome in outcomes:
                yield outcome.get()

    def put_many(
        self,
        items: Items,
        *,
        concurrency: int = MANY,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> Report:
        """Store many objects, several at a time; the report tells what became of each.

        Args:
            items: keys and what `upload` takes, as a mapping or as pairs; taken one by one.
            concurrency: how many are under way at once.
            conditions: as for `upload`, for each.
            kept: the same.
        """
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        report = Report()
        for one in self.transfer(uploads_of(items, attributes, conditions), concurrency=concurrency):
            report.add(one)
        return report

    @overload
    def open(
        self,
        key: str,
        mode: Literal["rb"] = "rb",
        *,
        buffer_size: int = BUFFER_SIZE,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> io.BufferedReader: ...

    @overload
    def open(
        self,
        key: str,
        mode: Literal["wb", "xb"],
        *,
        buffer_size: int = BUFFER_SIZE,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> ObjectWriter: ...

    def open(
        self,
        key: str,
        mode: Literal["rb", "wb", "xb"] = "rb",
        *,
        buffer_size: int = BUFFER_SIZE,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> io.BufferedReader | ObjectWriter:
        """The object as a binary file: seekable and buffered for reading, streamed in parts for writing.

        What is read is all of one version. What is written becomes visible when the file is closed, as a whole; it is
        dropped by an exception in the `with`, and when it is never closed.

        Args:
            key: of the object.
            mode: "rb"; "wb", which replaces what is there; "xb", which creates, and fails if something is there.
            buffer_size: bytes that are read at once, by who does not read from front to back.
            part_size: bytes that are held, and sent at once.
            conditions: of opening it for reading; of closing it after writing, besides what "xb" asks.
            kept: as for `put`.

        Raises:
            NotFound: on opening for reading; also a KeyError.
            AlreadyExists: "xb" and there is an object, on opening or on closing.
            PreconditionFailed: on closing; while reading, when the object was overwritten or deleted.
        """
        check_mode(mode, buffer_size, part_size, kept)
        driver = self._driver
        if mode == "rb":
            info = driver.run(flows.head(key, driver.retries, conditions))
            return io.BufferedReader(ObjectRaw(driver, info, buffer_size), buffer_size)
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        writing = Writing(key, attributes, exclusive(conditions, mode), part_size, driver.retries)
        driver.run(writing.check())
        return ObjectWriter(driver, writing)

    def _carried_out(
        self, plan: Plan, concurrency: int, options: Options, progress: Progress | None, on_event: OnEvent | None
    ) -> Report:
        driver = self._driver
        crew = Crew(str(driver.site), driver.retries, options, concurrency, progress, on_event, plan.total, plan.jobs)
        with closing(driver.each(crew.works(plan.jobs), concurrency)) as outcomes:
            for outcome in outcomes:
                plan.report.add(outcome.get())
        driver.run(crew.finish())
        return plan.report
