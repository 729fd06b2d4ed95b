from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem.backend import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.config.build import open_backend
from objectstore.config.settings import Settings, load_settings
from objectstore.config.types import TYPES
from objectstore.errors import ConfigurationError
from objectstore.values import ListQuery


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings is set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


async def keys(backend: Backend) -> tuple[str, ...]:
    async with backend:
        await backend.put("a/b.txt", b"x")
        return (await backend.list(ListQuery())).keys


def test_without_a_store_there_is_memory_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    backend = open_backend(load_settings())
    assert isinstance(backend, MemoryBackend)
    assert [(one.levelno, one.name) for one in caplog.records] == [(logging.WARNING, "objectstore.config")]
    assert "nothing persists" in caplog.text
    assert "DATA_DIR" in caplog.text


def test_a_data_folder_is_the_engine_and_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backend = open_backend(load_settings(data_dir=tmp_path / "data", durability="relaxed", workers=4))
    assert isinstance(backend, EngineBackend)
    assert backend.durability == "relaxed"
    assert not (tmp_path / "data").exists()
    assert not caplog.records
    assert asyncio.run(keys(backend)) == ("a/b.txt",)


def test_a_storage_file_is_read_with_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    monkeypatch.setenv("ROOT", str(tmp_path / "files"))
    text = "stores: {files: {type: AsyncFilesystemStore, config: {root_path: '${ROOT}'}}}\nmain: files\n"
    backend = open_backend(load_settings(storage_config=write(tmp_path / "storage.yaml", text)))
    assert isinstance(backend, FilesystemBackend)
    assert asyncio.run(keys(backend)) == ("a/b.txt",)
    assert (tmp_path / "files" / "a" / "b.txt").read_bytes() == b"x"


ALL = """\
stores:
  engine:
    type: EngineStore
    config: {path: DATA, inline_limit: 4KiB, durability: relaxed}
  memory:
    type: DictStore
    config: {objects: {b: text, c: !!binary /w==}}
main: engine
"""


def test_the_name_of_a_store_chooses_it(tmp_path: Path) -> None:
    file = write(tmp_path / "storage.yaml", ALL.replace("DATA", str(tmp_path / "data")))
    engine = open_backend(load_settings(storage_config=file))
    assert isinstance(engine, EngineBackend)
    assert engine.durability == "relaxed"
    memory = open_backend(load_settings(storage_config=file, storage_name="memory"))
    assert isinstance(memory, MemoryBackend)
    assert asyncio.run(keys(memory)) == ("a/b.txt", "b", "c")


def test_memory_in_a_storage_file_is_warned_of_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_backend(load_settings(storage_config=write(tmp_path / "storage.yaml", ALL), storage_name="memory"))
    assert "nothing persists: DictStore" in caplog.text


@pytest.mark.parametrize("from_file", [False, True])
def test_memory_is_not_for_several_workers(tmp_path: Path, from_file: bool) -> None:
    file = write(tmp_path / "storage.yaml", ALL)
    chosen = {"storage_config": file, "storage_name": "memory"} if from_file else {}
    with pytest.raises(ConfigurationError, match=r"^WORKERS=2: DictStore belongs to one process.*set WORKERS=1, or "):
        open_backend(load_settings(workers=2, **chosen))


def test_a_mistake_in_the_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = write(tmp_path / "storage.yaml", ALL.replace("EngineStore", "EnginStore"))
    with pytest.raises(
        ConfigurationError, match=r"storage\.yaml:3: store 'engine': unknown type 'EnginStore'; did you"
    ):
        open_backend(load_settings(storage_config=file))


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: No such file or directory"):
        open_backend(load_settings(storage_config=tmp_path / "nowhere.yaml"))


def test_no_two_types_share_a_name() -> None:
    names = [name for one in TYPES for name in one.names]
    assert len(set(names)) == len(names)
