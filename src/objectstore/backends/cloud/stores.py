"""The stores that `storage.yaml` names: a bucket of S3, GCS or Azure, by its parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from obstore.store import AzureStore, GCSStore

from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.plain import ObstoreMedium
from objectstore.backends.cloud.s3 import S3Medium
from objectstore.backends.cloud.settings import BucketSettings, Patience, with_botocore
from objectstore.core.sigv4 import Credentials
from objectstore.errors import ConfigurationError
from objectstore.values import Capabilities

_KEYS: Final = (
    "Keys with an empty segment (`/a`, `a/`, `a//b`), a segment `.` or `..`, or control characters are refused; "
    "objects that other programs put under such keys are left out of listings."
)
_FOREIGN: Final = (
    "Objects of other programs have the service's etag and time, and no digest; neither have bodies above 16 MiB that "
    "came without an announced one."
)
_UPLOADS: Final = "Parts of uploads wait in the bucket under hidden names that begin with .objectstore-bucket-."
_METADATA: Final = "S3 takes at most 2 KiB of metadata with an object; more is refused."
_NO_CONDITIONS: Final = "Conditions on writes are refused: conditions is false, since the service does not check them."
_SAME_BYTES: Final = (
    "A condition is bound to the service's own etag, on S3 that of the bytes: of two that replace one version by the "
    "very same bytes at the same instant, both may succeed."
)


def bucket_store(
    bucket_name: str,
    *,
    endpoint_url: str | None = None,
    s3_access_key: str | None = None,
    s3_secret_key: str | None = None,
    region: str | None = None,
    botocore_config_kwargs: Mapping[str, Any] | None = None,
    conditions: bool = True,
) -> CloudBackend:
    """A bucket of S3, or of a service that speaks like it.

    What is left out is found where the tools of AWS find it: in the environment, in a profile, in an instance role.

    Raises:
        ConfigurationError: something given cannot be used.
    """
    if (s3_access_key is None) != (s3_secret_key is None):
        raise ConfigurationError("s3_access_key and s3_secret_key are given together, or neither")
    credentials = Credentials(s3_access_key, s3_secret_key) if s3_access_key and s3_secret_key else None
    environment = os.environ
    settings = BucketSettings(
        bucket=bucket_name,
        endpoint=endpoint_url or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None,
        region=region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
        credentials=credentials,
    )
    medium = S3Medium(with_botocore(settings, botocore_config_kwargs or {}))
    notes = (_KEYS, _FOREIGN, _METADATA, _SAME_BYTES if conditions else _NO_CONDITIONS, _UPLOADS)
    return CloudBackend(medium, Capabilities(name="BucketStore", conditions=conditions, digests=False, notes=notes))


def gcs_store(bucket: str, **config: Any) -> CloudBackend:
    """A bucket of Google Cloud Storage; `config` as `obstore.store.GCSStore` names it."""
    return _plain_store("GCSStore", GCSStore, bucket, config)


def azure_store(container_name: str, **config: Any) -> CloudBackend:
    """A container of Azure Blob Storage; `config` as `obstore.store.AzureStore` names it."""
    return _plain_store("AzureStore", AzureStore, container_name, config, identifiers_only=True)


def _plain_store(
    name: str, store: type[Any], bucket: str, config: Mapping[str, Any], *, identifiers_only: bool = False
) -> CloudBackend:
    patience = Patience()

    def make() -> Any:
        options, retries = patience.client_options(), patience.retry_config()
        return store(bucket, config=dict(config), client_options=options, retry_config=retries)

    large = "A conditional write above 16 MiB, and a conditional upload as large, is refused."
    copies = "Copies, and uploads in parts at their completion, pass through this process."
    deletes = "The condition of a delete is looked at before it, not together with it."
    notes = (_KEYS, _FOREIGN, large, copies, deletes, _UPLOADS)
    medium = ObstoreMedium(name, make, patience, identifiers_only=identifiers_only)
    return CloudBackend(medium, Capabilities(name=name, digests=False, notes=notes))
