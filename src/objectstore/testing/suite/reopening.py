"""What was acknowledged is there when the data is opened again."""

from __future__ import annotations

from pathlib import Path

import pytest

from objectstore.errors import InvalidKey, NotFound, UploadNotFound
from objectstore.testing.suite.harness import (
    LARGE,
    SMALL,
    BodyFailed,
    Suite,
    chunked,
    failing,
    found,
    keys,
    on_folder,
    read,
    require,
    sample,
)
from objectstore.testing.suite.keys import ODD_KEYS
from objectstore.testing.suite.objects import FULL
from objectstore.values import Attributes, ListQuery, PutOptions


class ReopeningTests(Suite):
    @on_folder
    async def test_objects_are_there_after_reopening(self, folder: Path) -> None:
        async with self.backend(folder) as backend:
            require(backend, "persistent", "write")
            attributes = FULL if backend.capabilities.attributes else Attributes()
            options = PutOptions(attributes=attributes)
            stored = {}
            for size in (0, SMALL, LARGE):
                info = await backend.put(f"size/{size}", chunked(sample(size)), options)
                stored[info.key] = (info, sample(size))
            copied = await backend.copy(f"size/{LARGE}", "copied")
            stored["copied"] = (copied, sample(LARGE))
        for _ in range(2):
            async with self.backend(folder) as backend:
                for key, before in stored.items():
                    assert await found(backend, key) == before
                if backend.capabilities.listing:
                    page = await backend.list(ListQuery(details=True))
                    assert page.objects == tuple(stored[key][0] for key in sorted(stored))

    @on_folder
    async def test_changes_are_there_after_reopening(self, folder: Path) -> None:
        async with self.backend(folder) as backend:
            require(backend, "persistent", "write", "overwrite", "delete")
            for key in ("kept", "changed", "deleted"):
                await backend.put(key, sample(LARGE))
        async with self.backend(folder) as backend:
            changed = await backend.put("changed", b"now")
            await backend.delete("deleted")
        async with self.backend(folder) as backend:
            assert await found(backend, "changed") == (changed, b"now")
            assert await read(backend, "kept") == sample(LARGE)
            with pytest.raises(NotFound):
                await backend.head("deleted")

    @on_folder
    async def test_odd_keys_are_there_after_reopening(self, folder: Path) -> None:
        taken = []
        async with self.backend(folder) as backend:
            require(backend, "persistent", "write")
            for key in ODD_KEYS:
                try:
                    await backend.put(key, key.encode())
                except InvalidKey:
                    continue
                taken.append(key)
        async with self.backend(folder) as backend:
            for key in taken:
                assert await read(backend, key) == key.encode()
            if backend.capabilities.listing:
                assert await keys(backend, limit=7) == sorted(taken, key=str.encode)

    @on_folder
    async def test_failed_writes_are_not_there_after_reopening(self, folder: Path) -> None:
        async with self.backend(folder) as backend:
            require(backend, "persistent", "write", "overwrite")
            before = await backend.put("old", b"old")
            for key in ("old", "new"):
                with pytest.raises(BodyFailed):
                    await backend.put(key, failing(sample(LARGE)))
        async with self.backend(folder) as backend:
            assert await found(backend, "old") == (before, b"old")
            assert await found(backend, "new") is None
            if backend.capabilities.listing:
                assert await keys(backend) == ["old"]

    @on_folder
    async def test_etags_do_not_return_after_reopening(self, folder: Path) -> None:
        etags = []
        for _ in range(3):
            async with self.backend(folder) as backend:
                require(backend, "persistent", "write", "overwrite")
                etags += [(await backend.put("key", b"same")).etag for _ in range(3)]
        assert len(set(etags)) == len(etags)

    @on_folder
    async def test_an_upload_goes_on_after_reopening(self, folder: Path) -> None:
        async with self.backend(folder) as backend:
            require(backend, "persistent", "write")
            attributes = FULL if backend.capabilities.attributes else Attributes()
            begun = await backend.uploads.begin("key", PutOptions(attributes=attributes))
            first = await backend.uploads.put_part(begun.upload_id, 1, sample(LARGE, 1), PutOptions())
        async with self.backend(folder) as backend:
            upload = await backend.uploads.get(begun.upload_id)
            assert upload.parts == (first,)
            assert (upload.key, upload.begun, upload.attributes) == ("key", begun.begun, attributes)
            second = await backend.uploads.put_part(begun.upload_id, 2, sample(SMALL, 2), PutOptions())
            named = [(1, first.etag), (2, second.etag)]
            info = await backend.uploads.complete(begun.upload_id, named)
        async with self.backend(folder) as backend:
            assert await backend.uploads.complete(begun.upload_id, named) == info
            assert await found(backend, "key") == (info, sample(LARGE, 1) + sample(SMALL, 2))
            assert (await backend.uploads.list()).uploads == ()

    @on_folder
    async def test_an_aborted_upload_is_not_there_after_reopening(self, folder: Path) -> None:
        async with self.backend(folder) as backend:
            require(backend, "persistent", "write")
            begun = await backend.uploads.begin("key", PutOptions())
            await backend.uploads.put_part(begun.upload_id, 1, sample(LARGE, 1), PutOptions())
            await backend.uploads.abort(begun.upload_id)
        async with self.backend(folder) as backend:
            with pytest.raises(UploadNotFound):
                await backend.uploads.get(begun.upload_id)
            if backend.capabilities.listing:
                assert await keys(backend) == []
