"""What the token file holds: JSON ⇄ frozen records, and the edits, each giving another document."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from objectstore.auth.scopes import EVERY_KEY, SCOPES, Scope
from objectstore.auth.tokens import UNBOUNDED, Allowance, TokenRecord
from objectstore.core.rates import WANTED, format_rate, parse_rate
from objectstore.errors import ConfigurationError

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class TokenDocument:
    """The tokens in the order they were added.

    Raises:
        ConfigurationError: two have one name, or are the same token.
    """

    records: tuple[TokenRecord, ...] = ()
    others: Mapping[str, object] = field(default_factory=dict)  # what a later version wrote beside them, kept as it is

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for record in self.records:
            if record.name in seen:
                raise ConfigurationError(f"there are two tokens named {record.name!r}")
            seen.add(record.name)
        if len({record.digest for record in self.records}) < len(self.records):
            raise ConfigurationError("two tokens have the same hash")


def find(document: TokenDocument, name: str) -> TokenRecord:
    """The record of that name. Raises ConfigurationError, telling which names there are."""
    for record in document.records:
        if record.name == name:
            return record
    names = ", ".join(repr(record.name) for record in document.records)
    raise ConfigurationError(f"there is no token named {name!r}" + (f"; there are {names}" if names else ""))


def added(document: TokenDocument, record: TokenRecord) -> TokenDocument:
    """Raises ConfigurationError when the name is taken."""
    if any(known.name == record.name for known in document.records):
        raise ConfigurationError(f"there is already a token named {record.name!r}; refresh it, or delete it first")
    return replace(document, records=(*document.records, record))


def removed(document: TokenDocument, name: str) -> TokenDocument:
    """Raises ConfigurationError when there is no such token."""
    gone = find(document, name)
    return replace(document, records=tuple(record for record in document.records if record is not gone))


def replaced(document: TokenDocument, changed: TokenRecord) -> TokenDocument:
    """With `changed` in the place of the record of its name. Raises ConfigurationError when there is none."""
    old = find(document, changed.name)
    return replace(document, records=tuple(changed if record is old else record for record in document.records))


def format_document(document: TokenDocument) -> bytes:
    """The contents of the file; `parse_document` of it is the same document."""
    members = {"version": VERSION, "tokens": [_members(record) for record in document.records], **document.others}
    return json.dumps(members, indent=2).encode() + b"\n"


def parse_document(text: bytes) -> TokenDocument:
    """The document that the contents of a file are.

    Raises:
        ConfigurationError: they are none; the message says what is wrong with them, never showing a hash.
    """
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"it is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise ConfigurationError("it does not hold a JSON object")
    version = members.get("version")
    if version != VERSION:
        raise ConfigurationError(f"its version is {version!r}, and this program knows version {VERSION}")
    tokens = members.get("tokens")
    if not isinstance(tokens, list):
        raise ConfigurationError('it has no list "tokens"')
    others = {name: value for name, value in members.items() if name not in {"version", "tokens"}}
    return TokenDocument(records=tuple(_record(number, one) for number, one in enumerate(tokens, 1)), others=others)


def _members(record: TokenRecord) -> dict[str, object]:
    members: dict[str, object] = {
        "name": record.name,
        "sha256": record.digest.hex(),
        "created": _format_time(record.created),
        "expires": None if record.expires is None else _format_time(record.expires),
        "scopes": [scope for scope in SCOPES if scope in record.scopes],
    }
    if record.prefixes != EVERY_KEY:
        members["prefixes"] = list(record.prefixes)
    if record.rate is not None:
        members["rate"] = format_rate(record.rate)
    if record.quota != UNBOUNDED:
        named = {"bytes": record.quota.size, "objects": record.quota.objects}
        members["quota"] = {name: limit for name, limit in named.items() if limit is not None}
    return {**members, **record.others}


_READ: Final = frozenset({"name", "sha256", "created", "expires", "scopes", "prefixes", "rate", "quota"})


def _record(number: int, members: Any) -> TokenRecord:
    if not isinstance(members, dict):
        raise ConfigurationError(f"token {number} is not a JSON object")

    def read(member: str, parse: Callable[[Any], Any], wanted: str) -> Any:
        try:
            return parse(members[member])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise ConfigurationError(f'token {number}: "{member}" has to be {wanted}') from None

    return TokenRecord(
        name=read("name", _text, "a text"),
        digest=read("sha256", _digest, "64 hexadecimal digits"),
        created=read("created", _time, "a time such as 2030-01-31T12:00:00Z"),
        expires=read("expires", _time_or_never, "a time such as 2030-01-31T12:00:00Z, or null for never"),
        scopes=read("scopes", _scopes, f"a list of {', '.join(SCOPES)}"),
        # Empty could be meant as "nothing" or as "everything"; so it means neither.
        prefixes=read("prefixes", _prefixes, "a list of at least one text, or left out for every key")
        if "prefixes" in members
        else EVERY_KEY,
        rate=read("rate", parse_rate, f"a rate {WANTED}") if "rate" in members else None,
        quota=read("quota", _quota, 'an object with a number of "bytes", of "objects", or both')
        if "quota" in members
        else UNBOUNDED,
        others={name: value for name, value in members.items() if name not in _READ},
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _digest(value: Any) -> bytes:
    digest = bytes.fromhex(value)
    if len(digest) != 32:
        raise ValueError
    return digest


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError
    return time.astimezone(UTC)


def _time_or_never(value: Any) -> datetime | None:
    return None if value is None else _time(value)


def _scopes(value: Any) -> frozenset[Scope]:
    return frozenset(map(parse_scope, _texts(value)))


def _prefixes(value: Any) -> tuple[str, ...]:
    return _texts(value)


def _quota(value: Any) -> Allowance:
    # A limit that is not understood must not be left out, so nothing else may be in there.
    if not isinstance(value, dict) or not value or not value.keys() <= {"bytes", "objects"}:
        raise ValueError
    for limit in value.values():
        if type(limit) is not int or limit < 0:
            raise ValueError
    return Allowance(size=value.get("bytes"), objects=value.get("objects"))


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise TypeError
    return tuple(map(_text, value))


def parse_scope(text: str) -> Scope:
    """Raises ValueError when there is no such scope."""
    for scope in SCOPES:
        if scope == text:
            return scope
    raise ValueError(text)


def _format_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
