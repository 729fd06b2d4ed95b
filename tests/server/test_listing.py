"""Listing over HTTP: pages, groups, cursors, parameters."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from peer import Answer, Server


def ask(server: Server, **parameters: str) -> Answer:
    return server.ask("GET", "/objects?" + urlencode(parameters))


def fill(server: Server, base: str, *keys: str) -> None:
    for key in keys:
        assert server.ask("PUT", f"/objects/{quote(base + key)}", key.encode()).status == 200


def test_a_page_has_keys_and_tells_of_more(server: Server, base: str) -> None:
    fill(server, base, "a", "b", "c")
    first = ask(server, prefix=base, limit="2").json
    assert first["keys"] == [base + "a", base + "b"]
    assert first["has_more"] is True
    second = ask(server, prefix=base, limit="2", cursor=first["next_cursor"]).json
    assert second == {"keys": [base + "c"], "next_cursor": None, "has_more": False}


def test_keys_come_in_the_order_of_their_bytes(server: Server, base: str) -> None:
    keys = ["Z", "a", "a!", "a/", "a0", "é", "\ufffd", "🙂"]
    fill(server, base, *reversed(keys))
    assert ask(server, prefix=base).json["keys"] == [base + key for key in keys]


def test_a_cursor_survives_deletes_and_inserts(server: Server, base: str) -> None:
    fill(server, base, "b", "d", "f")
    first = ask(server, prefix=base, limit="1").json
    server.ask("DELETE", f"/objects/{base}b")
    fill(server, base, "a", "c")
    rest = ask(server, prefix=base, cursor=first["next_cursor"]).json
    assert rest["keys"] == [base + key for key in ("c", "d", "f")]


def test_groups_count_and_are_shown_once(server: Server, base: str) -> None:
    fill(server, base, "a", "d/1", "d/2", "e/1", "z")
    found: list[str] = []
    parameters = {"prefix": base, "delimiter": "/", "limit": "1"}
    while True:
        page = ask(server, **parameters).json
        found += page["keys"] + page["prefixes"]
        assert len(page["keys"]) + len(page["prefixes"]) == 1
        if not page["has_more"]:
            break
        parameters["cursor"] = page["next_cursor"]
    assert found == [base + name for name in ("a", "d/", "e/", "z")]


def test_details_are_the_records(server: Server, base: str) -> None:
    record = server.ask("PUT", f"/objects/{base}k", b"x", {"X-Object-Meta-A": "1"}).json
    page = ask(server, prefix=base, details="true").json
    assert page["objects"] == [record]


def test_start_after_leaves_its_key_out(server: Server, base: str) -> None:
    fill(server, base, "a", "b", "c")
    assert ask(server, prefix=base, start_after=base + "a").json["keys"] == [base + "b", base + "c"]


def test_listing_an_empty_prefix_gives_an_empty_page(server: Server, base: str) -> None:
    assert ask(server, prefix=base + "none").json == {"keys": [], "next_cursor": None, "has_more": False}


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"limit": "0"}, 422, "invalid_parameter"),
        ({"limit": "1001"}, 422, "invalid_parameter"),
        ({"limit": "x"}, 422, "invalid_parameter"),
        ({"limit": ""}, 422, "invalid_parameter"),
        ({"limit": "1" * 5000}, 422, "invalid_parameter"),
        ({"details": "maybe"}, 422, "invalid_parameter"),
        ({"cursor": "rubbish"}, 400, "invalid_cursor"),
        ({"cursor": ""}, 400, "invalid_cursor"),
        ({"cursor": "é"}, 400, "invalid_cursor"),
    ],
)
def test_a_bad_parameter_is_refused(server: Server, parameters: dict[str, str], status: int, code: str) -> None:
    answer = ask(server, **parameters)
    assert (answer.status, answer.code) == (status, code)


def test_a_query_that_is_not_utf8_is_refused(server: Server) -> None:
    assert server.ask("GET", "/objects?prefix=%FF").status == 422
    assert server.ask("GET", "/objects?" + "a=1&" * 1000).status == 422


def test_head_of_a_listing_has_no_body(server: Server) -> None:
    answer = server.ask("HEAD", "/objects")
    assert (answer.status, answer.body) == (200, b"")


def test_other_methods_are_not_allowed(server: Server) -> None:
    answer = server.ask("DELETE", "/objects")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
