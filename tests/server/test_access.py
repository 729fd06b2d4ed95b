"""Who may do what."""

from __future__ import annotations

import time

import pytest

from peer import Server, add_token

ROUTES = [
    ("GET", "/objects"),
    ("GET", "/objects/k"),
    ("HEAD", "/objects/k"),
    ("PUT", "/objects/k"),
    ("DELETE", "/objects/k"),
    ("GET", "/objects/%00"),
    ("POST", "/objects/delete"),
    ("POST", "/uploads"),
    ("GET", "/uploads"),
    ("GET", "/uploads/x"),
    ("DELETE", "/uploads/x"),
    ("PUT", "/uploads/x/parts/1"),
    ("POST", "/uploads/x/complete"),
    ("GET", "/usage"),
    ("GET", "/nowhere"),
]


def accepted(server: Server, token: str) -> str:
    """The token, once the server knows it."""
    deadline = time.monotonic() + 60
    while server.ask("GET", "/uploads/x", token=token).status == 401:
        assert time.monotonic() < deadline
    return token


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_valid_token_the_answer_is_always_the_same(server: Server, method: str, path: str) -> None:
    headers = [None, "", "Bearer", "Bearer ", "Bearer os_wrong", "Basic eDp5", f"Token {server.token}", "\xff"]
    answers = set()
    for header in headers:
        sent = {} if header is None else {"Authorization": header}
        answer = server.ask(method, path, b"" if method in {"PUT", "POST"} else None, sent, token=None)
        answers.add((answer.status, answer.body, answer.headers["WWW-Authenticate"]))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 401
    assert next(iter(answers))[2] == "Bearer"


def test_health_and_the_description_need_no_token(server: Server) -> None:
    for path in ("/health", "/health/ready", "/openapi.json", "/docs"):
        assert server.ask("GET", path, token=None).status == 200
    told = server.ask("GET", "/health", token=None).json
    assert (told["status"], told["service"]) == ("healthy", "objectstore")
    assert server.ask("GET", "/health/ready", token=None).json["status"] == "ready"


@pytest.mark.parametrize("scope", ["read", "write", "delete", "metrics"])
def test_each_operation_needs_its_scope(server: Server, base: str, scope: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"x")
    upload = server.json("POST", "/uploads", {"key": base + "u"}).json["upload_id"]
    token = accepted(server, add_token(server.folder / "tokens.json", f"{base}{scope}{server.port}", scopes=[scope]))
    needed = [
        ("GET", f"/objects?prefix={base}", None, "read"),
        ("GET", f"/objects/{base}k", None, "read"),
        ("HEAD", f"/objects/{base}k", None, "read"),
        ("PUT", f"/objects/{base}n", b"x", "write"),
        ("GET", "/uploads", None, "write"),
        ("GET", f"/uploads/{upload}", None, "write"),
        ("PUT", f"/uploads/{upload}/parts/1", b"x", "write"),
        ("DELETE", f"/objects/{base}k", None, "delete"),
    ]
    for method, path, body, wanted in needed:
        answer = server.ask(method, path, body, token=token)
        assert (answer.status < 300) == (scope == wanted), (method, path, answer.status)
        if scope != wanted:
            assert answer.status == 403
    copy = server.ask("PUT", f"/objects/{base}c", headers={"X-Copy-From": f"{base}n"}, token=token)
    assert copy.status == 403
    batch = server.json("POST", "/objects/delete", {"keys": []}, token=token)
    assert batch.status == (200 if scope == "delete" else 403)


def test_a_bound_token_sees_nothing_outside_its_prefixes(server: Server, base: str) -> None:
    for key in ("a/1", "a/2", "b/1", "c/1", "c/x/2"):
        server.ask("PUT", f"/objects/{base}{key}", b"x")
    bound = [base + "a/", base + "c/x"]
    token = accepted(server, add_token(server.folder / "tokens.json", base, prefixes=bound))
    for key in ("b/1", "none"):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            body = b"x" if method == "PUT" else None
            assert server.ask(method, f"/objects/{base}{key}", body, token=token).status == 403
    assert server.ask("GET", f"/objects/{base}a/1", token=token).status == 200
    assert server.ask("GET", "/objects", token=token).json["keys"] == [base + key for key in ("a/1", "a/2", "c/x/2")]
    groups = server.ask("GET", f"/objects?prefix={base}&delimiter=/", token=token).json
    assert groups["prefixes"] == [base + "a/", base + "c/"]
    copied = server.ask("PUT", f"/objects/{base}a/3", headers={"X-Copy-From": f"{base}b/1"}, token=token)
    assert copied.status == 403
    assert server.json("POST", "/uploads", {"key": base + "b/2"}, token=token).status == 403
    foreign = server.json("POST", "/uploads", {"key": base + "b/2"}).json["upload_id"]
    for method, path in [
        ("GET", f"/uploads/{foreign}"),
        ("DELETE", f"/uploads/{foreign}"),
        ("PUT", f"/uploads/{foreign}/parts/1"),
    ]:
        assert server.ask(method, path, b"x" if method == "PUT" else None, token=token).status == 403
    assert foreign not in server.ask("GET", "/uploads?limit=1000", token=token).body.decode()
