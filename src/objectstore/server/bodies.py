"""JSON that comes in: nothing that two readers could take differently, and nothing without bounds.

The framework's own reading lets the last of two members of one name win, knows numbers that JSON does not have, and
collects an error for each member that is too many: half a million of them took seconds and hundreds of megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from objectstore.errors import BadRequest

MAX_MEMBERS: Final = 8192  # of one object: as many as there are bytes for metadata
MAX_ITEMS: Final = 10_000  # of one list: as many as an upload has parts


def parse_body(body: bytes) -> Any:
    """The value that a body is.

    Raises:
        BadRequest: it is not JSON in UTF-8, or has what no request needs: members of one name, NaN, numbers of
            thousands of digits, and depths or lengths without reason.
    """
    try:
        told = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8, which JSON is written in") from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply") from None
    except ValueError:
        raise BadRequest("a number in the JSON has too many digits") from None
    lists = told.values() if isinstance(told, dict) else [told]
    if any(isinstance(one, list) and len(one) > MAX_ITEMS for one in lists):
        raise BadRequest(f"a list in the JSON has more than {MAX_ITEMS} items")
    return told


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_MEMBERS:
        raise BadRequest(f"an object in the JSON has more than {MAX_MEMBERS} members")
    members = dict(pairs)
    if len(members) < len(pairs):
        raise BadRequest(
            f"an object in the JSON has two members of one name, among {', '.join(list(members)[:5])[:80]}"
        )
    return members


def _no_number(name: str) -> NoReturn:
    raise BadRequest(f"JSON has no number {name}")


class _Request(Request):
    async def json(self) -> Any:
        return parse_body(await self.body())


class JsonRoute(APIRoute):
    """A route that reads its JSON so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive, request._send))  # noqa: SLF001  all that it has

        return handle_strictly
