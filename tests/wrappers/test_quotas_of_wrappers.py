"""A wrapper that says that it keeps quotas keeps them as the engine inside does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from objectstore.backends.contract import Backend, Metered
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.config.build import build
from objectstore.config.catalogue import capabilities_of
from objectstore.config.schema import load
from objectstore.config.types import TYPES
from objectstore.errors import QuotaExceeded, Unsupported
from objectstore.testing.faults import Faulty
from objectstore.values import CompleteOptions, CopyOptions, PutOptions, Quota, Usage
from objectstore.wrappers.prefix import Prefixed
from objectstore.wrappers.shared import Shared
from objectstore.wrappers.urlencoding import UrlEncoded

PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "PrefixStore": {"prefix": "inside/"},
    "RegexValidatingStore": {"pattern": ".*"},
}
KEEPING: Final = [
    one.names[0]
    for one in TYPES
    if (can := capabilities_of(one)) is not None
    and can.quotas
    and can.write
    and can.ranges
    and can.listing
    and one.names[0] != "UrlValidatingStore"  # the same as RegexValidatingStore, for keys that are URLs
]
QUOTA: Final = Quota(prefix="a/", size=100, objects=2)


async def _check(store: Backend) -> None:
    assert store.capabilities.quotas
    assert isinstance(store, Metered)
    options = PutOptions(quota=QUOTA)
    await store.put("a/1", bytes(60), options)
    await store.put("b", bytes(60))
    for act in (
        store.put("a/2", bytes(41), options),
        store.copy("b", "a/2", CopyOptions(quota=QUOTA)),
        store.uploads.begin("a/2", PutOptions(quota=QUOTA, size=41)),
    ):
        with pytest.raises(QuotaExceeded) as caught:
            await act
        error = caught.value
        assert (error.prefix, error.resource, error.limit, error.used) == ("a/", "bytes", 100, 60)
    upload = await store.uploads.begin("a/2", options)
    with pytest.raises(QuotaExceeded) as caught:
        await store.uploads.put_part(upload.upload_id, 1, bytes(41), options)
    assert caught.value.prefix == "a/"
    part = await store.uploads.put_part(upload.upload_id, 1, bytes(40), options)
    assert list(await store.usage(["a/"])) == [Usage(prefix="a/", objects=1, size=60, parts_size=40)]
    few = CompleteOptions(quota=Quota(prefix="a/", objects=1))
    with pytest.raises(QuotaExceeded) as caught:
        await store.uploads.complete(upload.upload_id, [(1, part.etag)], few)
    assert (caught.value.prefix, caught.value.resource) == ("a/", "objects")
    await store.uploads.complete(upload.upload_id, [(1, part.etag)], CompleteOptions(quota=QUOTA))
    assert list(await store.usage(["a/", "b"])) == [
        Usage(prefix="a/", objects=2, size=100, parts_size=0),
        Usage(prefix="b", objects=1, size=60, parts_size=0),
    ]


@pytest.mark.parametrize("name", KEEPING)
def test_a_type_that_says_that_it_keeps_quotas_keeps_them(name: str, tmp_path: Path) -> None:
    def described() -> str:
        engine = (
            f"  engine: {{type: EngineStore, config: {{path: '{tmp_path}/data'}}}}\n  memory: {{type: DictStore}}\n"
        )
        if name == "EngineStore":
            return f"stores:\n{engine}main: engine\n"
        parameters = ", ".join(f"{one}: '{value}'" for one, value in PARAMETERS.get(name, {}).items())
        base = "{main_store: engine, cache_store: memory}" if name == "CachingStore" else "engine"
        return f"stores:\n{engine}  outer: {{type: {name}, base: {base}, config: {{{parameters}}}}}\nmain: outer\n"

    (tmp_path / "storage.yaml").write_text(described())

    async def run() -> None:
        async with build(load(tmp_path / "storage.yaml", {})) as store:
            await _check(store)

    asyncio.run(run())


@pytest.mark.parametrize("wrap", [Shared, Faulty])
def test_so_do_wrappers_that_are_no_types(wrap: Callable[[Backend], Backend], tmp_path: Path) -> None:
    async def run() -> None:
        async with wrap(EngineBackend(tmp_path / "data")) as store:
            await _check(store)

    asyncio.run(run())


def test_where_a_prefix_means_nothing_inside_a_quota_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with UrlEncoded(EngineBackend(tmp_path / "data")) as store:
            assert not store.capabilities.quotas
            for act in (
                store.put("a/1", b"x", PutOptions(quota=QUOTA)),
                store.copy("a/1", "a/2", CopyOptions(quota=QUOTA)),
                store.uploads.begin("a/1", PutOptions(quota=QUOTA)),
            ):
                with pytest.raises(Unsupported, match="keeps no quotas"):
                    await act
        async with Prefixed(MemoryBackend(), "inside/") as plain:
            assert not plain.capabilities.quotas
            with pytest.raises(Unsupported):
                await plain.usage(["a/"])

    asyncio.run(run())
