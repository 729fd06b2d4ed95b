"""Targets, fields and ranges that are to break something, and stored bytes that are to harm who reads them."""

from __future__ import annotations

import gzip
import json
from urllib.parse import unquote

import pytest

from peer import Server

MIB = 1024 * 1024


@pytest.mark.parametrize(
    "path",
    [
        "%",
        "%4",
        "a%zz",
        "%00",
        "a%00b",
        "%C0%AF",
        "%c0%ae%c0%ae",
        "%E0%80%AF",
        "%ED%A0%80",
        "%F5%80%80%80",
        "%FF",
        "%C3",
    ],
)
def test_what_is_no_encoded_key_is_refused(server: Server, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = server.ask(method, f"/objects/{path}", b"x" if method == "PUT" else None)
        assert (answer.status, answer.headers["X-Error-Code"]) == (400, "invalid_key")
    copied = server.ask("PUT", "/objects/hostile", headers={"X-Copy-From": path})
    assert (copied.status, copied.code) == (400, "invalid_key")


def test_a_key_is_decoded_once_whatever_the_case_of_its_digits(server: Server, base: str) -> None:
    for path, key in (("%2e%2E%2fa", "../a"), ("%252e", "%2e"), ("%25", "%"), ("%2F%2f", "//"), ("%c3%A4", "ä")):
        server.ask("PUT", f"/objects/{base}{path}", key.encode())
        listed = server.ask("GET", f"/objects?prefix={base}").json["keys"]
        assert listed == [base + key]
        server.ask("DELETE", f"/objects/{base}{path}")


def test_a_key_adds_no_header_and_no_line_to_the_log(server: Server, base: str) -> None:
    path = f"/objects/{base}%0D%0ASet-Cookie:%20a=b%0D%0A%0D%0A%0Aforged%1b%5b31m"
    assert server.ask("PUT", path, b"x").status == 200
    for asked in (path, path + "none"):
        for method in ("GET", "HEAD"):
            answer = server.ask(method, asked)
            assert "Set-Cookie" not in answer.headers
    moved = server.ask("PUT", f"/objects/{base}copy", headers={"X-Copy-From": path.removeprefix("/objects/")})
    assert moved.status == 200
    assert not [line for line in (server.folder / "server.log").read_text().splitlines() if line.startswith("forged")]


@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80"])
def test_fields_that_are_not_utf8_are_not_kept(server: Server, base: str, value: bytes) -> None:
    for name in ("X-Object-Meta-A", "Content-Type", "Content-Disposition", "Cache-Control"):
        answer = server.ask("PUT", f"/objects/{base}k", b"x", {name: value})
        assert (answer.status, answer.code) == (400, "invalid_metadata")
    assert server.ask("PUT", f"/objects/{base}k", b"x", {"X-Copy-From": value}).code == "invalid_key"
    assert server.ask("GET", f"/objects/{base}k").status == 404


@pytest.mark.parametrize("given", [b"a\xffb", b"a b", b'a"b', b"a" * 200, b"\xc3\xa4", b"<script>", b"a\tb"])
def test_a_name_of_a_request_that_is_none_is_not_sent_back(server: Server, given: bytes) -> None:
    answer = server.ask("GET", "/objects/hostile", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"].encode("latin-1") != given


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nSet-Cookie: b=c",
        "a\nb",
        "a\0b",
        "\ud800",
        "../a",
        "a\\b",
        "a/b",
        "",
        ".",
        "..",
        " a",
        "a\u202egpj.exe",
        "a" * 256,
    ],
)
def test_a_filename_that_is_none_makes_no_link(server: Server, name: str) -> None:
    assert server.json("POST", "/links", {"key": "k", "filename": name}).status == 422


def test_a_filename_stays_in_its_quotes(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"x")
    for name in ('a"; filename=evil.exe; x="', "a%22.csv", "ä;b=c", "a\u00a0b"):
        link = server.json("POST", "/links", {"key": f"{base}k", "filename": name}).json["path"]
        answer = server.ask("GET", link, token=None)
        assert answer.status == 200
        kind, quoted, rest = answer.headers["Content-Disposition"].split('"')
        assert kind == "attachment; filename="
        assert not set(quoted) & set("\\/\r\n")
        assert unquote(rest.removeprefix("; filename*=UTF-8''")) == name


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest", "Content-MD5"])
@pytest.mark.parametrize(
    "value", ["sha-256=:", "sha-256=::", "sha-256=:%%%:", "sha-256", "sha-256=:AAAA:", "sha-256=:" + "A" * 40_000 + ":"]
)
def test_digests_that_are_none_store_nothing(server: Server, base: str, field: str, value: str) -> None:
    answer = server.ask("PUT", f"/objects/{base}k", b"x", {field: value})
    assert (answer.status, answer.code) == (400, "invalid_digest")
    assert server.ask("GET", f"/objects/{base}k").status == 404


