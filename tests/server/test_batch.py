"""Deleting many objects with one request."""

from __future__ import annotations

import pytest

from peer import Server, add_token


def test_each_key_is_deleted_or_has_its_error(server: Server, base: str) -> None:
    for name in ("a", "b"):
        server.ask("PUT", f"/objects/{base}{name}", b"x")
    keys = [base + "a", base + "none", base + "b", base + "a", "", "x\0"]
    answer = server.json("POST", "/objects/delete", {"keys": keys})
    assert answer.status == 200
    assert answer.json["deleted"] == [base + "a", base + "b"]
    assert {(one["key"], one["code"]) for one in answer.json["errors"]} == {
        (base + "none", "not_found"),
        ("", "invalid_key"),
        ("x\0", "invalid_key"),
    }
    assert server.ask("GET", f"/objects?prefix={base}").json["keys"] == []


def test_a_bound_token_deletes_only_its_own(server: Server, base: str) -> None:
    token = add_token(server.folder / "tokens.json", base, scopes=["delete"], prefixes=[base + "mine/"])
    server.ask("PUT", f"/objects/{base}mine/a", b"x")
    server.ask("PUT", f"/objects/{base}other", b"x")
    keys = [base + "mine/a", base + "other"]
    while (answer := server.json("POST", "/objects/delete", {"keys": keys}, token=token)).status == 401:
        pass  # the server looks at the file twice a second
    assert answer.json["deleted"] == [base + "mine/a"]
    assert [(one["key"], one["code"]) for one in answer.json["errors"]] == [(base + "other", "forbidden")]
    assert server.ask("HEAD", f"/objects/{base}other").status == 200


def test_a_thousand_keys_at_most(server: Server) -> None:
    assert server.json("POST", "/objects/delete", {"keys": ["k"] * 1000}).status == 200
    answer = server.json("POST", "/objects/delete", {"keys": ["k"] * 1001})
    assert (answer.status, answer.code) == (422, "invalid_parameter")


def test_what_is_not_the_json_asked_for_is_refused(server: Server) -> None:
    json = {"Content-Type": "application/json"}
    assert server.ask("POST", "/objects/delete", b"{", json).code == "bad_request"
    assert server.ask("POST", "/objects/delete", b"\xff", json).status in {400, 422}
    values: list[object] = [{}, [], {"keys": "a"}, {"keys": [1]}, {"keys": [], "more": 1}]
    for value in values:
        assert server.json("POST", "/objects/delete", value).code == "invalid_parameter"


@pytest.mark.parametrize(
    ("length", "body", "status"),
    [
        (b"Transfer-Encoding: chunked", b'b\r\n{"keys":[]}\r\n0\r\n\r\n', b"411"),
        (b"Content-Length: 999999999", b"{", b"413"),
    ],
    ids=["unknown", "enormous"],
)
def test_json_of_unknown_or_enormous_length_is_not_read(
    server: Server, length: bytes, body: bytes, status: bytes
) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /objects/delete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\n%b\r\n\r\n%b" % (server.token.encode(), length, body)
        )
        assert connection.recv(1000).split()[1] == status


def test_an_object_may_be_called_delete(server: Server) -> None:
    assert server.ask("PUT", "/objects/delete", b"x").status == 200
    assert server.ask("GET", "/objects/delete").body == b"x"
    assert server.ask("DELETE", "/objects/delete").status == 204
