"""Browsers on pages of other origins: let in by setting only, and then with no less than a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from objectstore.server.cors import EXPOSED
from peer import Answer, Server, running
from server.logged import logged

PAGE = "https://app.example.org"
PATHS = ["/objects/k", "/objects", "/uploads", "/links", "/health", "/nowhere"]  # of both planes


@pytest.fixture(scope="module")
def open_to_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("cors")
    # This server sends files by their names, which has to pass what stands around it.
    with running(folder, "granian", environment={"CORS_ORIGINS": f"http://localhost:5173, {PAGE}"}) as server:
        server.ask("PUT", "/objects/k", b"0123456789", {"X-Object-Meta-Site": "north"})
        yield server


def preflight(server: Server, path: str, origin: str = PAGE, method: str = "PUT") -> Answer:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,if-match,x-object-meta-site",
    }
    return server.ask("OPTIONS", path, None, asked, token=None)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_a_preflight_needs_no_token_and_allows_what_the_contract_has(
    open_to_pages: Server, path: str, method: str
) -> None:
    answer = preflight(open_to_pages, path, method=method)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert method in answer.headers["Access-Control-Allow-Methods"]
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "x-object-meta-site" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Credentials"] is None
    assert "Origin" in answer.headers["Vary"]


def test_another_origin_or_method_is_refused_in_the_shape_of_all_errors(open_to_pages: Server) -> None:
    for answer in (
        preflight(open_to_pages, "/objects/k", "https://evil.example.org"),
        preflight(open_to_pages, "/objects/k", "null"),
        preflight(open_to_pages, "/objects/k", f"{PAGE}.evil.org"),
        preflight(open_to_pages, "/objects/k", method="PATCH"),
    ):
        assert (answer.status, answer.code) == (400, "bad_request")
        assert answer.headers["Access-Control-Allow-Origin"] is None
        assert "CORS_ORIGINS" in answer.json["error"]["message"]
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(("origin", "status"), [(PAGE, 200), ("https://evil.example.org", 400)])
def test_a_preflight_has_an_id_and_a_line_in_the_log_as_every_request(
    open_to_pages: Server, origin: str, status: int
) -> None:
    answer = preflight(open_to_pages, "/objects/k", origin)
    assert answer.status == status
    (request_id,) = answer.headers.get_all("X-Request-Id") or [""]
    told = logged(open_to_pages.folder, request_id, "objectstore.access")
    assert (told["method"], told["path"], told["status"]) == ("OPTIONS", "/objects/k", status)
    assert told["error"] == (None if status == 200 else "bad_request")
    assert told["token"] is None


@pytest.mark.parametrize("path", PATHS)
def test_a_page_may_read_what_its_token_may_and_refusals_too(open_to_pages: Server, path: str) -> None:
    for token in ("", None):
        answer = open_to_pages.ask("GET", path, None, {"Origin": PAGE}, token=token)
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert set(EXPOSED) == set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        assert "Origin" in answer.headers["Vary"]
        assert answer.status != 401 if token == "" or path == "/health" else answer.status == 401
    without = open_to_pages.ask("GET", path)
    assert without.headers["Access-Control-Allow-Origin"] is None
    assert without.headers["Vary"] == "Origin"
    other = open_to_pages.ask("GET", path, None, {"Origin": "https://evil.example.org"})
    assert other.headers["Access-Control-Allow-Origin"] is None


def test_bodies_and_ranges_pass_unharmed(open_to_pages: Server) -> None:
    part = open_to_pages.ask("GET", "/objects/k", None, {"Origin": PAGE, "Range": "bytes=2-4"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    large = bytes(range(256)) * 4096
    assert open_to_pages.ask("PUT", "/objects/large", large, {"Origin": PAGE}).status == 200
    assert open_to_pages.ask("GET", "/objects/large", None, {"Origin": PAGE}).body == large


def test_every_origin_may_be_let_in(tmp_path: Path) -> None:
    with running(tmp_path, environment={"CORS_ORIGINS": "*"}) as server:
        assert preflight(server, "/objects/k", "null").headers["Access-Control-Allow-Origin"] == "*"
        answer = server.ask("GET", "/objects", None, {"Origin": "https://anybody.example.org"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert server.ask("GET", "/objects", None, {"Origin": PAGE}, token=None).status == 401


def test_nobody_is_let_in_unless_the_setting_says_so(server: Server) -> None:
    assert preflight(server, "/objects/k").status == 401
    answer = server.ask("GET", "/objects", None, {"Origin": PAGE})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["Vary"] is None


def test_the_headers_that_are_exposed_are_those_of_the_description(server: Server) -> None:
    document = server.ask("GET", "/openapi.json", token=None).json
    described = {
        name
        for item in document["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        for response in operation["responses"].values()
        for name in response.get("headers", {})
    }
    # Scripts may always read these; and of the others there is nothing to learn.
    always = {"Cache-Control", "Content-Language", "Content-Type", "Last-Modified"}
    guards = {"X-Content-Type-Options", "Content-Security-Policy"}
    assert described - always - guards <= set(EXPOSED)