@pytest.mark.parametrize("path", ["/objects", "/uploads"])
def test_a_cursor_that_was_changed_is_refused(server: Server, base: str, path: str) -> None:
    for number in range(3):
        server.ask("PUT", f"/objects/{base}{number}", b"x")
    cursor = server.ask("GET", f"/objects?prefix={base}&limit=1").json["next_cursor"]
    changed = [
        cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB"),
        "A" + cursor[1:],
        cursor[4:],
        cursor + "AAAA",
        "%00",
        "%FF",
        "AAAA",
        "*",
    ]
    for one in changed:
        answer = server.ask("GET", f"{path}?cursor={one}")
        assert answer.status in {400, 422}, one
    assert server.ask("GET", f"/objects?prefix={base}&cursor={cursor}").json["keys"] == [f"{base}1", f"{base}2"]


@pytest.mark.parametrize(
    "wanted",
    [
        ",".join(f"{at}-{at}" for at in range(0, 10_000, 2)),
        ",".join(["0-"] * 3000),
        ",".join(["0-", "-1"] * 32),
        ",".join(f"{at}-" for at in range(64)),
        "0-18446744073709551616",
        "18446744073709551616-",
        "0-" + "9" * 19,
        "-" + "9" * 19,
        "9" * 30_000 + "-",
        "," * 30_000,
        "0-0," * 7000,
    ],
    ids=["thousands", "whole", "overlapping", "nested", "end", "start", "long", "last", "digits", "commas", "same"],
)
def test_ranges_by_the_thousand_send_the_object_once_at_most(server: Server, wanted: str) -> None:
    size = 4 * MIB
    server.ask("PUT", "/objects/hostile/ranges", bytes(size))
    before = server.peak_memory()
    answer = server.ask("GET", "/objects/hostile/ranges", headers={"Range": f"bytes={wanted}"})
    assert answer.status in {200, 206}
    assert len(answer.body) <= size
    assert server.peak_memory() - before < 2 * size


def test_a_range_beyond_all_numbers_is_outside(server: Server) -> None:
    server.ask("PUT", "/objects/hostile/small", b"abc")
    answer = server.ask("GET", "/objects/hostile/small", headers={"Range": f"bytes={2**63}-"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */3")


def test_what_is_stored_compressed_is_never_unpacked(server: Server, base: str) -> None:
    bomb = gzip.compress(bytes(200 * MIB), 9)
    before = server.peak_memory()
    stored = server.ask("PUT", f"/objects/{base}k", bomb, {"Content-Encoding": "gzip", "Content-Type": "text/plain"})
    assert stored.json["size"] == len(bomb)
    got = server.ask("GET", f"/objects/{base}k", headers={"Accept-Encoding": "identity"})
    assert (got.body, got.headers["Content-Encoding"]) == (bomb, "gzip")
    part = server.ask("GET", f"/objects/{base}k", headers={"Range": "bytes=10-19"})
    assert part.body == bomb[10:20]
    packed = gzip.compress(json.dumps({"keys": ["a"] * 1000}).encode())
    asked = server.ask(
        "POST", "/objects/delete", packed, {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    )
    assert asked.status == 400
    assert server.peak_memory() - before < 32 * MIB


def test_stored_bytes_are_nothing_that_a_browser_runs(server: Server, base: str) -> None:
    page = b"<script>alert(1)</script>"
    server.ask("PUT", f"/objects/{base}k", page, {"Content-Type": "text/html"})
    for headers in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=0-1,4-5"}):
        answer = server.ask("GET", f"/objects/{base}k", headers=headers)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox"


def test_errors_show_nothing_of_a_page(server: Server) -> None:
    answer = server.ask("GET", "/objects/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/json"
