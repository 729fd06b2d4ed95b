"""The wrappers of keys and calls, as storage.yaml names them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.config.build import build, describe
from objectstore.config.schema import load
from objectstore.config.types.keys import KEYS
from objectstore.errors import ConfigurationError
from objectstore.testing.suite.harness import keys
from objectstore.wrappers.forwarding import Forwarding
from objectstore.wrappers.notifying import Notifying

MEMORY = "  memory: {type: DictStore}\n"
CONFIGS = {
    "PrefixStore": "{prefix: a/}",
    "RegexValidatingStore": "{pattern: '[a-z]+'}",
    "RegexRoutingStore": "{routes: [{pattern: '.', prefix: x/}]}",
}
ORIGINAL = [
    "IdentityStore",
    "ReadonlyStore",
    "WriteonlyStore",
    "NotifyingStore",
    "LoggingStore",
    "ExceptionLoggingStore",
    "TransformingStore",
    "BufferStore",
    "KeyTransformingStore",
    "PrefixStore",
    "HashPrefixStore",
    "UrlEncodingStore",
    "UrlValidatingStore",
    "RegexValidatingStore",
    "RegexRoutingStore",
]


def built(folder: Path, text: str) -> Backend:
    file = folder / "storage.yaml"
    file.write_text(f"stores:\n{MEMORY}{text}\nmain: it\n")
    return build(load(file, {}))


def wrapper(folder: Path, type_name: str, config: str = "{}") -> Backend:
    return built(folder, f"  it: {{type: {type_name}, base: memory, config: {config}}}")


def files(folder: Path, name: str) -> str:
    """A store of plain files in a folder of its name."""
    return f"  {name}: {{type: FilesystemStore, config: {{root_path: '{folder / name}'}}}}\n"


def held(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith("."))


def test_the_types_are_those_of_existing_files() -> None:
    assert sorted(one.names[0] for one in KEYS) == sorted(ORIGINAL)


@pytest.mark.parametrize("type_name", [name for one in KEYS for name in one.names])
def test_each_name_is_a_wrapper_that_opens(tmp_path: Path, type_name: str) -> None:
    async def scenario() -> None:
        plain = type_name.removeprefix("Async")
        async with wrapper(tmp_path, type_name, CONFIGS.get(plain, "{}")) as store:
            assert store.capabilities.name == plain
            await store.check()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("type_name", "config", "names"),
    [
        ("PrefixStore", "{prefix: a/}", ["a/abc"]),
        ("HashPrefixStore", "{}", ["ba7816bf/abc"]),
        ("HashPrefixStore", "{hash_length: '3', separator: '-'}", ["ba7-abc"]),
        ("RegexRoutingStore", "{routes: [{pattern: x, prefix: no/}, {pattern: c$, prefix: yes/}]}", ["yes/abc"]),
    ],
)
def test_parameters_reach_the_wrapper(tmp_path: Path, type_name: str, config: str, names: list[str]) -> None:
    async def scenario() -> None:
        async with built(
            tmp_path, f"{files(tmp_path, 'files')}  it: {{type: {type_name}, base: files, config: {config}}}"
        ) as store:
            await store.put("abc", b"")
            assert await keys(store) == ["abc"]
            assert held(tmp_path / "files") == names

    asyncio.run(scenario())


def test_routes_name_stores_beside_the_base(tmp_path: Path) -> None:
    stores = "".join(files(tmp_path, name) for name in ("pictures", "letters", "others"))
    text = """
  it:
    type: RegexRoutingStore
    base: others
    config:
      routes:
        - {pattern: '[.]png$', store: pictures, prefix: png/}
        - {pattern: '^letters/', store: letters}
        - {pattern: '[.]jpg$', store: pictures}
        - {pattern: '^rest/', prefix: r/}
"""

    async def scenario() -> None:
        async with built(tmp_path, stores + text) as store:
            taken = ["a.png", "b.jpg", "letters/1", "rest/x"]
            for key in taken:
                await store.put(key, b"")
            assert await keys(store) == taken
            assert held(tmp_path / "pictures") == ["b.jpg", "png/a.png"]
            assert held(tmp_path / "letters") == ["letters/1"]
            assert held(tmp_path / "others") == ["r/rest/x"]

    asyncio.run(scenario())


def test_a_notifying_store_of_an_existing_file_passes_everything_on(tmp_path: Path) -> None:
    assert type(wrapper(tmp_path, "NotifyingStore")) is Forwarding
    told = wrapper(tmp_path, "NotifyingStore", "{url: 'https://hooks.example/x?y=hidden', secret: hidden}")
    assert isinstance(told, Notifying)
    shown = "\n".join(describe(load(tmp_path / "storage.yaml", {})))
    assert "hidden" not in shown.replace("(hidden)", "")


@pytest.mark.parametrize(
    ("type_name", "config", "complaint"),
    [
        ("PrefixStore", "{}", "'prefix' is missing"),
        ("HashPrefixStore", "{hash_length: 0}", "'hash_length' 0: has to be a whole number from 1 to 64"),
        ("HashPrefixStore", "{hash_length: 65}", "from 1 to 64"),
        ("HashPrefixStore", "{hash_length: true}", "from 1 to 64"),
        ("HashPrefixStore", "{hash_length: 1.5}", "from 1 to 64"),
        ("RegexValidatingStore", "{pattern: '(a'}", r"'pattern' '\(a': has to be a regular expression"),
        ("RegexValidatingStore", "{pattern: 1}", "has to be a regular expression"),
        ("RegexRoutingStore", "{}", "'routes' is missing"),
        ("RegexRoutingStore", "{routes: []}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: a}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: [a]}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: [{pattern: a}]}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: [{prefix: a}]}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: [{pattern: '(', prefix: a}]}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: [{pattern: a, prefix: 1}]}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: [{pattern: a, prefix: b, name: c}]}", "has to be a list of {pattern"),
        ("RegexRoutingStore", "{routes: [{pattern: a, store: memroy}]}", "did you mean 'memory'"),
        ("NotifyingStore", "{url: 'http://host/'}", "needs both 'url' and 'secret'"),
        ("NotifyingStore", "{secret: hidden}", "needs both 'url' and 'secret'"),
        ("NotifyingStore", "{url: 'host', secret: hidden}", "the URL of a webhook is"),
        ("NotifyingStore", "{url: 'http://host/', secret: ''}", "secret is not empty"),
        ("LoggingStore", "{name: x}", "unknown parameter 'name'"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(tmp_path: Path, type_name: str, config: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        wrapper(tmp_path, type_name, config)
    assert "storage.yaml:3" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_route_without_a_store_needs_a_base(tmp_path: Path) -> None:
    routes = "[{pattern: a, store: memory}, {pattern: b, prefix: c/}]"
    with pytest.raises(ConfigurationError, match="the route 'b' names no store, so 'base: NAME' is needed"):
        built(tmp_path, f"  it: {{type: RegexRoutingStore, config: {{routes: {routes}}}}}")
