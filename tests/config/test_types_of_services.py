"""Services over the network, as storage.yaml names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.http import HttpBackend
from objectstore.backends.mediastore import MediaBackend
from objectstore.backends.redis import RedisBackend
from objectstore.backends.rest import RestBackend
from objectstore.config.build import build, describe
from objectstore.config.schema import StoreConfig, load
from objectstore.config.types.remote import REMOTE
from objectstore.errors import ConfigurationError

REDIS = "{url: 'redis://:hush@h'}"
MEDIA = """\
{base_url: 'http://h', username: u, password: hush, store_config: {type: DictStore, bucket: b}, pid_type: P,
           staging_path: PARTS}"""
REST = "{base_url: 'http://h', api_key: hush, timeout: 2m, max_retries: 0, retry_delay: 0.5, max_connections: 4}"


def described(folder: Path, type_name: str, config: str) -> StoreConfig:
    file = folder / "storage.yaml"
    file.write_text(f"stores:\n  it: {{type: {type_name}, config: {config}}}\nmain: it\n")
    return load(file, {})


@pytest.mark.parametrize(
    ("type_names", "config", "backend"),
    [
        (("RedisStore", "AsyncRedisStore"), REDIS, RedisBackend),
        (("HttpStore", "AsyncHttpStore"), "{}", HttpBackend),
        (("HttpStore", "AsyncHttpStore"), "{base_url: 'http://u:hush@h/', follow_redirects: false}", HttpBackend),
        (("MediaStore",), "{base_url: 'http://h', token: hush}", MediaBackend),
        (("MediaStore",), MEDIA, MediaBackend),
        (("RestStore", "AsyncRestStore"), REST, RestBackend),
        (("RestStore", "AsyncRestStore"), "{base_url: 'http://h'}", RestBackend),
    ],
)
def test_a_service_is_built_and_shown_without_its_secrets(
    tmp_path: Path, type_names: tuple[str, ...], config: str, backend: type[Backend]
) -> None:
    for type_name in type_names:
        store = described(tmp_path, type_name, config.replace("PARTS", str(tmp_path / "parts")))
        assert isinstance(build(store), backend)
        assert "hush" not in "".join(describe(store))


@pytest.mark.parametrize(
    ("type_name", "config", "words"),
    [
        ("RedisStore", "{}", "url"),
        ("RestStore", "{base_url: 'http://h', timeout: soon}", "seconds"),
        ("RestStore", "{base_url: 'http://h', timeout: true}", "seconds"),
        ("RestStore", "{base_url: 'http://h', max_connections: 0}", "at least 1"),
        ("MediaStore", "{base_url: 'http://h', store_config: DictStore}", "a mapping"),
        ("HttpStore", "{follow_redirects: maybe}", "true or false"),
    ],
)
def test_a_value_that_cannot_be_used_is_told(tmp_path: Path, type_name: str, config: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build(described(tmp_path, type_name, config))


def test_every_service_of_the_table_is_shown_here() -> None:
    assert {one.names[0] for one in REMOTE} == {"RedisStore", "HttpStore", "MediaStore", "RestStore"}
