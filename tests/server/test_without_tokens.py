"""Nothing but health and the description is served to who has no token: every path that there is, is tried."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.config.settings import load_settings
from objectstore.server.application import Application
from objectstore.server.assembly import assemble
from objectstore.server.publicpaths import DESCRIPTION_PATHS
from peer import Answer, Server

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND")
PUBLIC = {("GET", "/health"), ("GET", "/health/ready")} | {("GET", path) for path in DESCRIPTION_PATHS}
BODIES: dict[str, object] = {
    "/objects/delete": {"keys": ["k"]},
    "/uploads": {"key": "k"},
    "/uploads/{upload_id}/complete": {"parts": []},
    "/links": {"key": "k"},
}
# What an operation takes besides a token that is valid; the one for /usage is its bearer's own.
NEEDED = {
    ("GET", "/objects"): "read",
    ("HEAD", "/objects"): "read",
    ("GET", "/objects/{key}"): "read",
    ("HEAD", "/objects/{key}"): "read",
    ("PUT", "/objects/{key}"): "write",
    ("DELETE", "/objects/{key}"): "delete",
    ("POST", "/objects/delete"): "delete",
    ("POST", "/uploads"): "write",
    ("GET", "/uploads"): "write",
    ("GET", "/uploads/{upload_id}"): "write",
    ("DELETE", "/uploads/{upload_id}"): "write",
    ("PUT", "/uploads/{upload_id}/parts/{n}"): "write",
    ("POST", "/uploads/{upload_id}/complete"): "write",
    ("POST", "/links"): "read",
    ("GET", "/metrics"): "metrics",
}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    folder = tmp_path_factory.mktemp("application")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(folder / "data"))
        patch.setenv("AUTH_TOKENS_FILE", str(folder / "tokens.json"))
        built = assemble(load_settings())
    assert isinstance(built, Application)
    return built


def operations(application: Application) -> set[tuple[str, str]]:
    """All that the description has, and all that the router has."""
    described = {
        (method.upper(), path)
        for path, item in application.framework().openapi()["paths"].items()
        for method in item
        if method != "parameters"
    }
    routed = {
        (method, route.path)
        for route in application.framework().routes
        if isinstance(route, Route | APIRoute)
        for method in route.methods or ()
    }
    return described | routed


def send(server: Server, operation: tuple[str, str], token: str | None) -> Answer:
    method, template = operation
    path = template.format(key="without", upload_id="x", n="1")
    headers = {}
    body = None
    if method in {"PUT", "POST", "PATCH"}:
        body = json.dumps(BODIES.get(template, {})).encode()
        headers["Content-Type"] = "application/json"
    return server.ask(method, path, body, headers, token=token)


@pytest.fixture(scope="module")
def expired(server: Server) -> str:
    tokens = TokenFile(server.folder / "tokens.json")
    past = datetime.now(UTC) - timedelta(days=2)
    return tokens.add("long ago", scopes=["read", "write", "delete", "metrics"], now=past, ttl=timedelta(days=1))


def test_what_is_served_is_described_but_for_the_description_itself(application: Application) -> None:
    described = set(application.framework().openapi()["paths"])
    assert {path for _, path in operations(application)} - described == DESCRIPTION_PATHS
    assert {(method, path) for method, path in operations(application) if path in described} == (
        NEEDED.keys() | {("GET", "/usage"), ("GET", "/health"), ("GET", "/health/ready")}
    )


def test_nothing_else_is_served_without_a_valid_token(application: Application, server: Server, expired: str) -> None:
    paths = {path for _, path in operations(application)} | {
        "/",
        "/nowhere",
        "/objects/",
        "/docs/",
        "/health/x",
        "/tokens.json",
    }
    for path in sorted(paths):
        for method in METHODS:
            if (method, path) in PUBLIC:
                assert send(server, (method, path), None).status == 200
                continue
            answers = [send(server, (method, path), token) for token in (None, "os_wrong", expired)]
            public = path in {one for _, one in PUBLIC}
            for answer in answers:
                # Of what is public, other methods are told of, and their HEAD is as good as their GET.
                assert answer.status in ({200, 405} if public else {401}), (method, path, answer.status)
                if not public:
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert len({answer.body for answer in answers}) == 1, (method, path)


def test_every_operation_needs_its_scope_and_no_other_will_do(server: Server) -> None:
    file = TokenFile(server.folder / "tokens.json")
    lifetime = timedelta(days=1)
    tokens = {scope: file.add(f"only {scope}", scopes=[scope], now=datetime.now(UTC), ttl=lifetime) for scope in SCOPES}
    deadline = time.monotonic() + 60
    while server.ask("GET", "/usage", token=tokens["metrics"]).status == 401:
        assert time.monotonic() < deadline
    for operation, needed in NEEDED.items():
        for scope, token in tokens.items():
            status = send(server, operation, token).status
            assert (status == 403) == (scope != needed), (operation, scope, status)


def test_a_link_opens_no_other_operation(application: Application, server: Server) -> None:
    value = server.json("POST", "/links", {"key": "without"}).json["path"].partition("?")[2]
    for method, template in sorted(operations(application)):
        path = template.format(key="without", upload_id="x", n="1")
        if (method, path) in {("GET", "/objects/without"), ("HEAD", "/objects/without")} or path in {
            one for _, one in PUBLIC
        }:
            continue
        body = b"{}" if method in {"PUT", "POST"} else None
        assert server.ask(method, f"{path}?{value}", body, token=None).status == 401, (method, path)
