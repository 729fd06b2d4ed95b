"""`type: package.module:Class`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from objectstore.backends.adapter import AdaptedBackend
from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.config.build import build, describe, open_backend
from objectstore.config.schema import StoreConfig, load
from objectstore.config.settings import load_settings
from objectstore.errors import ConfigurationError
from objectstore.testing.suite.harness import read

CLASSES = "backends.foreign_classes"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "storage.yaml"


def loaded(file: Path, text: str) -> StoreConfig:
    file.write_text(text.replace("CLASSES", CLASSES))
    return load(file, {"LABEL": "from the environment"})


def opened(file: Path, text: str) -> Backend:
    return build(loaded(file, text))


REVERSING = """\
stores:
  backwards:
    type: CLASSES:Reversing
    config: {suffix: .b}
    base: memory
  memory:
    type: DictStore
    config: {objects: {a.b: "321"}}
main: backwards
"""


def test_a_class_is_given_its_parameters_and_the_store_that_it_wraps(file: Path) -> None:
    async def scenario() -> None:
        async with opened(file, REVERSING) as backend:
            assert await read(backend, "a") == b"123"
            assert backend.capabilities.name == f"{CLASSES}:Reversing"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("kind", "base"), [("Either", "[first, second]"), ("Parts", "{cache_store: first, main_store: second}")]
)
def test_a_class_is_given_several_stores_as_a_list_or_by_their_names(file: Path, kind: str, base: str) -> None:
    async def scenario() -> None:
        text = f"""\
stores:
  both: {{type: "CLASSES:{kind}", base: {base}}}
  first: {{type: DictStore, config: {{objects: {{a: "1"}}}}}}
  second: {{type: DictStore, config: {{objects: {{a: "2", b: "2"}}}}}}
main: both
"""
        async with opened(file, text) as backend:
            assert await read(backend, "a") == b"1"
            assert await read(backend, "b") == b"2"

    asyncio.run(scenario())


def test_values_may_be_variables_and_are_not_shown(file: Path) -> None:
    config = loaded(file, 'stores: {a: {type: "CLASSES:Shelf", config: {label: "${LABEL}"}}}\nmain: a\n')
    assert dict(config.values) == {"label": "from the environment"}
    assert list(describe(config)) == [f"a: {CLASSES}:Shelf(label=(hidden))"]


def test_one_of_our_stores_may_wrap_it(file: Path) -> None:
    text = 'stores: {a: {type: PrefixStore, config: {prefix: p/}, base: b}, b: {type: "CLASSES:Shelf"}}\nmain: a\n'

    async def scenario() -> None:
        async with opened(file, text) as backend:
            await backend.put("key", b"1")
            assert await read(backend, "key") == b"1"

    asyncio.run(scenario())


def test_a_class_that_is_a_backend_is_used_as_it_is(file: Path) -> None:
    text = "stores: {a: {type: 'objectstore.backends.memory:MemoryBackend', config: {objects: {}}}}\nmain: a\n"
    assert isinstance(opened(file, text), MemoryBackend)


def test_nothing_is_constructed_before_it_is_opened(file: Path) -> None:
    # AsyncShelf looks for the running loop, of which there is none.
    backend = opened(file, 'stores: {a: {type: "CLASSES:AsyncShelf"}}\nmain: a\n')
    assert isinstance(backend, AdaptedBackend)
    with pytest.raises(RuntimeError):
        _ = backend.uploads


@pytest.mark.parametrize(
    ("store", "complaint"),
    [
        (
            "{type: 'nowhere.at.all:Class'}",
            "there is no module 'nowhere': install the package that has it, or add its folder to PYTHONPATH",
        ),
        ("{type: 'objectstore.none:Class'}", "there is no module 'objectstore.none': install"),
        ("{type: 'CLASSES:Shelv'}", f"{CLASSES} has no 'Shelv'; did you mean 'Shelf'? there are: "),
        ("{type: 'CLASSES:Shelf.book'}", f"{CLASSES} has no 'book'; there are none"),
        ("{type: 'CLASSES:__name__'}", f"{CLASSES}:__name__ is no class"),
        ("{type: 'pathlib:Path'}", "pathlib:Path is no store: it has no get"),
        (
            "{type: 'CLASSES:Shelf', config: {lable: x}}",
            "its arguments are 'config' and 'base', and got an unexpected keyword argument 'lable': it takes (label: ",
        ),
        (
            "{type: 'CLASSES:Reversing'}",
            "its arguments are 'config' and 'base', and missing a required argument: 'store': it takes (store: 'Any'",
        ),
        ("{type: 'needy:Class'}", "needy needs other_package, which is not installed"),
        ("{type: 'broken:Class'}", "broken cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(
    file: Path, store: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needy.py").write_text("import other_package\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ConfigurationError) as caught:
        opened(file, f"stores:\n  a: {store}\nmain: a\n")
    name = store.split("'")[1].replace("CLASSES", CLASSES)
    assert str(caught.value).startswith(f"{file}:2: store 'a' ({name}): {complaint}")
    assert "\n" not in str(caught.value)


def test_a_base_that_is_none_is_a_mistake_there_too(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown base 'memori'; did you mean 'memory'"):
        opened(file, REVERSING.replace("base: memory", "base: memori"))
    with pytest.raises(ConfigurationError, match="is its own base"):
        opened(file, REVERSING.replace("base: memory", "base: backwards"))


def test_the_server_does_not_claim_to_know_what_persists(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATA_DIR", "STORAGE_NAME", "WORKERS"):
        monkeypatch.delenv(name, raising=False)
    loaded(file, 'stores: {a: {type: "CLASSES:Shelf"}}\nmain: a\n')
    open_backend(load_settings(storage_config=file))
    assert [(one.levelno, one.name) for one in caplog.records] == [(logging.WARNING, "objectstore.config")]
    assert "nothing persists" not in caplog.text
    assert f"{CLASSES}:Shelf" in caplog.text
    with pytest.raises(ConfigurationError, match=r"^WORKERS=2: .*Shelf belongs to one process"):
        open_backend(load_settings(storage_config=file, workers=2))
