"""What the data plane serves, in OpenAPI: the framework knows only the routes it serves itself."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from objectstore.server.schemas import Error, Page, Record
from objectstore.wire.links import PARAMETER

_REASONS: Final = {
    304: "Not modified",
    400: "The request breaks a rule; the code says which",
    401: "No valid token",
    403: "The token does not allow this",
    404: "There is no such object or upload",
    405: "Not a method for this path",
    408: "The body did not come in time",
    411: "The length of the body must be announced",
    412: "A condition does not hold",
    413: "Too large",
    416: "The range selects nothing",
    422: "A parameter is outside what it may be",
    429: "Too many requests",
    500: "The server failed",
    501: "This store cannot do that",
    503: "The store is away or overloaded; try again after `Retry-After` seconds",
    507: "No room",
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{"token": []}]
_OR_LINK: Final[list[dict[str, list[str]]]] = [*_SECURITY, {"link": []}]
_ERROR_CODE: Final = {"description": "the code of the error", "schema": {"type": "string"}}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may fail with these statuses."""
    return {
        status: {"model": Error, "description": _REASONS[status], "headers": _failure_headers(status)}
        for status in statuses
    }


def describe_objects(document: dict[str, Any]) -> dict[str, Any]:
    """`document` with the operations of the data plane and their schemas added."""
    _, schemas = models_json_schema(
        [(model, "serialization") for model in (Record, Page, Error)], ref_template="#/components/schemas/{model}"
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas["$defs"])
    components.setdefault("securitySchemes", {})["link"] = {
        "type": "apiKey",
        "in": "query",
        "name": PARAMETER,
        "description": "what `POST /links` adds to the URL of an object",
    }
    described = {"/objects": _listing_path(), "/objects/{key}": _object_path()}
    document["paths"] = described | document["paths"]
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method != "parameters":
                if "401" in operation["responses"]:
                    _add_limits(operation["responses"], method)
                _add_request_id(operation)
    return document


def _add_limits(responses: dict[str, Any], method: str) -> None:
    """Whatever needs a token may be refused for coming too often, and tells how much is left when there is a limit."""
    body = method != "head"
    for status in (408, 429, 503) if method in {"put", "post"} else (429, 503):
        responses.setdefault(str(status), _failure(status, body=body))
    for code, response in responses.items():
        if code != "401":
            response.setdefault("headers", {}).update(_RATE_HEADERS)


def _add_request_id(operation: dict[str, Any]) -> None:
    given = _parameter("X-Request-Id", "a name for this request; without a usable one it is given one")
    operation.setdefault("parameters", []).append(given)
    for response in operation["responses"].values():
        response.setdefault("headers", {})["X-Request-Id"] = _header("the name of the request, as in the logs")


def methods_of(document: dict[str, Any], path: str) -> tuple[str, ...]:
    """The methods that are described for what `path` leads to."""
    return tuple(
        method.upper()
        for template, operations in document["paths"].items()
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path)
        for method in operations
        if method != "parameters"
    )


def _object_path() -> dict[str, Any]:
    return {
        "parameters": [
            {
                "name": "key",
                "in": "path",
                "required": True,
                "description": "1 to 1024 bytes of UTF-8 without NUL, percent-encoded; `/` may stand as it is",
                "schema": {"type": "string", "minLength": 1, "maxLength": 1024},
            }
        ],
        "get": _get_object(),
        "head": _head_object(),
        "put": _put_object(),
        "delete": _delete_object(),
    }


def _get_object() -> dict[str, Any]:
    return _operation(
        "get_object",
        "Read an object, or ranges of it",
        {
            "200": _bytes("The object", _object_headers()),
            "206": _bytes(
                "The range, or several as `multipart/byteranges`",
                _object_headers() | {"Content-Range": _header("which bytes these are (not with several ranges)")},
            ),
            "304": {"description": _REASONS[304], "headers": _validators()},
        },
        failing=(400, 401, 403, 404, 412, 416, 500, 501, 503),
        parameters=[_parameter("Range", "one range or several, as in `bytes=0-99`"), *_conditions(), _if_range()],
        security=_OR_LINK,
    )


def _head_object() -> dict[str, Any]:
    return _operation(
        "head_object",
        "What is known of an object",
        {
            "200": {"description": "All headers of GET", "headers": _object_headers()},
            "304": {"description": _REASONS[304], "headers": _validators()},
        },
        failing=(400, 401, 403, 404, 412, 500, 501, 503),
        parameters=_conditions(),
        body=False,
        security=_OR_LINK,
    )


