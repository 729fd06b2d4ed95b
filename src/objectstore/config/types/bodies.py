"""Wrappers that store bodies in another form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import Kind, Parameter, whole
from objectstore.config.storetype import OneBase, StoreType, Values
from objectstore.errors import ConfigurationError


def _gzip(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.gzipped import Gzipped

    return Gzipped(bases[0], **values)


def _zstd(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.zstd import Zstd

    return Zstd(bases[0], **values)


def _base64(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.base64ed import Base64ed

    return Base64ed(bases[0])


def _text_encoding(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.textencoding import stored_as_text

    return stored_as_text(bases[0], **values)


def _json(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.jsonbody import JsonOnly

    return JsonOnly(bases[0])


def _level(lowest: int, highest: int) -> Kind:
    def parse(value: Any) -> int:
        level: int = whole(lowest).parse(value)
        if level > highest:
            raise ValueError(value)
        return level

    return Kind(f"a whole number from {lowest} to {highest}", parse)


def _encoding(value: Any) -> str:
    from objectstore.wrappers.textencoding import encoding_name

    if not isinstance(value, str):
        raise TypeError(value)
    try:
        return encoding_name(value)
    except ConfigurationError as error:
        raise ValueError(value) from error


BODIES: Final = (
    StoreType(
        names=("GzipStore", "AsyncGzipStore"),
        about="Objects are stored as gzip; sizes and digests are those of the objects themselves.",
        parameters=(
            Parameter(name="level", kind=_level(0, 9), about="From 1 (fastest) to 9 (smallest); 0 stores (default 6)."),
        ),
        base=OneBase(),
        build=_gzip,
    ),
    StoreType(
        names=("ZstdStore", "AsyncZstdStore"),
        about="Objects are stored as Zstandard: faster than gzip, and smaller.",
        parameters=(
            Parameter(name="level", kind=_level(1, 22), about="From 1 (fastest) to 22 (smallest) (default 3)."),
        ),
        base=OneBase(),
        build=_zstd,
        extra="zstd",
    ),
    StoreType(
        names=("Base64Store", "AsyncBase64Store"),
        about="Objects are stored as Base64, a third larger.",
        base=OneBase(),
        build=_base64,
    ),
    StoreType(
        names=("TextEncodingStore", "AsyncTextEncodingStore"),
        about="Bodies are UTF-8 text, or refused; they are stored in another character encoding.",
        parameters=(
            Parameter(
                name="encoding",
                kind=Kind("a character encoding that Python knows, such as utf-8 or latin-1", _encoding),
                about="The encoding of what is stored (default utf-8).",
            ),
        ),
        base=OneBase(),
        build=_text_encoding,
    ),
    StoreType(
        names=("JsonStore", "AsyncJsonStore"),
        about="Bodies are JSON, or refused; they are stored as they come.",
        base=OneBase(),
        build=_json,
    ),
)
