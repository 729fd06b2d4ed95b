"""What is described is what is served."""

from __future__ import annotations

import pytest

from peer import Server


def described(server: Server) -> dict[str, dict[str, object]]:
    paths: dict[str, dict[str, object]] = server.ask("GET", "/openapi.json", token=None).json["paths"]
    return paths


def test_every_path_of_the_contract_is_described(server: Server) -> None:
    operations = {
        (method.upper(), path)
        for path, item in described(server).items()
        for method in item
        if method in {"get", "head", "put", "post", "delete", "patch"}
    }
    assert operations == {
        ("GET", "/objects"),
        ("HEAD", "/objects"),
        ("GET", "/objects/{key}"),
        ("HEAD", "/objects/{key}"),
        ("PUT", "/objects/{key}"),
        ("DELETE", "/objects/{key}"),
        ("POST", "/objects/delete"),
        ("POST", "/uploads"),
        ("GET", "/uploads"),
        ("GET", "/uploads/{upload_id}"),
        ("DELETE", "/uploads/{upload_id}"),
        ("PUT", "/uploads/{upload_id}/parts/{n}"),
        ("POST", "/uploads/{upload_id}/complete"),
        ("POST", "/links"),
        ("GET", "/usage"),
        ("GET", "/health"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }


def test_every_answer_is_described_with_the_id_of_its_request(server: Server) -> None:
    for item in described(server).values():
        for method, operation in item.items():
            if method != "parameters":
                assert isinstance(operation, dict)
                assert all("X-Request-Id" in response["headers"] for response in operation["responses"].values())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"])
def test_a_method_is_served_exactly_when_it_is_described(server: Server, method: str) -> None:
    examples = {"key": "described", "upload_id": "x", "n": "1"}
    for path, item in described(server).items():
        if path == "/objects/delete" and method != "POST":
            continue  # for all other methods it is the object "delete"
        asked = path.format(**examples)
        answer = server.ask(method, asked, b"{}" if method in {"PUT", "POST", "PATCH"} else None)
        served = answer.status != 405 and not (answer.status == 404 and "no_such_path" in answer.body.decode())
        assert served == (method.lower() in item), (method, path, answer.status)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/objects", "GET, HEAD"),
        ("/objects/k", "GET, HEAD, PUT, DELETE"),
        ("/objects/delete", "GET, HEAD, PUT, DELETE, POST"),
        ("/uploads", "GET, POST"),
        ("/uploads/x", "DELETE, GET"),
        ("/uploads/x/parts/1", "PUT"),
        ("/health", "GET"),
    ],
)
def test_allow_names_every_method_of_a_path(server: Server, path: str, allowed: str) -> None:
    answer = server.ask("OPTIONS", path)
    assert answer.status == 405
    assert sorted(answer.headers["Allow"].split(", ")) == sorted(allowed.split(", "))
