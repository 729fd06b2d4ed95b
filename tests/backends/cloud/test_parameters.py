"""What storage.yaml says of a cloud's store, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.settings import BucketSettings, with_botocore
from objectstore.backends.cloud.stores import azure_store, bucket_store, gcs_store
from objectstore.config.build import build, describe
from objectstore.config.schema import load
from objectstore.errors import ConfigurationError

BUCKET = BucketSettings(bucket="data")


def _load(folder: Path, text: str) -> Any:
    file = folder / "storage.yaml"
    file.write_text(text)
    return load(file, {"SECRET": "the-secret"}, None)


@pytest.mark.parametrize("name", ["BucketStore", "AsyncBucketStore"])
def test_a_bucket_is_configured_as_in_existing_files(tmp_path: Path, name: str) -> None:
    config = _load(
        tmp_path,
        f"""
stores:
  bucket:
    type: {name}
    config:
      bucket_name: data
      s3_url: http://127.0.0.1:9000
      s3_access_key: access
      s3_secret_key: ${{SECRET}}
      botocore_config: {{read_timeout: 5, retries: {{max_attempts: 2}}}}
main: bucket
""",
    )
    assert build(config).capabilities.name == "BucketStore"
    assert "the-secret" not in "\n".join(describe(config))


def test_gcs_and_azure_are_configured_as_obstore_names_it(tmp_path: Path) -> None:
    config = _load(
        tmp_path,
        """
stores:
  google: {type: GCSStore, config: {bucket: data, skip_signature: true}}
main: google
""",
    )
    assert build(config).capabilities.name == "GCSStore"
    config = _load(
        tmp_path,
        """
stores:
  blobs: {type: AzureStore, config: {container_name: data, account_name: me, account_key: "a2V5"}}
main: blobs
""",
    )
    assert build(config).capabilities.name == "AzureStore"


@pytest.mark.parametrize(
    ("told", "field", "wanted"),
    [
        ({"connect_timeout": 2}, "connect", 2.0),
        ({"read_timeout": 7.5}, "read", 7.5),
        ({"max_pool_connections": 9}, "connections", 9),
        ({"retries": {"max_attempts": 7}}, "retries", 7),
        ({"retries": {"max_attempts": 0, "mode": "standard"}}, "retries", 0),
        ({"retries": {"total_max_attempts": 4}}, "retries", 3),
    ],
)
def test_a_botocore_config_sets_the_patience(told: dict[str, Any], field: str, wanted: float) -> None:
    assert getattr(with_botocore(BUCKET, told).patience, field) == wanted


def test_what_of_a_botocore_config_has_no_meaning_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "objectstore.cloud"):
        with_botocore(BUCKET, {"parameter_validation": False, "s3": {"payload_signing_enabled": True}})
    assert [record.args for record in caplog.records] == [("parameter_validation",), ("s3.payload_signing_enabled",)]


def test_what_has_a_meaning_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "objectstore.cloud"):
        told = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}, "retries": {"mode": "adaptive"}}
        assert with_botocore(BUCKET, told).addressing == "path"
    assert caplog.records == []


@pytest.mark.parametrize(
    "told",
    [
        {"read_timeout": 0},
        {"read_timeout": "soon"},
        {"connect_timeout": -1},
        {"retries": {"max_attempts": -1}},
        {"retries": "many"},
        {"s3": {"addressing_style": "sideways"}},
        {"max_pool_connections": None},
    ],
)
def test_a_botocore_config_that_cannot_be_used_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="botocore_config"):
        with_botocore(BUCKET, told)


@pytest.mark.parametrize(
    ("settings", "origin", "path"),
    [
        (BUCKET, "https://data.s3.us-east-1.amazonaws.com", "/a%20b/c"),
        (
            BucketSettings(bucket="my.data", region="eu-west-1"),
            "https://s3.eu-west-1.amazonaws.com",
            "/my.data/a%20b/c",
        ),
        (BucketSettings(bucket="data", endpoint="http://h:9"), "http://h:9", "/data/a%20b/c"),
        (BucketSettings(bucket="data", endpoint="http://h:9/", addressing="virtual"), "http://data.h:9", "/a%20b/c"),
    ],
)
def test_a_bucket_is_addressed_by_host_or_by_path(settings: BucketSettings, origin: str, path: str) -> None:
    assert settings.origin == origin
    assert settings.path_of("a b/c") == path


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://h", "http://h/data", "https://"])
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint_url"):
        bucket_store("data", endpoint_url=endpoint)


@pytest.mark.parametrize("bucket", ["", "a/b"])
def test_a_name_that_is_no_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ConfigurationError, match="bucket"):
        bucket_store(bucket)


def test_half_of_the_credentials_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="together"):
        bucket_store("data", s3_access_key="access")


def _refused(store: CloudBackend) -> str:
    with pytest.raises(ConfigurationError) as raised:
        asyncio.run(store.__aenter__())
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_wrong_parameter_of_gcs_is_one_clear_line() -> None:
    assert "GCSStore" in _refused(gcs_store("data", service_account_key="{}"))


def test_azure_without_an_account_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    assert "AzureStore" in _refused(azure_store("data"))


def test_gcs_and_azure_where_there_is_no_service_are_refused_at_the_opening() -> None:
    with socket.socket() as nobody:
        # Bound and not listening: whoever connects is refused.
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert "endpoint" in _refused(gcs_store("data", base_url=url, skip_signature=True))
        assert "endpoint" in _refused(azure_store("data", account_name="a", endpoint=url, skip_signature=True))
