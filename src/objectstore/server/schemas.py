"""The JSON bodies of the HTTP contract, as models: they check what comes in and describe what goes out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from objectstore.wire.links import DEFAULT_LIFETIME, LinkMethod

Key = Annotated[str, Field(min_length=1, max_length=1024, description="1 to 1024 bytes of UTF-8 without NUL")]


class Model(BaseModel):
    # Strict: a number in quotes is no number.
    model_config = ConfigDict(extra="forbid", strict=True)


class Kept(Model):
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    metadata: dict[str, str] = {}


class Record(Kept):
    """What is known of an object."""

    key: Key
    size: int = Field(ge=0, description="bytes")
    etag: str
    content_type: str
    created_at: datetime
    modified_at: datetime
    digest: dict[str, str] = Field(description="algorithm to Base64")


class Page(Model):
    """One page of a listing, in UTF-8 byte order."""

    keys: list[str]
    next_cursor: str | None = Field(description="where to go on; null at the end")
    has_more: bool
    prefixes: list[str] | None = Field(default=None, description="groups, when a delimiter was given")
    objects: list[Record] | None = Field(default=None, description="records of the keys, when details were asked for")


class ErrorDetails(BaseModel):
    model_config = ConfigDict(extra="allow")

    code: str
    message: str


class Error(Model):
    """How every failure is told."""

    error: ErrorDetails


class DeleteRequest(Model):
    keys: Annotated[list[str], Field(max_length=1000)]


class DeleteError(Model):
    key: str
    code: str
    message: str


class DeleteResponse(Model):
    deleted: list[str]
    errors: list[DeleteError]


class UploadRequest(Kept):
    key: Key
    if_match: str | None = Field(default=None, description='"*", or entity tags as in the header If-Match')
    if_none_match: str | None = Field(default=None, description='"*", or entity tags as in the header If-None-Match')
    size: int | None = Field(default=None, ge=0, description="bytes of the whole object, when known")
    digest: dict[str, str] = Field(default={}, description="digests the whole object must have, in Base64")


class Begun(Model):
    upload_id: str
    part_size: int = Field(description="bytes; what to cut the body into, the last part excepted")
    expires_at: datetime


class PartRecord(Model):
    n: int
    size: int
    etag: str
    modified_at: datetime
    digest: dict[str, str] = Field(description="digests of the part, in Base64")


class UploadRecord(Kept):
    upload_id: str
    key: Key
    begun_at: datetime
    expires_at: datetime
    if_match: str | None = Field(default=None, description="as it was begun with, in the form of the header")
    if_none_match: str | None = Field(default=None, description="as it was begun with, in the form of the header")
    parts: list[PartRecord]
    completed: Record | None = None


class UploadSummary(Model):
    upload_id: str
    key: Key
    begun_at: datetime
    expires_at: datetime


class UploadList(Model):
    uploads: list[UploadSummary]
    next_cursor: str | None
    has_more: bool


class PartName(Model):
    n: int
    etag: str


class CompleteRequest(Model):
    parts: Annotated[list[PartName], Field(max_length=10_000)]


class LinkRequest(Model):
    key: Key
    method: LinkMethod = Field(default="GET", description="GET, which allows HEAD too, or PUT")
    expires_in: int = Field(default=DEFAULT_LIFETIME, ge=1, description="seconds from now, at most `LINK_MAX_TTL`")
    max_bytes: int | None = Field(default=None, ge=0, description="of the body of a PUT")
    content_type: str | None = Field(
        default=None, min_length=1, max_length=255, description="that a PUT has to have, and the object gets"
    )
    filename: str | None = Field(
        default=None, min_length=1, max_length=255, description="that browsers save what they GET under"
    )


class LinkRecord(Model):
    url: str
    path: str = Field(description="path and query, below the base URL of the server")
    public: bool = Field(description="whether `url` is made of the server's `PUBLIC_URL`, rather than of this request")
    method: LinkMethod
    key: Key
    expires_at: datetime


class UsageLimits(Model):
    """What may be kept; null is any amount."""

    bytes: int | None
    objects: int | None


class PrefixUsage(Model):
    prefix: str = Field(description="leading characters of the keys; empty for the whole store")
    bytes: int = Field(description="of the objects")
    parts_bytes: int = Field(description="of parts that wait for their upload to be completed; they count as well")
    objects: int
    limits: UsageLimits


class UsageReport(Model):
    """What is kept under the prefixes that a token has a quota for."""

    usage: list[PrefixUsage]


class Health(Model):
    status: str
    service: str
    version: str


class Check(Model):
    status: str = Field(description="`ok`; `warning`, which keeps nobody from using it; or `failed`")
    code: str | None = None
    message: str | None = None


class Readiness(Model):
    status: str
    backend: str
    persistent: bool
    notes: list[str]
    checks: dict[str, Check] = Field(
        description="each part of the server: `server`, `store`, `tokens`, `limits`, `scrub`"
    )
