"""Object stores of clouds: S3 and what speaks like it, GCS, Azure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import BOOLEAN, TEXT, Kind, Parameter
from objectstore.config.storetype import StoreType, Values


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return dict(value)


_MAPPING: Final = Kind("a mapping", _mapping)


def _bucket(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.cloud.stores import bucket_store

    return bucket_store(**values)


def _gcs(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.cloud.stores import gcs_store

    return gcs_store(**values)


def _azure(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.cloud.stores import azure_store

    return azure_store(**values)


_SKIP_SIGNATURE: Final = Parameter(
    name="skip_signature", kind=BOOLEAN, about="Ask without credentials, for what is public (default: false)."
)

CLOUD: Final = (
    StoreType(
        names=("BucketStore", "AsyncBucketStore"),
        about="A bucket of S3, or of a server that speaks like it.",
        parameters=(
            Parameter(name="bucket_name", kind=TEXT, required=True, about="The bucket; it has to be there."),
            Parameter(
                name="endpoint_url",
                kind=TEXT,
                aliases=("s3_url",),
                about="http(s)://HOST[:PORT] of the server (default: AWS_ENDPOINT_URL_S3, else AWS in the region).",
            ),
            Parameter(
                name="s3_access_key",
                kind=TEXT,
                about="The access key (default: found in the environment, a profile or an instance role).",
            ),
            Parameter(name="s3_secret_key", kind=TEXT, secret=True, about="Its secret; given together with it."),
            Parameter(name="region", kind=TEXT, about="The region (default: AWS_REGION, else us-east-1)."),
            Parameter(
                name="botocore_config_kwargs",
                kind=_MAPPING,
                aliases=("botocore_config",),
                about="connect_timeout, read_timeout, retries, max_pool_connections, s3.addressing_style, region_name.",
            ),
            Parameter(
                name="conditions",
                kind=BOOLEAN,
                about="Whether the server checks If-Match and If-None-Match of writes, as S3 does (default: true).",
            ),
        ),
        build=_bucket,
        extra="s3",
    ),
    StoreType(
        names=("GCSStore",),
        about="A bucket of Google Cloud Storage.",
        parameters=(
            Parameter(name="bucket", kind=TEXT, required=True, aliases=("bucket_name",), about="The bucket."),
            Parameter(
                name="service_account",
                kind=TEXT,
                about="File of a service account's key (default: GOOGLE_APPLICATION_CREDENTIALS, or a role).",
            ),
            Parameter(name="service_account_key", kind=TEXT, secret=True, about="That key itself, as JSON."),
            Parameter(name="application_credentials", kind=TEXT, about="File of application default credentials."),
            Parameter(name="base_url", kind=TEXT, about="Another server than Google's."),
            _SKIP_SIGNATURE,
        ),
        build=_gcs,
        extra="s3",
    ),
    StoreType(
        names=("AzureStore",),
        about="A container of Azure Blob Storage.",
        parameters=(
            Parameter(name="container_name", kind=TEXT, required=True, about="The container."),
            Parameter(
                name="account_name", kind=TEXT, about="The storage account (default: AZURE_STORAGE_ACCOUNT_NAME)."
            ),
            Parameter(name="account_key", kind=TEXT, secret=True, about="A key of the account."),
            Parameter(name="sas_key", kind=TEXT, secret=True, about="A shared access signature, instead of a key."),
            Parameter(name="client_id", kind=TEXT, about="A service principal, or the managed identity to take."),
            Parameter(name="client_secret", kind=TEXT, secret=True, about="The secret of the service principal."),
            Parameter(name="tenant_id", kind=TEXT, about="The tenant of the service principal."),
            Parameter(name="authority_host", kind=TEXT, about="Who gives its tokens."),
            Parameter(name="federated_token_file", kind=TEXT, about="File of a token for workload identity."),
            Parameter(name="use_azure_cli", kind=BOOLEAN, about="Take the tokens of `az login` (default: false)."),
            Parameter(name="use_emulator", kind=BOOLEAN, about="Speak to Azurite on this machine (default: false)."),
            Parameter(name="endpoint", kind=TEXT, about="Another server than Azure's."),
            _SKIP_SIGNATURE,
        ),
        build=_azure,
        extra="s3",
    ),
)
