"""Where a store is, in one word: a name in storage.yaml, a URL, or a folder.

    archive                          a store of storage.yaml
    s3://bucket/prefix               also gs:// and az://; ?endpoint_url=…&region=… are parameters of the type
    redis://host:6379/0              also rediss://
    https://objects.example.org      another server of this kind, with the token of OBJECTSTORE_TOKEN
    file:///srv/files                plain files
    ./data                           a data folder, as `objectstore serve` keeps it

A prefix in a URL is a folder: `s3://bucket/photos` and `s3://bucket/photos/` are the objects below `photos/`, told
without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from objectstore.backends.contract import Backend
from objectstore.backends.engine.directory import GUESTS
from objectstore.config.document import Node, read_document
from objectstore.config.nearest import among
from objectstore.config.parameters import Parameter
from objectstore.config.schema import StoreConfig, parse
from objectstore.config.storetype import OneBase, StoreType, Values
from objectstore.config.types import TYPES
from objectstore.errors import ConfigurationError
from objectstore.wrappers.prefix import Prefixed

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TOKEN_VARIABLE: Final = "OBJECTSTORE_TOKEN"  # noqa: S105  its name


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A scheme whose host is a bucket and whose path is a prefix in it."""

    type_name: str
    parameter: str


_BUCKETS: Final[Mapping[str, _Bucket]] = {
    "s3": _Bucket("BucketStore", "bucket_name"),
    "gs": _Bucket("GCSStore", "bucket"),
    "az": _Bucket("AzureStore", "container_name"),
}
_SCHEMES: Final = ("file", *_BUCKETS, "redis", "rediss", "http", "https")


def resolve(
    address: str, file: Path | None, env: Mapping[str, str], *, types: Sequence[StoreType] = TYPES
) -> StoreConfig:
    """The store at `address`; names are looked up in the storage.yaml at `file`. Nothing is opened.

    Raises:
        ConfigurationError: it is none, with what may have been meant; or the file cannot be used.
    """
    by_name = {name: one for one in types for name in one.names}
    if _URL.match(address):
        return _Url(address, env, by_name).config()
    if file is None:
        return _folder(address, file, (), by_name)
    root = read_document(file)
    names = _names(root)
    return parse(root, env, address, types=types) if address in names else _folder(address, file, names, by_name)


def _names(root: Node) -> Sequence[str]:
    stores = root.value.get("stores") if isinstance(root.value, Mapping) else None
    # What else is wrong with the file does not matter to who asks for none of its stores.
    return tuple(stores.value) if stores is not None and isinstance(stores.value, Mapping) else ()


def _folder(address: str, file: Path | None, names: Sequence[str], types: Mapping[str, StoreType]) -> StoreConfig:
    path = Path(address).expanduser()
    # A mistyped name is not to become a new folder: one that is not there is written with a slash.
    if not path.exists() and "/" not in address:
        where = "there is no storage.yaml to look it up in (--config FILE)" if file is None else f"not one of {file}"
        hint = among(address, names) if names else ""
        raise ConfigurationError(f"{address!r} is no store: {where}{hint}; a new data folder is written './{address}'")
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"{address!r} is a file; describe the store in storage.yaml, and give its name")
    if path.is_dir() and not (path / "FORMAT").exists() and {one.name for one in path.iterdir()} - GUESTS:
        raise ConfigurationError(
            f"{address!r} is no data folder; if its files are to be the objects, write '{path.resolve().as_uri()}'"
        )
    return _config(address, "EngineStore", types, {"path": str(path)})


class _Url:
    def __init__(self, address: str, env: Mapping[str, str], types: Mapping[str, StoreType]) -> None:
        self._address = address
        self._env = env
        self._types = types
        try:
            self._parts: SplitResult = urlsplit(address)
        except ValueError as error:
            raise ConfigurationError(f"{_shown(address)!r} is no URL: {error}") from None

    def config(self) -> StoreConfig:
        scheme = self._parts.scheme
        if scheme == "file":
            return self._file()
        if scheme in _BUCKETS:
            return self._bucket(_BUCKETS[scheme])
        if scheme in {"redis", "rediss"}:
            return self._whole("RedisStore", {"url": self._address})
        if scheme in {"http", "https"}:
            token = self._env.get(_TOKEN_VARIABLE)
            return self._whole("RestStore", {"base_url": self._address} | ({"api_key": token} if token else {}))
        raise self._wrong(f"unknown scheme {scheme!r}{among(scheme, _SCHEMES)}")

    def _file(self) -> StoreConfig:
        parts = self._parts
        if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
            raise self._wrong("a folder of this machine is written file:///absolute/path")
        return _config(self._address, "FilesystemStore", self._types, {"root_path": unquote(parts.path)})

    def _bucket(self, bucket: _Bucket) -> StoreConfig:
        parts = self._parts
        if not parts.netloc or parts.fragment:
            raise self._wrong(f"it is written {parts.scheme}://BUCKET/PREFIX, with ? and # in PREFIX percent-encoded")
        config = self._whole(bucket.type_name, {**self._query(), bucket.parameter: unquote(parts.netloc)})
        prefix = unquote(parts.path).strip("/")
        return _below(config, f"{prefix}/") if prefix else config

    def _query(self) -> dict[str, str]:
        try:
            return dict(parse_qsl(self._parts.query, strict_parsing=True)) if self._parts.query else {}
        except ValueError:
            raise self._wrong("parameters are written ?name=value&name=value") from None

    def _whole(self, type_name: str, given: Mapping[str, str]) -> StoreConfig:
        if not self._parts.hostname:
            raise self._wrong("it names no host")
        return _config(_shown(self._address), type_name, self._types, given)

    def _wrong(self, complaint: str) -> ConfigurationError:
        return ConfigurationError(f"{_shown(self._address)!r}: {complaint}")


def _config(address: str, type_name: str, types: Mapping[str, StoreType], given: Mapping[str, str]) -> StoreConfig:
    """A store of that type, as if a file had described it. Raises ConfigurationError."""
    chosen = types[type_name]
    known = {name: one for one in chosen.parameters for name in (one.name, *one.aliases)}
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            raise ConfigurationError(f"{address!r} ({type_name}): unknown parameter {name!r}{among(name, known)}")
        values[known[name].name] = _parsed(address, known[name], text)
    return StoreConfig(
        name=address,
        type_name=type_name,
        type=chosen,
        values=MappingProxyType(values),
        bases=(),
        place=address,
    )


def _parsed(address: str, parameter: Parameter, text: str) -> Any:
    try:
        return parameter.kind.parse(text)
    except (ValueError, TypeError):
        shown = "" if parameter.secret else f" {text!r}:"
        raise ConfigurationError(
            f"{address!r}: {parameter.name!r}{shown} has to be {parameter.kind.expected}"
        ) from None


def _shown(address: str) -> str:
    """The address without a password or parameters, which may be secret."""
    plain = address.partition("?")[0]
    scheme, separator, rest = plain.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _prefixed(values: Values, bases: Sequence[Backend]) -> Backend:
    return Prefixed(bases[0], values["prefix"])


_BELOW: Final = StoreType(names=("PrefixStore",), about="What lies below a prefix.", build=_prefixed, base=OneBase())


def _below(base: StoreConfig, prefix: str) -> StoreConfig:
    return StoreConfig(
        name=f"{base.name} below {prefix}",
        type_name="PrefixStore",
        type=_BELOW,
        values=MappingProxyType({"prefix": prefix}),
        bases=(base,),
        place=base.place,
    )
