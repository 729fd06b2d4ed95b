"""JSON that no honest client sends."""

from __future__ import annotations

import json

import pytest

from objectstore.errors import BadRequest
from objectstore.server.bodies import MAX_ITEMS, MAX_MEMBERS, parse_body
from peer import Server

MIB = 1024 * 1024
KEYS = b'{"keys": [%b]}'


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"key": "a", "key": "b"}', "two members of one name"),
        (b'[{"a": {"b": 1, "c": 2, "b": 3}}]', "two members of one name"),
        (b'{"size": NaN}', "no number NaN"),
        (b'{"size": -Infinity}', "no number -Infinity"),
        (b'{"size": ' + b"9" * 5000 + b"}", "too many digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"key": "\xff"}', "not UTF-8"),
        ('{"key": "k"}'.encode("utf-16"), "not UTF-8"),
        (b"", "not JSON"),
        (b"key=k", "not JSON"),
        (b"[" + b"0," * MAX_ITEMS + b"0]", "items"),
        (json.dumps({str(number): 1 for number in range(MAX_MEMBERS + 1)}).encode(), "members"),
    ],
    ids=str,
)
def test_json_that_could_mean_something_else_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        parse_body(body)


def test_other_json_is_read_as_it_is() -> None:
    told = {"key": "ä", "metadata": {"a": "b"}, "size": 5, "parts": [{"n": 1}, {"n": 2}], "x": None, "y": 1.5}
    assert parse_body(json.dumps(told).encode()) == told
    assert parse_body(b'"\\ud800"') == "\ud800"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({str(number): 1 for number in range(500_000)}).encode(),
        KEYS % (b"0," * (3 * MIB) + b"0"),
        KEYS % (b"{}," * (2 * MIB) + b"0"),
        b'{"keys": [], "x": ' + b"[" * 7 * MIB,
    ],
    ids=["members", "numbers", "objects", "depth"],
)
def test_json_takes_no_more_memory_than_some_times_its_size(server: Server, body: bytes) -> None:
    before = server.peak_memory()
    answer = server.ask("POST", "/objects/delete", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "bad_request")
    assert server.peak_memory() - before < 300 * MIB


def test_larger_json_is_not_read(server: Server) -> None:
    answer = server.ask("POST", "/objects/delete", b" " * (8 * MIB + 1), {"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (413, "too_large")


def test_keys_without_utf8_are_told_of(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"x")
    body = json.dumps({"keys": [f"{base}k", "a\ud800", "b\0", "", "c" * 1025]}).encode()
    answer = server.ask("POST", "/objects/delete", body, {"Content-Type": "application/json"})
    assert answer.status == 200
    assert answer.json["deleted"] == [f"{base}k"]
    assert [one["key"][:1] for one in answer.json["errors"]] == ["a", "b", "", "c"]
    assert {one["code"] for one in answer.json["errors"]} == {"invalid_key"}


@pytest.mark.parametrize("value", ["b\r\nSet-Cookie: a=b", "b\nc", "b\rc", "b\0c", "b\x7f", "\ud800", " b"])
def test_metadata_of_an_upload_add_no_header(server: Server, base: str, value: str) -> None:
    for told in (
        {"metadata": {"a": value}},
        {"content_type": value},
        {"cache_control": value},
        {"metadata": {value: "a"}},
    ):
        answer = server.json("POST", "/uploads", {"key": base + "k"} | told)
        assert answer.status in {400, 422}
