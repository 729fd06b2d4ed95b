"""What is there: objects and folders."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, cast

from objectstore.errors import Unsupported
from objectstore.fsspec.connected import Connected
from objectstore.fsspec.paths import folder_of, folders_above, prefix_of
from objectstore.fsspec.translation import describe, folder, translated
from objectstore.values import ObjectInfo


class Listed(Connected):
    """A file system that can be looked through."""

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if not path:
            return folder("")
        if not path.endswith("/"):
            try:
                with translated(path):
                    return describe(await self.client.head(path))
            except FileNotFoundError:
                if await self._first(prefix_of(path)) is None:
                    raise
                return folder(path)
        first = await self._first(path)
        if first is None:
            raise FileNotFoundError(errno.ENOENT, "no object under this key, and none below it", path)
        return describe(first) if first.key == path else folder(folder_of(path))

    async def _isfile(self, path: str) -> bool:
        try:
            return bool((await self._info(path))["type"] == "file")
        except FileNotFoundError:
            return False

    async def _isdir(self, path: str) -> bool:
        try:
            return bool((await self._info(path))["type"] == "directory")
        except FileNotFoundError:
            return False

    async def _ls(self, path: str, detail: bool = True, refresh: bool = False, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        entries = None if refresh else self.dircache.get(folder_of(prefix_of(path)))
        if entries is None:
            entries = await self._entries(prefix_of(path))
            if not entries and path:
                entries = [await self._info(path)]
            else:
                self.dircache[folder_of(prefix_of(path))] = entries
        return list(entries) if detail else sorted(entry["name"] for entry in entries)

    async def _entries(self, prefix: str) -> list[dict[str, Any]]:
        """What is in a folder: objects and folders."""
        found: list[dict[str, Any]] = []
        async for page in self._pages(prefix, delimiter="/"):
            found += map(describe, page.objects)
            found += [folder(folder_of(one)) for one in page.prefixes]
        return sorted(found, key=lambda entry: entry["name"])

    async def _walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        detail: bool = False,
        **options: Any,
    ) -> AsyncIterator[tuple[str, Any, Any]]:
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        try:
            entries = await self._ls(path, detail=True, **options)
        except OSError as error:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(error)
            entries = []
        start = len(prefix_of(path))
        folders = {entry["name"][start:]: entry for entry in entries if entry["type"] == "directory"}
        files = {entry["name"][start:]: entry for entry in entries if entry["type"] == "file"}
        here = (path, folders, files) if detail else (path, list(folders), list(files))
        if topdown:
            yield here
            # Who asked may have taken folders out, which are not gone into.
            folders = {name: entry for name, entry in folders.items() if name in here[1]}
        if maxdepth is None or maxdepth > 1:
            deeper = None if maxdepth is None else maxdepth - 1
            for entry in folders.values():
                async for below in self._walk(entry["name"], deeper, topdown, on_error, detail, **options):
                    yield below
        if not topdown:
            yield here

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        *,
        detail: bool = False,
        prefix: str = "",
        **_: Any,
    ) -> Any:
        """Everything below `path`, in one listing; a `maxdepth` is kept to folder by folder."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        root = prefix_of(path)
        found: dict[str, dict[str, Any]] = {}
        if maxdepth is None:
            async for page in self._pages(root + prefix, details=detail):
                found |= (
                    {info.key: describe(info) for info in page.objects} if detail else {key: {} for key in page.keys}
                )
                for key in page.keys if withdirs else ():
                    # Of an object and a folder of one name it is the object, which comes first.
                    found |= {one: folder(one) for one in folders_above(key, root) if one not in found}
        else:
            await self._find_within(root, prefix, maxdepth, found)
            if not withdirs:
                found = {name: entry for name, entry in found.items() if entry["type"] == "file"}
        if withdirs and path and found:
            found.setdefault(folder_of(root), folder(folder_of(root)))
        if not found and path and await self._isfile(path):
            found[path] = await self._info(path)
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    async def _find_within(self, root: str, stem: str, depth: int, found: dict[str, dict[str, Any]]) -> None:
        entries = await self._entries(root + stem)
        folders = {entry["name"]: entry for entry in entries if entry["type"] == "directory"}
        found |= folders | {entry["name"]: entry for entry in entries if entry["type"] == "file"}
        if depth > 1:
            below = [prefix_of(name) for name in folders]
            await self._each([self._find_within(one, "", depth - 1, found) for one in below])

    async def _glob(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        # Elsewhere the slash at the end has been stripped before; here it belongs to the path.
        if not path.endswith("/") or path == "/":
            return await super()._glob(path, maxdepth=maxdepth, **options)
        detail = options.pop("detail", False)
        found = await super()._glob(path.removesuffix("/"), maxdepth=maxdepth, detail=True, **options)
        found = {name: entry for name, entry in found.items() if entry["type"] == "directory"}
        return found if detail else list(found)

    async def _du(
        self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **_: Any
    ) -> Any:
        found = await self._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: entry["size"] for name, entry in found.items()}
        return sum(sizes.values()) if total else sizes

    def created(self, path: str) -> datetime:
        """When the object was first written."""
        return self._time_of(path, "created")

    def modified(self, path: str) -> datetime:
        """When the object was last written."""
        return self._time_of(path, "modified")

    def _time_of(self, path: str, which: str) -> datetime:
        entry = self.info(path)
        if entry["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "a folder has no times", path)
        return cast("datetime", entry[which])

    def ukey(self, path: str) -> str:
        """Another text for each version of the object."""
        entry = self.info(path)
        return str(entry.get("etag") or entry["name"])

    def checksum(self, path: str) -> int:
        """The SHA-256 digest of the object as a number, where the store knows it; else one that changes with it."""
        digest = self.info(path).get("sha256")
        return int(digest, 16) if digest else cast("int", super().checksum(path))

    async def _first(self, prefix: str) -> ObjectInfo | None:
        """The first object with this prefix; none where nothing can be listed, and where there are no folders then."""
        try:
            with translated(prefix):
                page = await self.client.list(prefix, limit=1, details=True)
        except Unsupported:
            return None
        return page.objects[0] if page.objects else None

    async def _pages(self, prefix: str, delimiter: str = "", *, details: bool = True) -> AsyncIterator[Any]:
        cursor: str | None = None
        while True:
            with translated(prefix):
                page = await self.client.list(prefix, delimiter=delimiter, cursor=cursor, details=details)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return
