"""The header fields of conditions ⇄ values, as `headers` has those of objects."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from objectstore.errors import BadRequest
from objectstore.values import UNCONDITIONAL, Conditions, Etags
from objectstore.wire.headers import FieldList, Fields, format_etag, http_date, parse_http_date

_CONDITIONAL: Final = frozenset({b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"})
# An entity tag and what may follow or, in a list with empty elements, precede it (RFC 9110 §5.6.1.2, §8.8.3).
_TAG: Final = re.compile(rb'[ \t,]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,[ \t,]*|\Z)')
_STRONG_TAG: Final = re.compile(rb'"([\x21\x23-\x7e\x80-\xff]*)"')


def parse_conditions(found: Fields) -> Conditions:
    """The preconditions of a request.

    Raises:
        BadRequest: an entity tag list that cannot be read: a condition is never ignored.
    """
    if _CONDITIONAL.isdisjoint(found):
        return UNCONDITIONAL
    return Conditions(
        if_match=_etags(found, b"if-match", strong=True),
        if_none_match=_etags(found, b"if-none-match", strong=False),
        if_modified_since=parse_http_date(found.get(b"if-modified-since")),
        if_unmodified_since=parse_http_date(found.get(b"if-unmodified-since")),
    )


def parse_if_range(value: bytes) -> str | datetime | None:
    """The etag or time of an `If-Range` field; None for one that can never hold (RFC 9110 §13.1.5)."""
    tag = _STRONG_TAG.fullmatch(value)
    return parse_http_date(value) if tag is None else tag[1].decode("latin-1")


def format_conditions(conditions: Conditions) -> FieldList:
    found: FieldList = []
    if conditions.if_match is not None:
        found.append((b"if-match", _format_etags(conditions.if_match)))
    if conditions.if_none_match is not None:
        found.append((b"if-none-match", _format_etags(conditions.if_none_match)))
    if conditions.if_modified_since is not None:
        found.append((b"if-modified-since", http_date(conditions.if_modified_since)))
    if conditions.if_unmodified_since is not None:
        found.append((b"if-unmodified-since", http_date(conditions.if_unmodified_since)))
    return found


def parse_etags(value: bytes, *, strong: bool) -> Etags:
    """The tags of a list; with `strong`, weak ones are left out, since they match nothing (RFC 9110 §8.8.3.2).

    Raises:
        BadRequest: not `*` and not a list of at least one quoted tag.
    """
    if value.strip() == b"*":
        return "*"
    tags: list[str] = []
    at = 0
    while at < len(value) or not at:
        found = _TAG.match(value, at)
        if found is None:
            raise BadRequest('an entity tag condition is * or a list of tags in double quotes, as in "abc", "def"')
        if not (strong and found[1]):
            tags.append(found[2].decode("latin-1"))
        at = found.end()
    return tuple(tags)


def _etags(found: Fields, name: bytes, *, strong: bool) -> Etags | None:
    value = found.get(name)
    return None if value is None else parse_etags(value, strong=strong)


def _format_etags(etags: Etags) -> bytes:
    if etags == "*":
        return b"*"
    # A list without a tag matches nothing; the field cannot say so but with a tag that no object has.
    tags = [_format_tag(etag) for etag in etags] or [b'""']
    return b", ".join(tags)


def _format_tag(etag: str) -> bytes:
    tag = format_etag(etag) if all(ord(character) < 0x100 for character in etag) else b""
    if _STRONG_TAG.fullmatch(tag) is None:
        raise BadRequest(f"{etag!r} is no etag: they are given without quotes, and have no spaces or controls")
    return tag
