"""The client that blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias, TypedDict, Unpack

from objectstore.values import UNCONDITIONAL, ByteRange, Conditions, ObjectInfo
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart

Data: TypeAlias = bytes | bytearray | memoryview | BinaryIO | os.PathLike[str] | Iterable[bytes]
"""What can be stored: bytes, a binary file (from where it stands), a path, or chunks of bytes."""


class Kept(TypedDict, total=False):
    """What may be said of an object beside its bytes, as keywords; fields of `values.Attributes`."""

    content_type: str
    content_encoding: str
    content_disposition: str
    content_language: str
    cache_control: str
    metadata: Mapping[str, str]


class Reader:
    """An object being read."""

    info: ObjectInfo
    start: int  # the bytes of the object being read …
    stop: int  # … end exclusive

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError

    def read(self) -> bytes:
        raise NotImplementedError


class RestStore:
    @classmethod
    def create(
        cls,
        base_url: str,
        api_key: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
        retry_delay: float = 1.0,
        *,
        max_connections: int = 100,
    ) -> Self:
        raise NotImplementedError

    def put(self, key: str, data: Data, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]) -> ObjectInfo:
        raise NotImplementedError

    def get(self, key: str, *, range: ByteRange | None = None, conditions: Conditions = UNCONDITIONAL) -> bytes:
        raise NotImplementedError

    def stream(
        self, key: str, *, range: ByteRange | None = None, conditions: Conditions = UNCONDITIONAL
    ) -> AbstractContextManager[Reader]:
        raise NotImplementedError

    def head(self, key: str) -> ObjectInfo:
        raise NotImplementedError

    def exists(self, key: str) -> bool:
        raise NotImplementedError

    def delete(self, key: str, *, conditions: Conditions = UNCONDITIONAL) -> None:
        raise NotImplementedError

    def delete_many(self, keys: Iterable[str]) -> Deleted:
        raise NotImplementedError

    def copy(
        self, source: str, target: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> ObjectInfo:
        raise NotImplementedError

    def keys(self, prefix: str = "") -> Iterator[str]:
        raise NotImplementedError

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        raise NotImplementedError

    def list(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        limit: int = 1000,
        cursor: str | None = None,
        start_after: str | None = None,
        details: bool = False,
    ) -> Page:
        raise NotImplementedError

    def upload(
        self,
        key: str,
        data: Data,
        *,
        part_size: int | None = None,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> ObjectInfo:
        raise NotImplementedError

    def begin_upload(self, key: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]) -> BegunUpload:
        raise NotImplementedError

    def put_part(self, upload_id: str, number: int, data: bytes) -> UploadedPart:
        raise NotImplementedError

    def complete_upload(self, upload_id: str, parts: Iterable[UploadedPart]) -> ObjectInfo:
        raise NotImplementedError

    def abort_upload(self, upload_id: str) -> None:
        raise NotImplementedError

    def get_upload(self, upload_id: str) -> UnfinishedUpload:
        raise NotImplementedError

    def uploads(self) -> Iterator[UnfinishedUpload]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        raise NotImplementedError
