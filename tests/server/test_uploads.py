"""Uploads in parts over HTTP."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from peer import Server

PART = bytes(range(256)) * 4 * 1024  # 1 MiB


def begin(server: Server, key: str, **more: object) -> str:
    answer = server.json("POST", "/uploads", {"key": key, **more})
    assert answer.status == 201, answer.body
    assert set(answer.json) == {"upload_id", "part_size", "expires_at"}
    return str(answer.json["upload_id"])


def put_part(server: Server, upload_id: str, n: int, body: bytes) -> dict[str, Any]:
    answer = server.ask("PUT", f"/uploads/{upload_id}/parts/{n}", body)
    assert answer.status == 200, answer.body
    told: dict[str, Any] = answer.json
    assert (told["n"], told["size"]) == (n, len(body))
    assert answer.headers["ETag"] == f'"{told["etag"]}"'
    return told


def names(*parts: dict[str, Any]) -> dict[str, object]:
    return {"parts": [{"n": part["n"], "etag": part["etag"]} for part in parts]}


def test_parts_in_any_order_and_in_parallel_make_the_object(server: Server, base: str) -> None:
    key = base + "a//b"
    upload_id = begin(server, key, content_type="text/x-odd", metadata={"run": "Größe"})
    bodies = {n: bytes([n]) + PART for n in (3, 1, 2, 7)}
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda n: put_part(server, upload_id, n, bodies[n]), bodies))
    assert server.ask("GET", f"/objects?prefix={base}").json["keys"] == []
    shown = server.ask("GET", f"/uploads/{upload_id}").json
    assert shown["parts"] == sorted(parts, key=lambda part: part["n"])
    assert shown["key"] == key
    done = server.json("POST", f"/uploads/{upload_id}/complete", names(*shown["parts"]))
    whole = b"".join(bodies[n] for n in sorted(bodies))
    assert done.status == 200
    record = done.json
    assert (record["key"], record["size"], record["content_type"]) == (key, len(whole), "text/x-odd")
    assert record["metadata"] == {"run": "Größe"}
    assert record["digest"]["sha-256"] == base64.b64encode(hashlib.sha256(whole).digest()).decode()
    assert server.ask("GET", f"/objects/{key}").body == whole
    again = server.json("POST", f"/uploads/{upload_id}/complete", names(*shown["parts"]))
    assert again.json == record


@pytest.mark.parametrize(("given", "shown"), [("*", "*"), ('"a", "b"', '"a", "b"'), ("a b", '"a b"')])
def test_an_upload_shows_what_it_was_begun_with(server: Server, base: str, given: str, shown: str) -> None:
    more = {"content_type": "text/x-odd", "metadata": {"run": "Größe"}, "if_none_match": given}
    told = server.ask("GET", f"/uploads/{begin(server, base + 'k', **more)}").json
    assert {name: told[name] for name in more} == more | {"if_none_match": shown}
    assert "if_match" not in told


def test_a_part_sent_again_replaces_the_former(server: Server, base: str) -> None:
    upload_id = begin(server, base + "k")
    first = put_part(server, upload_id, 1, b"first")
    second = put_part(server, upload_id, 1, b"second")
    stale = server.json("POST", f"/uploads/{upload_id}/complete", names(first))
    assert (stale.status, stale.code) == (400, "invalid_part")
    assert server.json("POST", f"/uploads/{upload_id}/complete", names(second)).status == 200
    assert server.ask("GET", f"/objects/{base}k").body == b"second"


@pytest.mark.parametrize("n", ["0", "10001", "-1", "x"])
def test_a_part_has_a_number_from_1_to_10000(server: Server, base: str, n: str) -> None:
    upload_id = begin(server, base + "k")
    answer = server.ask("PUT", f"/uploads/{upload_id}/parts/{n}", b"x")
    assert (answer.status, answer.code) == (422, "invalid_parameter")


def test_parts_that_do_not_make_an_object_are_refused(server: Server, base: str) -> None:
    upload_id = begin(server, base + "k")
    one, two = (put_part(server, upload_id, n, b"x") for n in (1, 2))
    wrongs: list[dict[str, object]] = [{"parts": []}, names(two, one), names(one, one), names({**one, "n": 3})]
    for wrong in wrongs:
        answer = server.json("POST", f"/uploads/{upload_id}/complete", wrong)
        assert (answer.status, answer.code) == (400, "invalid_part")
    assert server.ask("HEAD", f"/objects/{base}k").status == 404
    assert server.json("POST", f"/uploads/{upload_id}/complete", names(one, two)).status == 200


def test_an_aborted_upload_is_gone(server: Server, base: str) -> None:
    upload_id = begin(server, base + "k")
    put_part(server, upload_id, 1, b"x")
    assert server.ask("DELETE", f"/uploads/{upload_id}").status == 204
    for method, path, body in [
        ("GET", f"/uploads/{upload_id}", None),
        ("DELETE", f"/uploads/{upload_id}", None),
        ("PUT", f"/uploads/{upload_id}/parts/1", b"x"),
    ]:
        answer = server.ask(method, path, body)
        assert (answer.status, answer.code) == (404, "upload_not_found")
    assert server.json("POST", f"/uploads/{upload_id}/complete", {"parts": []}).status == 404


def test_unfinished_uploads_are_listed(server: Server, base: str) -> None:
    mine = {begin(server, base + "k") for _ in range(3)}
    listed: set[str] = set()
    path = "/uploads?limit=1"
    while True:
        page = server.ask("GET", path).json
        listed |= {one["upload_id"] for one in page["uploads"]}
        if not page["has_more"]:
            break
        path = f"/uploads?limit=1&cursor={page['next_cursor']}"
    assert mine <= listed
    for upload_id in mine:
        server.ask("DELETE", f"/uploads/{upload_id}")


def test_conditions_hold_at_completion(server: Server, base: str) -> None:
    upload_id = begin(server, base + "k", if_none_match="*")
    part = put_part(server, upload_id, 1, b"upload")
    server.ask("PUT", f"/objects/{base}k", b"meanwhile")
    answer = server.json("POST", f"/uploads/{upload_id}/complete", names(part))
    assert (answer.status, answer.code) == (412, "already_exists")
    assert server.ask("GET", f"/objects/{base}k").body == b"meanwhile"
    at_once = server.json("POST", "/uploads", {"key": base + "k", "if_none_match": "*"})
    assert at_once.status == 412


def test_an_etag_may_be_bare_or_quoted(server: Server, base: str) -> None:
    etag = server.ask("PUT", f"/objects/{base}k", b"1").json["etag"]
    for spelled in (etag, f'"{etag}"'):
        begin(server, base + "k", if_match=spelled)
    assert server.json("POST", "/uploads", {"key": base + "k", "if_match": "other"}).status == 412


def test_the_digest_of_the_whole_is_verified(server: Server, base: str) -> None:
    right = base64.b64encode(hashlib.sha256(b"one two").digest()).decode()
    wrong = base64.b64encode(bytes(32)).decode()
    for digest, status in ((right, 200), (wrong, 400)):
        upload_id = begin(server, base + "k", digest={"sha-256": digest})
        parts = put_part(server, upload_id, 1, b"one "), put_part(server, upload_id, 2, b"two")
        assert server.json("POST", f"/uploads/{upload_id}/complete", names(*parts)).status == status


def test_a_wrong_digest_of_a_part_stores_nothing(server: Server, base: str) -> None:
    upload_id = begin(server, base + "k")
    wrong = {"Content-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"}
    answer = server.ask("PUT", f"/uploads/{upload_id}/parts/1", b"x", wrong)
    assert (answer.status, answer.code) == (400, "digest_mismatch")
    assert server.ask("GET", f"/uploads/{upload_id}").json["parts"] == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "invalid_parameter"),
        ({"key": ""}, "invalid_parameter"),
        ({"key": "é" * 600}, "invalid_key"),
        ({"key": "a\0"}, "invalid_key"),
        ({"key": "k", "metadata": {"A b": "x"}}, "invalid_metadata"),
        ({"key": "k", "metadata": {"a": "x\r\ny"}}, "invalid_metadata"),
        ({"key": "k", "digest": {"sha-256": "x"}}, "invalid_digest"),
        ({"key": "k", "size": -1}, "invalid_parameter"),
        ({"key": "k", "size": 10**18}, "too_large"),
        ({"key": "k", "colour": "red"}, "invalid_parameter"),
    ],
)
def test_a_bad_beginning_is_refused(server: Server, asked: dict[str, object], code: str) -> None:
    assert server.json("POST", "/uploads", asked).code == code