def _put_object() -> dict[str, Any]:
    return _operation(
        "put_object",
        "Store an object, or copy one",
        {"200": _json("The record of the stored object", "Record", {"ETag": _header("the new entity tag")})},
        failing=(400, 401, 403, 404, 412, 413, 500, 501, 503, 507),
        parameters=[
            *_conditions()[:2],
            _parameter("X-Copy-From", "key of the object to copy, percent-encoded; then there is no body"),
            _parameter("Content-Encoding", "kept, and sent with the object"),
            _parameter("Content-Disposition", "kept, and sent with the object"),
            _parameter("Content-Language", "kept, and sent with the object"),
            _parameter("Cache-Control", "kept, and sent with the object"),
            _parameter("Content-Digest", "sha-256 of the body (RFC 9530), verified before anything is visible"),
            _parameter("Repr-Digest", "like Content-Digest"),
            _parameter("Content-MD5", "MD5 of the body in Base64, verified before anything is visible"),
        ],
        security=_OR_LINK,
        extra={
            "description": "Every header `X-Object-Meta-NAME` is kept as metadata; with the other kept headers "
            "they have 8 KiB at most, and 64 entries of metadata.",
            "requestBody": {"required": False, "content": {"*/*": {"schema": {}}}},
        },
    )


def _delete_object() -> dict[str, Any]:
    return _operation(
        "delete_object",
        "Delete an object",
        {"204": {"description": "It is gone"}},
        failing=(400, 401, 403, 404, 412, 500, 501, 503),
        parameters=_conditions()[:1],
    )


def _listing_path() -> dict[str, Any]:
    parameters = [
        _query("prefix", {"type": "string"}, "leading characters of the keys"),
        _query("delimiter", {"type": "string"}, "keys that share what comes before it, after the prefix, are grouped"),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "keys and groups a page"),
        _query("cursor", {"type": "string"}, "`next_cursor` of the page before"),
        _query("start_after", {"type": "string"}, "only keys greater than this one"),
        _query("details", {"type": "boolean", "default": False}, "with the record of each key"),
    ]
    listing: dict[str, dict[str, Any]] = {"200": _json("One page", "Page", {})}
    failing = (400, 401, 403, 422, 500, 501, 503)
    return {
        "get": _operation("list_objects", "List keys", listing, failing=failing, parameters=parameters),
        "head": _operation(
            "head_objects",
            "Whether keys can be listed",
            {"200": {"description": "As GET, without the page"}},
            failing=failing,
            parameters=parameters,
            body=False,
        ),
    }


def _operation(
    name: str,
    summary: str,
    success: dict[str, dict[str, Any]],
    *,
    failing: tuple[int, ...],
    parameters: list[dict[str, Any]],
    body: bool = True,
    security: list[dict[str, list[str]]] = _SECURITY,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    responses = success | {str(status): _failure(status, body=body) for status in failing}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["objects"],
        "security": security,
        "parameters": parameters,
        "responses": responses,
        **(extra or {}),
    }


def _failure(status: int, *, body: bool) -> dict[str, Any]:
    failure: dict[str, Any] = {"description": _REASONS[status], "headers": _failure_headers(status)}
    if body:
        failure["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return failure


def _failure_headers(status: int) -> dict[str, Any]:
    headers = {"X-Error-Code": _ERROR_CODE}
    if status == 401:
        headers["WWW-Authenticate"] = _header("`Bearer`")
    elif status in {408, 429, 503}:
        headers["Retry-After"] = _header("whole seconds")
    elif status == 416:
        headers["Content-Range"] = _header("`bytes */SIZE`")
    return headers


def _object_headers() -> dict[str, Any]:
    return _validators() | {
        "X-Created-At": _header("when the key was first written since it was last absent (RFC 3339)"),
        "X-Modified-At": _header("as Last-Modified, with the fraction of the second (RFC 3339)"),
        "Content-Length": _header("bytes"),
        "Content-Type": _header("as stored"),
        "Accept-Ranges": _header("`bytes`"),
        "Repr-Digest": _header("sha-256 of the whole object (RFC 9530), when it is known"),
        "Content-Encoding": _header("as stored"),
        "Content-Disposition": _header("as stored"),
        "Content-Language": _header("as stored"),
        "X-Content-Type-Options": _header("`nosniff`"),
        "Content-Security-Policy": _header("`sandbox`"),
    }


def _validators() -> dict[str, Any]:
    return {
        "ETag": _header("strong entity tag; another one after every write"),
        "Last-Modified": _header("when it was written"),
        "Cache-Control": _header("as stored"),
    }


def _conditions() -> list[dict[str, Any]]:
    return [
        _parameter("If-Match", "only if the object has one of these entity tags; `*`: only if there is one"),
        _parameter("If-None-Match", "only if the object has none of these entity tags; `*`: only if there is none"),
        _parameter("If-Modified-Since", "only if written after this time"),
        _parameter("If-Unmodified-Since", "only if not written after this time"),
    ]


def _if_range() -> dict[str, Any]:
    return _parameter("If-Range", "the range only if the object still has this entity tag or date, else all of it")


def _parameter(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


_RATE_HEADERS: Final = {
    "RateLimit-Policy": _header('what the token may, when it is limited, as in `"100/second";q=100;w=1`'),
    "RateLimit": _header('what is left of that, and seconds until there is more, as in `"100/second";r=7;t=1`'),
}


def _bytes(description: str, headers: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "headers": headers, "content": {"*/*": {"schema": {}}}}


def _json(description: str, model: str, headers: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}
