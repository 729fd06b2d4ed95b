"""A store in one word: a name, a URL, a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.config.address import resolve
from objectstore.config.build import build
from objectstore.config.parameters import TEXT, Parameter, whole
from objectstore.config.schema import StoreConfig
from objectstore.config.storetype import StoreType
from objectstore.config.types import TYPES
from objectstore.errors import ConfigurationError
from objectstore.values import ListQuery


def remote(*names: str, **parameters: bool) -> StoreType:
    """A type whose stores are all the same memory; the parameters say whether they are secret."""
    shared = MemoryBackend({"photos/1": b"1", "photos/2": b"2", "photoshop": b""})
    listed = tuple(Parameter(name=name, kind=TEXT, about="", secret=secret) for name, secret in parameters.items())
    number = Parameter(name="pool", kind=whole(1), about="", aliases=("pool_size",))
    return StoreType(names=names, about="", build=lambda _, __: shared, parameters=(*listed, number))


FAKE = (
    *(one for one in TYPES if one.names[0] in {"EngineStore", "FilesystemStore", "DictStore"}),
    remote("BucketStore", "AsyncBucketStore", bucket_name=False, endpoint_url=False, s3_secret_key=True),
    remote("GCSStore", bucket=False),
    remote("AzureStore", container_name=False),
    remote("RedisStore", url=True),
    remote("RestStore", base_url=False, api_key=True),
)

YAML = """\
stores:
  archive: {type: DictStore, config: {objects: {a: "1"}}}
  files: {type: FilesystemStore, config: {root_path: "${ROOT}"}}
main: files
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "storage.yaml"
    path.write_text(YAML)
    return path


def at(address: str, file: Path | None = None, env: Mapping[str, str] | None = None) -> StoreConfig:
    return resolve(address, file, env or {}, types=FAKE)


def refused(address: str, file: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as error:
        at(address, file)
    return str(error.value)


def test_a_name_is_that_of_a_store_in_the_file(file: Path) -> None:
    assert at("archive", file).values == {"objects": {"a": b"1"}}
    assert at("files", file, {"ROOT": "/srv"}).values == {"root_path": Path("/srv")}
    assert "needs the environment variable ROOT" in refused("files", file)


def test_an_unknown_name_is_told_with_what_was_meant_and_makes_no_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'archive'? there are: archive, files; a new data folder" in refused("archiv", file)
    assert "there is no storage.yaml" in refused("archiv")


def test_a_folder_is_a_data_folder_that_is_there_or_to_be_made(tmp_path: Path, file: Path) -> None:
    new = tmp_path / "data"
    backend = build(at(str(new), file))
    assert isinstance(backend, EngineBackend)
    assert not new.exists()

    async def make() -> None:
        async with backend:
            pass

    asyncio.run(make())
    assert at(str(new)).type_name == "EngineStore"


def test_a_folder_of_other_files_is_refused_with_the_address_for_those(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"")
    assert f"write 'file://{tmp_path}'" in refused(str(tmp_path))
    assert "is a file" in refused(str(tmp_path / "a file"))


def test_tokens_beside_no_objects_yet_are_a_data_folder(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{}")
    assert at(str(tmp_path)).type_name == "EngineStore"


@pytest.mark.parametrize("address", ["file:///srv/a%20b", "file://localhost/srv/a b"])
def test_a_file_url_is_a_folder_of_plain_files(address: str) -> None:
    backend = build(at(address))
    assert isinstance(backend, FilesystemBackend)
    assert at(address).values == {"root_path": Path("/srv/a b")}


@pytest.mark.parametrize("address", ["file://srv/files", "file:///srv?x=1", "file://"])
def test_a_file_url_that_names_no_folder_is_refused(address: str) -> None:
    assert "file" in refused(address)


@pytest.mark.parametrize(
    ("address", "type_name", "values"),
    [
        ("s3://bucket", "BucketStore", {"bucket_name": "bucket"}),
        ("s3://bucket/", "BucketStore", {"bucket_name": "bucket"}),
        (
            "s3://bucket?endpoint_url=http://127.0.0.1:9000&pool_size=4",
            "BucketStore",
            {"bucket_name": "bucket", "endpoint_url": "http://127.0.0.1:9000", "pool": 4},
        ),
        ("gs://bucket", "GCSStore", {"bucket": "bucket"}),
        ("az://container", "AzureStore", {"container_name": "container"}),
        ("redis://u:p@host:1/2?x=y", "RedisStore", {"url": "redis://u:p@host:1/2?x=y"}),
        ("rediss://host", "RedisStore", {"url": "rediss://host"}),
        ("https://host/below", "RestStore", {"base_url": "https://host/below"}),
    ],
)
def test_a_url_is_a_store_of_its_type(address: str, type_name: str, values: Mapping[str, object]) -> None:
    config = at(address)
    assert config.type_name == type_name
    assert config.values == values


def test_a_server_of_this_kind_gets_the_token_of_the_environment() -> None:
    config = at("http://host", env={"OBJECTSTORE_TOKEN": "os_1"})
    assert config.values == {"base_url": "http://host", "api_key": "os_1"}


@pytest.mark.parametrize("address", ["s3://bucket/photos", "s3://bucket/photos/", "s3://bucket/%70hotos?pool=2"])
def test_a_path_in_a_bucket_is_a_folder_of_keys(address: str) -> None:
    async def keys() -> tuple[str, ...]:
        async with build(at(address)) as backend:
            return (await backend.list(ListQuery())).keys

    assert asyncio.run(keys()) == ("1", "2")


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("ftp://host/x", "unknown scheme 'ftp'"),
        ("s3:///x", "s3://BUCKET/PREFIX"),
        ("s3://bucket/a#b", "percent-encoded"),
        ("s3://bucket?buckt=1", "unknown parameter 'buckt'"),
        ("s3://bucket?pool=0", "'pool' '0': has to be a whole number, at least 1"),
        ("s3://bucket?pool", "parameters are written"),
        ("https://", "names no host"),
        ("http://[x/", "is no URL"),
    ],
)
def test_an_address_that_is_none_is_refused_with_what_is_wrong(address: str, complaint: str) -> None:
    assert complaint in refused(address)


def test_no_secret_is_shown() -> None:
    for address in ("redis://u:geheim@host:1/0", "s3://bucket?s3_secret_key=geheim", "s3://b?s3_secret_key=geheim&x=1"):
        try:
            told = repr(at(address)) + at(address).name + at(address).place
        except ConfigurationError as error:
            told = str(error)
        assert "geheim" not in told
