"""The lean way to `/objects`: an ASGI callable in front of the FastAPI application.

It exists for speed alone: a route of the framework costs several times what serving a small object does.
Every rule it keeps is the shared one of `core`, `wire` and `auth`; `description.py` puts its operations into
the same OpenAPI document.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from objectstore.auth.scopes import Credential
from objectstore.errors import InternalError, MethodNotAllowed, ObjectStoreError
from objectstore.server.admission import Admission
from objectstore.server.exchange import ClientGone, Exchange
from objectstore.server.listing import list_objects
from objectstore.server.objects import copy_object, delete_object, get_object, head_object, put_object
from objectstore.server.service import Service
from objectstore.server.trouble import log_trouble
from objectstore.wire.errors import rule_of
from objectstore.wire.headers import COPY_FROM

Operation: TypeAlias = Callable[[Service, Exchange, Credential], Awaitable[None]]

_log: Final = logging.getLogger("objectstore.server")

LISTING: Final = "/objects"
OBJECT: Final = "/objects/{key}"
_ROOT: Final = b"/objects"
_BATCH_DELETE: Final = b"/objects/delete"
_LISTING_METHODS: Final = ("GET", "HEAD")
_OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET": get_object,
    "HEAD": head_object,
    "PUT": put_object,
    "DELETE": delete_object,
}


def serves(method: str, raw_path: bytes) -> bool:
    """Whether a request is for the data plane."""
    if not raw_path.startswith(_ROOT) or raw_path[len(_ROOT) : len(_ROOT) + 1] not in {b"", b"/"}:
        return False
    # A key "delete" takes all other methods.
    return not (method == "POST" and raw_path == _BATCH_DELETE)


class DataPlane:
    """Serves objects and their listing."""

    def __init__(self, service: Service, admission: Admission) -> None:
        self._service = service
        self._admission = admission

    async def __call__(self, exchange: Exchange) -> None:
        exchange.route = LISTING if exchange.raw_path == _ROOT else OBJECT
        try:
            exchange.parse_fields()
            credential = await self._admission.admit(exchange)
            exchange.admitted = True
            await _operation_of(exchange)(self._service, exchange, credential)
        except ObjectStoreError as error:
            if exchange.started:
                # The status is out: only a cut connection can still say that the body is not whole.
                _log.error("a response had to be cut: %s", error)
                exchange.error = rule_of(error).code
                raise
            if exchange.admitted:
                log_trouble(exchange.method, error)
            await exchange.refuse(error)
            if exchange.method == "PUT":
                await exchange.drain()
        except ClientGone:
            _log.debug("a client went away during %s", exchange.method)
            if not exchange.started:
                await exchange.refuse_broken_body()
        except Exception:
            _log.exception("%s failed unforeseen", exchange.method)
            if exchange.started:
                exchange.error = "internal_error"
                raise
            await exchange.refuse(InternalError("the server failed; its log says how"))


def _operation_of(exchange: Exchange) -> Operation:
    """What a request asks for. Raises MethodNotAllowed."""
    method = exchange.method
    if exchange.raw_path == _ROOT:
        if method in _LISTING_METHODS:
            return list_objects
        raise MethodNotAllowed(f"{method} is not for listings", _LISTING_METHODS)
    if COPY_FROM in exchange.fields and method == "PUT":
        return copy_object
    operation = _OPERATIONS.get(method)
    if operation is None:
        also = ("POST",) if exchange.raw_path == _BATCH_DELETE else ()
        raise MethodNotAllowed(f"{method} is not for objects", (*_OPERATIONS, *also))
    return operation
