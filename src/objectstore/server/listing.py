"""Listing keys, page by page, cut to what the caller may see."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from objectstore.auth.listing import list_covered
from objectstore.auth.scopes import Credential, require
from objectstore.core.listing import after, decode_cursor
from objectstore.errors import InvalidParameter
from objectstore.server.exchange import Exchange
from objectstore.server.service import Service
from objectstore.values import ListQuery
from objectstore.wire.records import JSON, format_page

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
_MAX_PARAMETERS: Final = 32
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


async def list_objects(service: Service, exchange: Exchange, credential: Credential) -> None:
    require(credential, "read")
    query = parse_query(exchange.query)
    found = await list_covered(service.backend.list, query, credential)
    body = format_page(found, delimited=bool(query.delimiter), details=query.details)
    await exchange.respond(200, [(b"content-type", JSON), (b"content-length", b"%d" % len(body))], body)


def parse_query(raw: bytes) -> ListQuery:
    """The page that a query string asks for.

    Raises:
        InvalidParameter: a value that its parameter may not have.
        InvalidCursor: a cursor that no listing gave out.
    """
    try:
        pairs = parse_qsl(
            raw.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except UnicodeDecodeError:
        raise InvalidParameter("the query string is not percent-encoded UTF-8") from None
    except ValueError:
        raise InvalidParameter(f"the query string has more than {_MAX_PARAMETERS} parameters") from None
    asked = dict(pairs)
    start = ""
    if "start_after" in asked:
        start = after(asked["start_after"])
    if "cursor" in asked:
        start = max(start, decode_cursor(asked["cursor"]))
    return ListQuery(
        prefix=asked.get("prefix", ""),
        delimiter=asked.get("delimiter", ""),
        start=start,
        limit=_limit(asked.get("limit")),
        details=_flag("details", asked.get("details")),
    )


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidParameter(f"limit: a whole number from 1 to {MAX_LIMIT}")


def _flag(name: str, text: str | None) -> bool:
    if text is None:
        return False
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise InvalidParameter(f"{name}: true or false") from None
