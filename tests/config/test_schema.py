from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.config.build import build, describe
from objectstore.config.parameters import OBJECTS, PATH, TEXT, Kind, Parameter, whole
from objectstore.config.schema import StoreConfig, load
from objectstore.config.storetype import ListOfBases, NamedBases, OneBase, RoutedBases, StoreType, Values
from objectstore.errors import ConfigurationError
from objectstore.wrappers.shared import Shared


class Wrapped(MemoryBackend):
    """A wrapper as far as its construction goes."""

    def __init__(self, values: Values, bases: Sequence[Backend]) -> None:
        super().__init__()
        self.values = values
        self.bases = bases


def not_installed(_values: Values, _bases: Sequence[Backend]) -> Backend:
    raise ModuleNotFoundError("No module named 'obstore'", name="obstore")


def refused(_values: Values, _bases: Sequence[Backend]) -> Backend:
    raise AssertionError("nothing is built before all is checked")


TYPES = (
    StoreType(
        names=("DictStore",),
        about="",
        parameters=(Parameter(name="objects", kind=OBJECTS, about=""),),
        build=lambda values, _: MemoryBackend(**values),
    ),
    StoreType(
        names=("FilesystemStore", "AsyncFilesystemStore"),
        about="",
        parameters=(Parameter(name="root_path", kind=PATH, required=True, about="The folder."),),
        build=refused,
    ),
    StoreType(
        names=("BucketStore", "AsyncBucketStore"),
        about="",
        parameters=(
            Parameter(name="bucket_name", kind=TEXT, required=True, about="The bucket."),
            Parameter(name="endpoint_url", kind=TEXT, aliases=("s3_url",), about=""),
            Parameter(name="s3_secret_key", kind=TEXT, secret=True, about=""),
        ),
        build=not_installed,
        extra="s3",
    ),
    StoreType(names=("GzipStore",), about="", build=Wrapped, base=OneBase(),
              parameters=(Parameter(name="level", kind=whole(1), about=""),)),
    StoreType(names=("MirroringStore",), about="", build=Wrapped, base=ListOfBases()),
    StoreType(names=("CachingStore",), about="", build=Wrapped, base=NamedBases(("main_store", "cache_store"))),
    StoreType(names=("RoutingStore",), about="", build=Wrapped, base=RoutedBases("routes", "store"),
              parameters=(Parameter(name="routes", kind=Kind("a list", list), about=""),)),
)  # fmt: skip

