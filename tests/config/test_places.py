"""Which stores are, in the end, in the same place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.config.address import resolve
from objectstore.config.parameters import PATH, TEXT, Parameter
from objectstore.config.places import folders, overlap
from objectstore.config.schema import StoreConfig
from objectstore.config.storetype import ListOfBases, NoBase, OneBase, StoreType


def kind(name: str, base: NoBase | OneBase | ListOfBases, **parameters: str) -> StoreType:
    listed = tuple(
        Parameter(name=one, kind=PATH if what == "path" else TEXT, about="") for one, what in parameters.items()
    )
    return StoreType(names=(name,), about="", build=lambda _, __: MemoryBackend(), parameters=listed, base=base)


TYPES = (
    kind("DictStore", NoBase()),
    kind("EngineStore", NoBase(), path="path"),
    kind("FilesystemStore", NoBase(), root_path="path"),
    kind("BucketStore", NoBase(), bucket_name="", endpoint_url="", region=""),
    kind("RedisStore", NoBase(), url=""),
    kind("RestStore", NoBase(), base_url=""),
    kind("PrefixStore", OneBase(), prefix=""),
    kind("GzipStore", OneBase()),
    kind("HashPrefixStore", OneBase()),
    kind("MirroringStore", ListOfBases()),
)

YAML = """\
stores:
  memory: {type: DictStore}
  other memory: {type: DictStore}
  files: {type: FilesystemStore, config: {root_path: ROOT/files}}
  below: {type: FilesystemStore, config: {root_path: ROOT/files/below}}
  beside: {type: FilesystemStore, config: {root_path: ROOT/files-2}}
  link: {type: FilesystemStore, config: {root_path: ROOT/link}}
  all: {type: FilesystemStore, config: {root_path: /}}
  engine: {type: EngineStore, config: {path: ROOT/files/below/data}}
  part: {type: PrefixStore, base: files, config: {prefix: part/}}
  packed: {type: GzipStore, base: part}
  hashed: {type: HashPrefixStore, base: files}
  part of hashed: {type: PrefixStore, base: hashed, config: {prefix: x/}}
  mirror: {type: MirroringStore, base: [memory, packed]}
main: memory
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "files")
    path = tmp_path / "storage.yaml"
    path.write_text(YAML.replace("ROOT", str(tmp_path)))
    return path


def at(address: str, file: Path, env: Mapping[str, str] | None = None) -> StoreConfig:
    return resolve(address, file, env or {}, types=TYPES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory", "memory"),
        ("files", "files"),
        ("files", "below"),
        ("files", "link"),
        ("files", "engine"),
        ("all", "files"),
        ("files", "part"),
        ("packed", "part"),
        ("hashed", "files"),
        ("part of hashed", "hashed"),
        ("mirror", "memory"),
        ("mirror", "files"),
        ("s3://b", "s3://b/x"),
        ("s3://b/x/y", "s3://b/x"),
        ("s3://b?region=a", "s3://b?region=b"),
        ("s3://b?endpoint_url=http://h/", "s3://b?endpoint_url=http://h"),
        ("redis://u:p@h/0", "redis://h/0"),
        ("https://h/", "https://h"),
    ],
)
def test_stores_that_share_objects_overlap(file: Path, one: str, other: str) -> None:
    assert overlap(at(one, file), at(other, file))
    assert overlap(at(other, file), at(one, file))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory", "other memory"),
        ("memory", "files"),
        ("files", "beside"),
        ("part", "below"),
        ("mirror", "below"),
        ("s3://b", "s3://c"),
        ("s3://b/x", "s3://b/xy"),
        ("s3://b?endpoint_url=http://h", "s3://b?endpoint_url=http://i"),
        ("redis://h/0", "redis://h/1"),
        ("https://h", "https://i"),
    ],
)
def test_stores_that_share_nothing_do_not(file: Path, one: str, other: str) -> None:
    assert not overlap(at(one, file), at(other, file))
    assert not overlap(at(other, file), at(one, file))


def test_only_what_is_below_the_prefix_counts(file: Path) -> None:
    bucket, backup = at("s3://b", file), at("s3://b/backup", file)
    assert overlap(bucket, backup)
    assert overlap(bucket, backup, "b")
    assert overlap(bucket, backup, "backup/")
    assert not overlap(bucket, backup, "photos/")
    # The keys there are hashes, of which nobody knows the beginning.
    assert overlap(at("part of hashed", file), at("files", file), "photos/")


def test_the_folders_of_a_store_are_those_of_its_bases(file: Path, tmp_path: Path) -> None:
    assert list(folders(at("mirror", file))) == [tmp_path / "files"]
    assert list(folders(at("s3://b", file))) == []
