"""The transfers of the client that awaits. What its methods do, and raise, is told by those of `Transfers`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Literal, Unpack, overload

from objectstore.client.drivers import AsyncDriver
from objectstore.client.sources import AsyncData, Chunks, Kept, Parts
from objectstore.client.transfers import downloads, folders, uploads
from objectstore.client.transfers.afiles import AsyncObjectReader, AsyncObjectWriter
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


class AsyncTransfers:
    """What `AsyncRestStore` moves between files and the store."""

    _driver: AsyncDriver

    async def upload(
        self,
        source: AsyncData | str,
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
        """As `RestStore.upload`; `source` may also be an async iterable of bytes."""
        options = Options(part_size=part_size, concurrency=concurrency, resume=resume, verify=verify)
        attributes = typed(Attributes(**kept) if kept else NO_ATTRIBUTES, source, key)
        driver = self._driver
        how = (key, attributes, conditions, options, str(driver.site), driver.retries, Meter(progress))
        if isinstance(source, AsyncIterable):
            return await driver.run(uploads.streamed(*how), Parts(Chunks(source).achunks()))
        return await driver.run(uploads.upload(source, *how))

    async def download(
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
        """As `RestStore.download`."""
        options = Options(part_size=part_size, concurrency=concurrency, resume=resume, verify=verify)
        driver = self._driver
        work = downloads.download(key, path, conditions, options, str(driver.site), driver.retries, Meter(progress))
        return await driver.run(work)

    async def abandon_upload(self, source: str | os.PathLike[str], key: str) -> None:
        """As `RestStore.abandon_upload`."""
        driver = self._driver
        await driver.run(abandoned(Path(source), key, str(driver.site), driver.retries))

    async def abandon_download(self, path: str | os.PathLike[str]) -> None:
        """As `RestStore.abandon_download`."""
        downloads.abandon(path)

    async def transfer(
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
    ) -> AsyncGenerator[Transferred, None]:
        """As `RestStore.transfer`."""
        options = Options(part_size=part_size, resume=resume, verify=verify)
        driver = self._driver
        crew = Crew(str(driver.site), driver.retries, options, concurrency, progress, on_event, total, jobs)
        async with aclosing(driver.each(crew.works(jobs), concurrency)) as outcomes:
            async for outcome in outcomes:
                yield outcome.get()
        await driver.run(crew.finish())

    async def upload_dir(
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
        """As `RestStore.upload_dir`."""
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        retries = self._driver.retries
        plan = await self._driver.run(
            folders.upload_plan(folder, prefix, retries, skip_same=skip_same, attributes=attributes)
        )
        return await self._carried_out(
            plan, concurrency, Options(part_size=part_size, resume=resume, verify=verify), progress, on_event
        )

    async def download_dir(
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
        """As `RestStore.download_dir`."""
        plan = await self._driver.run(folders.download_plan(prefix, folder, self._driver.retries, skip_same=skip_same))
        return await self._carried_out(
            plan, concurrency, Options(part_size=part_size, resume=resume, verify=verify), progress, on_event
        )

    async def get_many(
        self, keys: Iterable[str], *, concurrency: int = MANY
    ) -> AsyncGenerator[tuple[str, bytes | ObjectStoreError], None]:
        """As `RestStore.get_many`."""
        driver = self._driver
        async with aclosing(driver.each(fetches(keys, driver.retries), concurrency, ordered=True)) as outcomes:
            async for outcome in outcomes:
                yield outcome.get()

    async def put_many(
        self,
        items: Items,
        *,
        concurrency: int = MANY,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> Report:
        """As `RestStore.put_many`."""
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        report = Report()
        async with aclosing(self.transfer(uploads_of(items, attributes, conditions), concurrency=concurrency)) as done:
            async for one in done:
                report.add(one)
        return report

    @overload
    async def open(
        self,
        key: str,
        mode: Literal["rb"] = "rb",
        *,
        buffer_size: int = BUFFER_SIZE,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> AsyncObjectReader: ...

    @overload
    async def open(
        self,
        key: str,
        mode: Literal["wb", "xb"],
        *,
        buffer_size: int = BUFFER_SIZE,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> AsyncObjectWriter: ...

    async def open(
        self,
        key: str,
        mode: Literal["rb", "wb", "xb"] = "rb",
        *,
        buffer_size: int = BUFFER_SIZE,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> AsyncObjectReader | AsyncObjectWriter:
        """As `RestStore.open`, as in `async with await store.open(key)`; the methods of the file are awaited too."""
        check_mode(mode, buffer_size, part_size, kept)
        driver = self._driver
        if mode == "rb":
            info = await driver.run(flows.head(key, driver.retries, conditions))
            return AsyncObjectReader(driver, info, buffer_size)
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        writing = Writing(key, attributes, exclusive(conditions, mode), part_size, driver.retries)
        await driver.run(writing.check())
        return AsyncObjectWriter(driver, writing)

    async def _carried_out(
        self, plan: Plan, concurrency: int, options: Options, progress: Progress | None, on_event: OnEvent | None
    ) -> Report:
        driver = self._driver
        crew = Crew(str(driver.site), driver.retries, options, concurrency, progress, on_event, plan.total, plan.jobs)
        async with aclosing(driver.each(crew.works(plan.jobs), concurrency)) as outcomes:
            async for outcome in outcomes:
                plan.report.add(outcome.get())
        await driver.run(crew.finish())
        return plan.report
