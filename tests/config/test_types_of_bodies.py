"""Stores that transform bodies, as storage.yaml spells them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from objectstore.config.build import build
from objectstore.config.schema import StoreConfig, load
from objectstore.errors import BadRequest, ConfigurationError
from objectstore.testing.suite.harness import read


def described(folder: Path, text: str) -> StoreConfig:
    path = folder / "storage.yaml"
    path.write_text(
        f"stores:\n  disk: {{type: FilesystemStore, config: {{root_path: '{folder}/data'}}}}\n  served: {text}"
    )
    return load(path, {"LEVEL": "9"}, "served")


@pytest.mark.parametrize("prefix", ["", "Async"])
@pytest.mark.parametrize(
    ("name", "config", "stored"),
    [
        ("GzipStore", "{level: '${LEVEL}'}", b"\x1f\x8b\x08"),
        ("ZstdStore", "{level: 19}", b"\x28\xb5\x2f\xfd"),
        ("Base64Store", "{}", b"eyJrIjogIsO8In0="),
        ("TextEncodingStore", "{encoding: latin1}", b'{"k": "\xfc"}'),
        ("TextEncodingStore", "{}", '{"k": "ü"}'.encode()),
        ("JsonStore", "{}", '{"k": "ü"}'.encode()),
    ],
)
def test_each_type_stores_as_it_says(prefix: str, name: str, config: str, stored: bytes, tmp_path: Path) -> None:
    body = '{"k": "ü"}'.encode()

    async def scenario() -> None:
        yaml = f"{{type: {prefix}{name}, base: disk, config: {config}}}"
        async with build(described(tmp_path, yaml)) as store:
            assert store.capabilities.name == name
            await store.put("key", body)
            assert await read(store, "key") == body
            if name in {"TextEncodingStore", "JsonStore"}:
                with pytest.raises(BadRequest):
                    await store.put("key", b"\xff")

    asyncio.run(scenario())
    assert (tmp_path / "data/key").read_bytes().startswith(stored)


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("{type: GzipStore, base: disk, config: {level: 10}}", "'level' 10: has to be a whole number from 0 to 9"),
        ("{type: GzipStore, base: disk, config: {level: -1}}", "from 0 to 9"),
        ("{type: ZstdStore, base: disk, config: {level: 0}}", "from 1 to 22"),
        ("{type: ZstdStore, base: disk, config: {level: fast}}", "from 1 to 22"),
        ("{type: TextEncodingStore, base: disk, config: {encoding: utf-9}}", "'utf-9': has to be a character encoding"),
        ("{type: TextEncodingStore, base: disk, config: {encoding: rot13}}", "'rot13': has to be"),
        ("{type: TextEncodingStore, base: disk, config: {encoding: 8}}", "8: has to be"),
        ("{type: JsonStore}", "it wraps one store"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(store: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"storage.yaml:3: .*{told}"):
        build(described(tmp_path, store))