ROUTED = """\
stores:
  routed:
    type: RoutingStore
    base: slow
    config:
      routes:
      - {pattern: a, store: fast}
      - {pattern: b, prefix: b/}
      - {pattern: c, store: "${THIRD:-slow}"}
      - {pattern: d, store: fast}
  fast: {type: DictStore}
  slow: {type: DictStore}
main: routed
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "storage.yaml"


def loaded(file: Path, text: str, env: Mapping[str, str] | None = None, name: str | None = None) -> StoreConfig:
    file.write_text(text)
    return load(file, env or {}, name, types=TYPES)


S3 = """\
stores:
  s3:
    type: AsyncBucketStore
    config:
      bucket_name: ${S3_BUCKET}
      endpoint_url: ${S3_ENDPOINT:-http://localhost:9000}
      s3_secret_key: ${S3_SECRET_KEY}

main: s3
"""
TWO = """\
stores:
  local:
    type: FilesystemStore
    config: {root_path: /data}
  remote:
    type: BucketStore
    config: {bucket_name: "${S3_BUCKET}"}
main: local
"""
TREE = """\
stores:
  cached:
    type: CachingStore
    base: {cache_store: fast, main_store: packed}
  packed:
    type: GzipStore
    config: {level: "${LEVEL:-6}"}
    base: both
  both:
    type: MirroringStore
    base: [fast, "${SECOND:-slow}"]
  fast: {type: DictStore}
  slow: {type: DictStore, config: {objects: {a: x}}}
main: cached
"""


def test_the_file_of_the_readme_is_read_with_its_variables(file: Path) -> None:
    config = loaded(file, S3, {"S3_BUCKET": "b", "S3_SECRET_KEY": "k"})
    assert (config.name, config.type_name, config.bases) == ("s3", "AsyncBucketStore", ())
    assert config.values == {"bucket_name": "b", "endpoint_url": "http://localhost:9000", "s3_secret_key": "k"}


def test_bases_are_found_by_name_in_any_order(file: Path) -> None:
    config = loaded(file, TREE)
    assert [base.name for base in config.bases] == ["packed", "fast"]
    (both,) = config.bases[0].bases
    assert [base.name for base in both.bases] == ["fast", "slow"]


def test_stores_named_in_a_parameter_are_bases_after_the_one_base(file: Path) -> None:
    config = loaded(file, ROUTED)
    assert [base.name for base in config.bases] == ["slow", "fast", "slow"]
    assert [base.name for base in loaded(file, ROUTED.replace("    base: slow\n", "")).bases] == ["fast", "slow"]
    assert config.values["routes"][2] == {"pattern": "c", "store": "slow"}
    backend = build(config)
    assert isinstance(backend, Wrapped)
    assert isinstance(backend.bases[0], Shared)
    assert backend.bases[0] is backend.bases[2]
    assert not isinstance(backend.bases[1], Shared)


def test_a_tree_is_built_from_its_leaves(file: Path) -> None:
    backend = build(loaded(file, TREE))
    assert isinstance(backend, Wrapped)
    packed, fast = backend.bases
    assert isinstance(packed, Wrapped)
    assert packed.values == {"level": 6}
    (both,) = packed.bases
    assert isinstance(both, Wrapped)
    # One store is one backend, opened once, however many wrap it.
    assert both.bases[0] is fast
    assert isinstance(fast, Shared)
    assert not isinstance(both.bases[1], Shared)
    assert both.bases[1] is not fast


def test_a_description_is_a_tree_without_secrets(file: Path) -> None:
    assert list(describe(loaded(file, TREE))) == [
        "cached: CachingStore()",
        "  packed: GzipStore(level=6)",
        "    both: MirroringStore()",
        "      fast: DictStore()",
        "      slow: DictStore(objects={'a': b'x'})",
        "  fast: DictStore()",
    ]
    described = list(describe(loaded(file, S3, {"S3_BUCKET": "b", "S3_SECRET_KEY": "hush"})))
    assert described == [
        "s3: AsyncBucketStore(bucket_name='b', endpoint_url='http://localhost:9000', s3_secret_key=(hidden))"
    ]
    assert list(describe(loaded(file, TWO))) == ["local: FilesystemStore(root_path='/data')"]


def test_a_secret_is_not_in_the_repr_either(file: Path) -> None:
    assert "hush" not in repr(loaded(file, S3, {"S3_BUCKET": "b", "S3_SECRET_KEY": "hush"}))


def test_a_description_does_not_change(file: Path) -> None:
    config = loaded(file, TWO)
    with pytest.raises(FrozenInstanceError):
        config.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.values["root_path"] = Path("/")  # type: ignore[index]


def test_a_name_goes_before_main(file: Path) -> None:
    assert loaded(file, TWO, {"S3_BUCKET": "b"}, "remote").name == "remote"
    assert loaded(file, TWO.replace("main: local\n", ""), {"S3_BUCKET": "b"}, "remote").name == "remote"


def test_variables_of_stores_that_are_not_served_need_not_be_set(file: Path) -> None:
    assert loaded(file, TWO).name == "local"


def test_another_spelling_of_a_parameter_is_the_parameter(file: Path) -> None:
    text = S3.replace("endpoint_url", "s3_url")
    config = loaded(file, text, {"S3_BUCKET": "b", "S3_SECRET_KEY": "k", "S3_ENDPOINT": "http://s3"})
    assert config.values["endpoint_url"] == "http://s3"


def test_members_that_start_with_x_are_for_anchors(file: Path) -> None:
    text = "x-paths: &paths {root_path: /data}\nstores: {a: {type: FilesystemStore, config: *paths}}\nmain: a\n"
    assert loaded(file, text).values == {"root_path": Path("/data")}


def test_what_is_left_empty_counts_as_left_out(file: Path) -> None:
    assert loaded(file, "stores:\n  a:\n    type: DictStore\n    config:\n    base:\nmain: a\n").values == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ":1: the file has to be a mapping of names to values"),
        ("- a\n", ":1: the file has to be a mapping of names to values"),
        ("main: a\n", ":1: there is no 'stores'"),
        ("stores: [a]\nmain: a\n", ":1: 'stores' has to be a mapping of names to values"),
        ("store: {}\n", ":1: the file: unknown member 'store'; did you mean 'stores'? there are: stores, main"),
        ("stores:\n  a: DictStore\nmain: a\n", ":2: store 'a' has to be a mapping of names to values"),
        (
            "stores:\n  a:\n    typ: DictStore\n",
            ":3: store 'a': unknown member 'typ'; did you mean 'type'? there are: ",
        ),
        ("stores:\n  a:\n    config: {}\nmain: a\n", ":2: store 'a' has no 'type'"),
        ("stores:\n  a: {type: DictStore}\n  a: {type: DictStore}\nmain: a\n", ":3: 'a' is there twice"),
        ("stores:\n  a:\n    type: dictstore\n", ":3: store 'a': unknown type 'dictstore'; did you mean 'DictStore'?"),
        ("stores:\n  a:\n    type: Quux\n", ":3: store 'a': unknown type 'Quux'; there are: DictStore, Filesystem"),
        ("stores:\n  a:\n    type: {x: 1}\n", ":3: store 'a': unknown type {'x': 1};"),
        ("stores:\n  a:\n    type:\n", ":3: store 'a': unknown type None;"),
        (
            TWO.replace("root_path", "root_pth"),
            ":4: store 'local' (FilesystemStore): unknown parameter 'root_pth'; did you mean 'root_path'? there are: ",
        ),
        (
            TWO.replace("    config: {root_path: /data}\n", ""),
            ":2: store 'local' (FilesystemStore): the parameter 'root_path' is missing: The folder.",
        ),
        (
            TWO.replace("{root_path: /data}", "{}"),
            ":4: store 'local' (FilesystemStore): the parameter 'root_path' is missing: The folder.",
        ),
        (TWO.replace("{root_path: /data}", "[]"), ":4: 'config' of 'local' has to be a mapping"),
        (TWO.replace("/data", "''"), ":4: store 'local' (FilesystemStore): 'root_path' '': has to be a path"),
        (
            S3.replace("      s3_secret", "      s3_url: x\n      s3_secret"),
            ":7: store 's3' (AsyncBucketStore): 's3_url' is another spelling of 'endpoint_url', which is given too",
        ),
        (S3, ":5: store 's3' needs the environment variable S3_BUCKET, which is not set"),
        (
            TWO.replace("main: local", "main: lokal"),
            ":8: 'main' is no store: 'lokal'; did you mean 'local'? there are: ",
        ),
        (TWO.replace("main: local", "main: [local]"), ":8: 'main' is no store: ['local'];"),
        (TWO.replace("main: local\n", ""), ":1: there is no 'main', which names the store to serve"),
        (
            "stores:\n  a: {type: DictStore}\n  b:\n    type: DictStore\n    base: a\nmain: b\n",
            ":5: store 'b' (DictStore): it stores objects itself and takes no base",
        ),
        (
            "stores:\n  b:\n    type: GzipStore\nmain: b\n",
            ":2: store 'b' (GzipStore): it wraps one store: write 'base: NAME'",
        ),
        (
            TREE.replace("base: both", "base: [both]"),
            ":8: store 'packed' (GzipStore): it wraps one store: write 'base: ",
        ),
        (
            TREE.replace("base: both", "base: bth"),
            ":8: store 'packed' (GzipStore): unknown base 'bth'; did you mean 'bo",
        ),
        (
            TREE.replace('[fast, "${SECOND:-slow}"]', "fast"),
            ":11: store 'both' (MirroringStore): it wraps several stores",
        ),
        (
            TREE.replace('[fast, "${SECOND:-slow}"]', "[]"),
            ":11: store 'both' (MirroringStore): it wraps several stores",
        ),
        (TREE.replace('[fast, "${SECOND:-slow}"]', "[1]"), ":11: store 'both' (MirroringStore): unknown base 1;"),
        (
            TREE.replace("cache_store: fast, ", ""),
            ":4: store 'cached' (CachingStore): it wraps stores by their parts: write 'base: {main_store: NAME, cache",
        ),
        (
            TREE.replace("${SECOND:-slow}", "cached"),
            ":2: store 'cached' is its own base: cached → packed → both → cached",
        ),
        ("stores: {a: {type: GzipStore, base: a}}\nmain: a\n", ":1: store 'a' is its own base: a → a"),
        (
            ROUTED.replace("a, store: fast", "a, store: fats"),
            ":7: store 'routed' (RoutingStore): unknown base 'fats'; did you mean 'fast'? there are: routed, ",
        ),
        (ROUTED.replace("a, store: fast", "a, store: [1]"), ":7: store 'routed' (RoutingStore): unknown base [1];"),
        (
            ROUTED.replace("a, store: fast", "a, store: routed"),
            ":2: store 'routed' is its own base: routed → routed",
        ),
        (
            ROUTED.replace("base: slow", "base: [slow]"),
            ":4: store 'routed' (RoutingStore): it wraps one store beside those of its routes: write 'base: NAME'",
        ),
        (
            "stores:\n  r: {type: RoutingStore}\nmain: r\n",
            ":2: store 'r' (RoutingStore): it wraps stores: write 'base: NAME', or 'store: NAME' in 'routes'",
        ),
        (
            ROUTED.replace("${THIRD:-slow}", "${THIRD}"),
            ":9: store 'routed' needs the environment variable THIRD, which is not set",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_what_may_have_been_meant(
    file: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(file, text)
    assert caught.value.message.startswith(f"{file}{complaint}")
    assert "\n" not in caught.value.message


def test_a_mistake_in_a_store_that_is_not_served_is_one_all_the_same(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="store 'remote': unknown type 'BukketStore'; did you mean 'BucketSt"):
        loaded(file, TWO.replace("type: BucketStore", "type: BukketStore"))


def test_a_name_that_is_no_store_is_told(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no store 'locale'; did you mean 'local'"):
        loaded(file, TWO, name="locale")


def test_a_bad_value_is_shown_unless_it_is_secret(file: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r":7: store 'packed' \(GzipStore\): 'level' 'high': has to be a whole"
    ):
        loaded(file, TREE, {"LEVEL": "high"})
    with pytest.raises(ConfigurationError, match=r"'s3_secret_key' has to be a text") as caught:
        loaded(file, S3.replace("${S3_SECRET_KEY}", "12345"), {"S3_BUCKET": "b"})
    assert "12345" not in caught.value.message


def test_a_dependency_that_is_missing_is_named_with_the_extra(file: Path) -> None:
    config = loaded(file, S3, {"S3_BUCKET": "b", "S3_SECRET_KEY": "k"})
    with pytest.raises(
        ConfigurationError, match=r"store 's3' \(AsyncBucketStore\) needs obstore.*pip install 'objectstore\[s3\]'"
    ):
        build(config)


def test_what_a_store_complains_of_when_it_is_built_is_told_with_its_place(file: Path) -> None:
    def build_badly(_values: Values, _bases: Sequence[Backend]) -> Backend:
        raise ConfigurationError("its parameters do not go together")

    file.write_text("stores:\n  a:\n    type: Bad\nmain: a\n")
    config = load(file, {}, types=[StoreType(names=("Bad",), about="", build=build_badly)])
    with pytest.raises(ConfigurationError) as caught:
        build(config)
    assert str(caught.value) == f"{file}:2: store 'a' (Bad): its parameters do not go together"
