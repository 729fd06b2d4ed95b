"""Objects read: whole, in parts, and into files."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from objectstore.client.transfers.meter import Progress
from objectstore.core.coalescing import Span, coalesce
from objectstore.errors import InvalidRange
from objectstore.fsspec.listed import Listed
from objectstore.fsspec.paths import folders_above, has_place, prefix_of
from objectstore.fsspec.translation import translated
from objectstore.values import Bounded, ByteRange, From, Last

_GAP: Final = 64 * 1024  # bytes that are read for nothing rather than with a request of their own
_SPAN: Final = 16 * 1024 * 1024  # bytes; larger reads are better made side by side


class _Read(NamedTuple):
    number: int  # among those asked for
    start: int
    stop: int  # exclusive


class Readable(Listed):
    """A file system that can be read."""

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        with translated(path):
            if (start is not None and start < 0 and end is not None) or (end is not None and end < 0):
                # As with a slice; only its size tells where these are.
                start, end, _step = slice(start, end).indices((await self.client.head(path)).size)
            wanted = _range(start, end)
            if wanted is _NOTHING:
                await self.client.head(path)
                return b""
            try:
                return await self.client.get(path, range=cast("ByteRange | None", wanted))
            except InvalidRange:
                return b""

    async def _cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        if not recursive:
            return await super()._cat(path, on_error=on_error, **options)
        found = await super()._cat(path, recursive=True, on_error="return", **options)
        if not isinstance(found, dict):
            found = {self._strip_protocol(path): found}
        # It asks for folders too, which have nothing to read.
        folders = {one for name in found for one in folders_above(name, "")}
        contents = {}
        for name, content in found.items():
            if isinstance(content, FileNotFoundError) and name in folders:
                continue
            if isinstance(content, Exception) and on_error == "raise":
                raise content
            if not isinstance(content, Exception) or on_error != "omit":
                contents[name] = content
        return contents

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Parts of objects; those of one object that are near each other come with one request."""
        if not isinstance(paths, list):
            raise TypeError("paths is a list")
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends are of different lengths")
        found: list[Any] = [None] * len(paths)
        near: dict[str, list[_Read]] = {}
        calls = []
        for number, (path, start, end) in enumerate(zip(paths, starts, ends, strict=True)):
            if end is not None and 0 <= (start or 0) < end:
                near.setdefault(path, []).append(_Read(number, start or 0, end))
            else:
                calls.append(self._read_one(found, path, number, start, end))
        for path, reads in near.items():
            spans = coalesce([(one.start, one.stop) for one in reads], _GAP if max_gap is None else max_gap, _SPAN)
            calls += [self._read_span(found, path, span, [reads[at] for at in span.wanted]) for span in spans]
        await self._each(calls, batch_size)
        if on_error != "return":
            for one in found:
                if isinstance(one, Exception):
                    raise one
        return found

    async def _read_one(self, found: list[Any], path: str, number: int, start: int | None, end: int | None) -> None:
        try:
            found[number] = await self._cat_file(path, start, end)
        except Exception as error:  # noqa: BLE001  given back among the others
            found[number] = error

    async def _read_span(self, found: list[Any], path: str, span: Span, reads: list[_Read]) -> None:
        try:
            data = memoryview(await self._cat_file(path, span.start, span.stop))
        except Exception as error:  # noqa: BLE001  given back among the others
            for one in reads:
                found[one.number] = error
        else:
            for one in reads:
                found[one.number] = bytes(data[one.start - span.start : one.stop - span.start])

    async def _get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **_: Any) -> None:
        """Into a file, which appears or is replaced when everything has arrived; a folder becomes one."""
        rpath = self._strip_protocol(rpath)
        if isfilelike(lpath):
            await self._receive(rpath, lpath, callback)
            return
        target = Path(lpath)
        if not await self._is_folder(rpath):
            _check_place(rpath, os.fspath(lpath))
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            try:
                with translated(rpath):
                    await self.client.download(rpath, target, progress=told(callback))
            except (FileNotFoundError, IsADirectoryError):
                if (await self._info(rpath))["type"] == "file":
                    raise
            else:
                return
        await asyncio.to_thread(target.mkdir, parents=True, exist_ok=True)

    async def _is_folder(self, path: str) -> bool:
        # An empty object with such a name stands for a folder, and no file could have it.
        return not path or (path.endswith("/") and (await self._info(path))["size"] == 0)

    async def _receive(self, path: str, file: Any, callback: Any) -> None:
        try:
            with translated(path):
                async with self.client.stream(path) as reader:
                    callback.set_size(reader.info.size)
                    async for chunk in reader:
                        await asyncio.to_thread(file.write, chunk)
                        callback.relative_update(len(chunk))
        except FileNotFoundError as error:
            if await self._first(prefix_of(path)) is not None:
                raise IsADirectoryError(errno.EISDIR, "this is a folder, not an object", path) from error
            raise


_NOTHING: Final = object()


def _range(start: int | None, end: int | None) -> object:
    """What to ask for: a range, None for all of it, or `_NOTHING`."""
    if start is not None and start < 0:
        return Last(-start)
    if end is None:
        return From(start) if start else None
    return Bounded(start or 0, end) if (start or 0) < end else _NOTHING


def told(callback: Any) -> Progress:
    """Progress as fsspec hears of it."""

    def progress(done: int, total: int | None) -> None:
        callback.set_size(total)
        callback.absolute_update(done)

    return progress


def _check_place(key: str, path: str) -> None:
    """Two keys are not to end up in one file."""
    if not has_place(key) and not has_place(path.replace(os.sep, "/").lstrip("/")):
        raise ValueError(f"the key {key!r} has no file of its own in a folder: name the file that it is to become")
