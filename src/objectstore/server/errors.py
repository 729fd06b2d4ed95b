"""Errors of the framework and of ours → the one shape of the contract."""

from __future__ import annotations

import logging
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from objectstore.errors import BadRequest, InternalError, InvalidParameter, MethodNotAllowed, ObjectStoreError
from objectstore.server.description import methods_of
from objectstore.server.exchange import BROKEN_BODY, ClientGone
from objectstore.server.trouble import log_trouble
from objectstore.wire.errors import format_error
from objectstore.wire.records import JSON, dump

_log: Final = logging.getLogger("objectstore.server")


def install_handlers(app: FastAPI) -> None:
    """Make every failure of `app` an answer of the contract's shape."""
    app.add_exception_handler(ObjectStoreError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientGone, _broken_off)
    app.add_exception_handler(Exception, _unforeseen)


def response_of(error: ObjectStoreError) -> Response:
    status, fields, body = format_error(error)
    response = Response(body, status)
    response.raw_headers = list(fields)
    return response


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, ObjectStoreError)  # noqa: S101  the type it is registered for
    log_trouble(request.method, error)
    return response_of(error)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  the type it is registered for
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return response_of(BadRequest("the body is not JSON"))
    # Where and why, but not the value: it may be large, and it may be anything.
    told = "; ".join(f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in error.errors()[:5])
    return response_of(InvalidParameter(told))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  the type it is registered for
    if error.status_code == 405:
        # The framework names the methods of the first route alone.
        allowed = methods_of(request.app.openapi(), request.url.path)
        return response_of(MethodNotAllowed(f"{request.method} is not for this path", allowed))
    if error.status_code == 404:
        code, message = "no_such_path", "there is nothing at this path; objects are under /objects/"
        body = dump({"error": {"code": code, "message": message}})
        return Response(body, 404, {"x-error-code": code}, JSON.decode())
    if isinstance(error.__cause__, ObjectStoreError):
        # The framework takes whatever happens while it reads JSON for a fault of the JSON.
        return response_of(error.__cause__)
    return response_of(BadRequest(str(error.detail)))


def _broken_off(_: Request, __: Exception) -> Response:
    return response_of(BROKEN_BODY)


def _unforeseen(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed unforeseen", request.method, request.url.path, exc_info=error)
    return response_of(InternalError("the server failed; its log says how"))
