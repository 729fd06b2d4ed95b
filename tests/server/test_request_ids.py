"""Every answer names its request."""

from __future__ import annotations

import re

import pytest

from objectstore.server.observation.requestid import MOST, is_sane, new_request_id
from peer import Server


@pytest.mark.parametrize("given", [b"a", b"9f3a-2B_c.d~e:f/g+h=i@j,k", b"x" * MOST])
def test_an_id_of_usual_characters_is_sane(given: bytes) -> None:
    assert is_sane(given)


@pytest.mark.parametrize(
    "given", [b"", b"x" * (MOST + 1), b" ", b"a\nb", b"a\x1bb", b'a"b', b"a;b", b"os_Za", "ä".encode()]
)
def test_what_logs_or_headers_could_misread_is_not(given: bytes) -> None:
    assert not is_sane(given)


def test_ids_that_are_made_are_sane_and_differ() -> None:
    made = [new_request_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(map(is_sane, made))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/objects", 200),
        ("GET", "/objects/request-ids/none", 404),
        ("HEAD", "/objects/request-ids/none", 404),
        ("POST", "/objects/request-ids/none", 405),
        ("GET", "/uploads/none", 404),
        ("DELETE", "/health", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/openapi.json", 200),
    ],
)
def test_every_answer_returns_the_id_that_was_sent(server: Server, method: str, path: str, status: int) -> None:
    answer = server.ask(method, path, headers={"X-Request-Id": "mine-1"})
    assert (answer.status, answer.headers.get_all("X-Request-Id")) == (status, ["mine-1"])


@pytest.mark.parametrize("path", ["/objects", "/uploads", "/metrics"])
def test_a_refusal_has_an_id_of_the_server(server: Server, path: str) -> None:
    answer = server.ask("GET", path, headers={"X-Request-Id": "no good; id"}, token=None)
    assert answer.status == 401
    assert re.fullmatch("[0-9a-f]{12}-[0-9a-f]+", answer.headers["X-Request-Id"])
