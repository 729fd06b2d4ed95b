"""Packages add types of stores."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.distribution import install
from objectstore.backends.contract import Backend
from objectstore.config import plugins
from objectstore.config.build import build
from objectstore.config.schema import load
from objectstore.errors import ConfigurationError
from objectstore.testing.suite.harness import read


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    install(folder)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in ("tapes", "tapes_worn", "other"):
        sys.modules.pop(name, None)


def opened(tmp_path: Path, text: str) -> Backend:
    file = tmp_path / "storage.yaml"
    file.write_text(text)
    return build(load(file, {}))


def test_a_class_of_a_package_is_a_type(tmp_path: Path) -> None:
    async def scenario() -> None:
        text = "stores: {a: {type: TapeStore, config: {label: blue}}}\nmain: a\n"
        async with opened(tmp_path, text) as backend:
            assert await read(backend, "label") == b"blue"
            assert backend.capabilities.name == "TapeStore"
            assert not backend.capabilities.write

    asyncio.run(scenario())


def test_a_store_type_of_a_package_has_its_parameters_checked(tmp_path: Path) -> None:
    async def scenario() -> None:
        text = "stores: {a: {type: DrumStore, config: {rpm: '3600'}}}\nmain: a\n"
        async with opened(tmp_path, text) as backend:
            assert await read(backend, "rpm") == b"3600"
        with pytest.raises(ConfigurationError, match="unknown parameter 'rmp'; did you mean 'rpm'"):
            opened(tmp_path, text.replace("rpm", "rmp"))

    asyncio.run(scenario())


def test_a_broken_package_fails_only_those_who_use_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened(tmp_path, "stores:\n  a:\n    type: WornStore\nmain: a\n")
    assert str(caught.value) == (
        f"{tmp_path}/storage.yaml:3: store 'a': the type 'WornStore' of the package tapes (tapes_worn:Worn) cannot be "
        "imported: RuntimeError: worn out"
    )
    assert "tapes" not in sys.modules
    opened(tmp_path, "stores: {a: {type: DictStore}}\nmain: a\n")


def test_types_of_packages_are_among_those_that_may_have_been_meant(tmp_path: Path) -> None:
    assert plugins.names() == ["DrumStore", "TapeStore", "WornStore"]
    with pytest.raises(ConfigurationError, match="unknown type 'TapStore'; did you mean 'TapeStore'"):
        opened(tmp_path, "stores: {a: {type: TapStore}}\nmain: a\n")


def test_a_type_that_two_packages_add_is_not_guessed(tmp_path: Path, site: Path) -> None:
    install(site, "other", "[objectstore.stores]\nTapeStore = other:Tape\n")
    with pytest.raises(ConfigurationError, match="several packages add the type 'TapeStore': ") as caught:
        opened(tmp_path, "stores: {a: {type: TapeStore}}\nmain: a\n")
    assert "tapes (tapes:Tape)" in str(caught.value)
    assert "other (other:Tape)" in str(caught.value)


def test_our_types_are_not_replaced(tmp_path: Path, site: Path) -> None:
    install(site, "other", "[objectstore.stores]\nDictStore = other:Tape\n")
    assert opened(tmp_path, "stores: {a: {type: DictStore}}\nmain: a\n").capabilities.write
