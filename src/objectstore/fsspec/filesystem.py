"""The file system: what is written, on top of what is read."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any, Final, Unpack, cast

from fsspec.asyn import sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK

from objectstore.client import Kept
from objectstore.fsspec.files import CompressedFile, ObjectFile, TextFile
from objectstore.fsspec.readable import Readable, told
from objectstore.fsspec.streams import AsyncReading, AsyncWriting
from objectstore.fsspec.translation import translate, translated
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, Conditions

_MODES: Final = {"overwrite": UNCONDITIONAL, "create": ONLY_IF_ABSENT}


class ObjectStoreFileSystem(Readable):
    """The objects of a store as files.

    Paths are keys, as they are; folders are what keys have in common before a `/`, and exist as long as there is one.
    Listings are asked for anew each time, unless `use_listings_cache` says otherwise. May be used after a fork.

    Raises (all methods):
        FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError.
        OSError: it cannot be a key.
        The errors of `objectstore.errors` for all else.
    """

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kept: Unpack[Kept]) -> None:
        path = self._strip_protocol(path)
        conditions = _conditions(mode)
        if self._intrans:
            await asyncio.to_thread(self._defer, path, value, conditions, kept)
            return
        with translated(path):
            await self.client.put(path, value, conditions=conditions, **kept)
        self.invalidate_cache(path)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        mode: str = "overwrite",
        callback: Any = DEFAULT_CALLBACK,
        **kept: Unpack[Kept],
    ) -> None:
        rpath = self._strip_protocol(rpath)
        conditions = _conditions(mode)
        source = Path(lpath)
        if await asyncio.to_thread(source.is_dir):
            return
        if self._intrans:
            await asyncio.to_thread(self._defer, rpath, source, conditions, kept)
            return
        with translated(rpath):
            await self.client.upload(source, rpath, progress=told(callback), conditions=conditions, **kept)
        self.invalidate_cache(rpath)

    def _defer(self, path: str, data: bytes | Path, conditions: Conditions, kept: Kept) -> None:
        """Send what a transaction will let appear."""
        file = ObjectFile(self, path, "wb", autocommit=False, conditions=conditions, kept=kept)
        self.transaction.files.append(file)
        with file:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    while chunk := source.read(file.blocksize):
                        file.write(chunk)
            else:
                file.write(data)

    async def _cp_file(self, path1: str, path2: str, mode: str = "overwrite", **_: Any) -> None:
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        with translated(path1):
            await self.client.copy(path1, path2, conditions=_conditions(mode))
        self.invalidate_cache(path2)

    async def _rm_file(self, path: str, **_: Any) -> None:
        path = self._strip_protocol(path)
        with translated(path):
            await self.client.delete(path)
        self.invalidate_cache(path)

    async def _rm(
        self,
        path: Any,
        recursive: bool = False,
        batch_size: int | None = None,  # noqa: ARG002  a thousand keys go with one request
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        paths = await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)
        with translated(paths[0]):
            result = await self.client.delete_many(one for one in paths if one)
        for one in result.deleted:
            self.invalidate_cache(one)
        for one, error in result.failed.items():
            raise translate(error, one) from error
        if not recursive:
            for one in result.absent:
                if await self._isdir(one):
                    raise IsADirectoryError(errno.EISDIR, "this is a folder: say recursive=True", one)
                raise FileNotFoundError(errno.ENOENT, "no object under this key", one)

    async def _sign(self, path: str, expiration: float = 100, **options: Any) -> str:
        """A URL of the object that works without a token for `expiration` seconds; options as for `RestStore.sign`."""
        path = self._strip_protocol(path)
        with translated(path):
            return (await self.client.sign(path, expires=expiration, **options)).url

    sign = sync_wrapper(_sign)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str = "readahead",
        size: int | None = None,
        **kept: Any,
    ) -> ObjectFile:
        conditions, before = UNCONDITIONAL, b""
        if mode == "xb" and self.isfile(path):
            raise FileExistsError(errno.EEXIST, "there is already an object under this key", path)
        if mode == "ab":
            conditions, before = self._to_append_to(path)
        elif mode == "rb":
            kept = {}
        file = ObjectFile(
            self,
            path,
            "wb" if mode == "ab" else mode,
            block_size,
            autocommit,
            cache_type,
            cache_options,
            size,
            conditions=conditions,
            kept=cast("Kept", kept),
        )
        if before:
            file.write(before)
        return file

    def _to_append_to(self, path: str) -> tuple[Conditions, bytes]:
        # Objects do not grow: it is written anew, if it is then what it was.
        try:
            etag = self.info(path).get("etag")
        except FileNotFoundError:
            return ONLY_IF_ABSENT, b""
        if etag is None:
            raise IsADirectoryError(errno.EISDIR, "this is a folder, not an object", path)
        conditions = Conditions(if_match=(etag,))
        with translated(path):
            return conditions, self.wait(self.client.get, path, conditions=conditions)

    async def open_async(self, path: str, mode: str = "rb", block_size: int | None = None, **kept: Unpack[Kept]) -> Any:
        """The object as a file for coroutines: `rb` gives an `AsyncReading`, `wb` and `xb` an `AsyncWriting`."""
        path = self._strip_protocol(path)
        match mode:
            case "rb":
                info = await self._info(path)
                if info["type"] == "directory":
                    raise IsADirectoryError(errno.EISDIR, "this is a folder, not an object", path)
                return AsyncReading(self, info)
            case "wb" | "xb":
                if mode == "xb" and await self._isfile(path):
                    raise FileExistsError(errno.EEXIST, "there is already an object under this key", path)
                return AsyncWriting(self, path, mode, block_size, kept)
            case _:
                raise ValueError(f"mode is 'rb', 'wb' or 'xb', not {mode!r}")

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """The object as a file: `rb`, `wb`, `xb` (only if there is none) or `ab`, or text without the `b`."""
        if "b" not in mode:
            told = {name: options.pop(name) for name in ("encoding", "errors", "newline") if name in options}
            binary = self.open(path, mode.replace("t", "") + "b", block_size, cache_options, compression, **options)
            return TextFile(binary, **told)
        inner: ObjectFile = super().open(path, mode, block_size, cache_options, **options)
        if compression is None:
            return inner
        from fsspec.compression import compr
        from fsspec.core import get_compression

        codec = get_compression(path, compression)
        return inner if codec is None else CompressedFile(compr[codec](inner, mode=mode[0]), inner)


def _conditions(mode: str) -> Conditions:
    try:
        return _MODES[mode]
    except KeyError:
        raise ValueError(f"mode is 'overwrite' or 'create', not {mode!r}") from None
