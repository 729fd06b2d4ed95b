"""The contract of one object, over real sockets."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote

import pytest

from peer import Server

BODY = bytes(range(256)) * 40  # 10 240 bytes, stored inline
LARGE = BODY * 200  # 2 MB, a file of its own


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def put(server: Server, key: str, body: bytes = BODY, **headers: str) -> str:
    """Store and give the etag, quoted."""
    answer = server.ask("PUT", f"/objects/{key}", body, {k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.status == 200, answer.body
    return str(answer.headers["ETag"])


@pytest.mark.parametrize("body", [b"", b"x", BODY, LARGE], ids=["empty", "one byte", "inline", "file"])
def test_what_was_put_comes_back_with_all_headers(server: Server, base: str, body: bytes) -> None:
    key = f"{base}{len(body)}"
    stored = server.ask(
        "PUT", f"/objects/{key}", body, {"Content-Type": "text/x-odd", "X-Object-Meta-Run": "Größe 1".encode()}
    )
    record = stored.json
    assert stored.status == 200
    assert stored.headers["ETag"] == f'"{record["etag"]}"'
    assert record == {
        "key": key,
        "size": len(body),
        "etag": record["etag"],
        "content_type": "text/x-odd",
        "created_at": record["modified_at"],
        "modified_at": record["modified_at"],
        "digest": {"sha-256": sha256(body)},
        "metadata": {"run": "Größe 1"},
    }
    got = server.ask("GET", f"/objects/{key}")
    assert (got.status, got.body) == (200, body)
    head = server.ask("HEAD", f"/objects/{key}")
    assert (head.status, head.body) == (200, b"")
    for answer in (got, head):
        assert answer.headers["ETag"] == stored.headers["ETag"]
        assert answer.headers["Content-Length"] == str(len(body))
        assert answer.headers["Content-Type"] == "text/x-odd"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Repr-Digest"] == f"sha-256=:{sha256(body)}:"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox"
        assert answer.headers["X-Object-Meta-Run"].encode("latin-1").decode() == "Größe 1"
        assert parsedate_to_datetime(answer.headers["Last-Modified"]).tzinfo is not None


def test_kept_headers_come_back_and_others_do_not(server: Server, base: str) -> None:
    put(
        server,
        base + "k",
        Content_Encoding="gzip",
        Content_Disposition='attachment; filename="a.txt"',
        Content_Language="de",
        Cache_Control="max-age=5",
        X_Other="no",
    )
    got = server.ask("GET", f"/objects/{base}k").headers
    assert got["Content-Encoding"] == "gzip"
    assert got["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert got["Content-Language"] == "de"
    assert got["Cache-Control"] == "max-age=5"
    assert got["Content-Type"] == "application/octet-stream"
    assert "X-Other" not in got


def test_more_than_8_kib_of_metadata_is_refused(server: Server, base: str) -> None:
    headers = {f"X-Object-Meta-{n}": "v" * 1000 for n in range(9)}
    answer = server.ask("PUT", f"/objects/{base}k", BODY, headers)
    assert (answer.status, answer.code) == (400, "invalid_metadata")
    assert server.ask("GET", f"/objects/{base}k").status == 404


ODD_KEYS = [
    "/a",
    "a//b",
    "a/../b",
    "a/./b",
    "..",
    ".",
    "a",
    "a/b",
    "a/",
    "%2F",
    "%",
    "?x=1",
    "#f",
    "a b",
    "🙂",
    "\x01",
    "é" * 512,
]


def encode(key: str) -> str:
    return quote(key, safe="").replace(".", "%2E")


def test_odd_keys_are_kept_apart(server: Server, base: str) -> None:
    for key in ODD_KEYS:
        whole = (base + key).encode()[:1024].decode(errors="ignore")
        assert server.ask("PUT", f"/objects/{encode(whole)}", key.encode()).json["key"] == whole
    for key in ODD_KEYS:
        whole = (base + key).encode()[:1024].decode(errors="ignore")
        assert server.ask("GET", f"/objects/{encode(whole)}").body == key.encode()
    keys = server.ask("GET", f"/objects?prefix={quote(base)}&limit=1000").json["keys"]
    assert len(keys) == len(ODD_KEYS)


@pytest.mark.parametrize("path", ["/objects/..", "/objects//a/../../b", "/objects/x//"])
def test_a_path_is_not_tidied(server: Server, path: str) -> None:
    key = path.removeprefix("/objects/")
    assert server.ask("PUT", path, b"tidy").json["key"] == key
    assert server.ask("DELETE", path).status == 204


@pytest.mark.parametrize(
    "path", ["/objects/", "/objects/%00", "/objects/a%00b", "/objects/%FF", "/objects/" + "a" * 1025], ids=range(5)
)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_a_bad_key_is_refused(server: Server, method: str, path: str) -> None:
    answer = server.ask(method, path, b"x" if method == "PUT" else None)
    assert answer.status == 400
    assert answer.headers["X-Error-Code"] == "invalid_key"
    if method != "HEAD":
        assert answer.code == "invalid_key"


def test_an_absent_object_is_not_found(server: Server, base: str) -> None:
    for method in ("GET", "HEAD", "DELETE"):
        answer = server.ask(method, f"/objects/{base}none")
        assert answer.status == 404
        assert answer.headers["X-Error-Code"] == "not_found"


def test_a_deleted_object_is_gone(server: Server, base: str) -> None:
    put(server, base + "k")
    gone = server.ask("DELETE", f"/objects/{base}k")
    assert (gone.status, gone.body) == (204, b"")
    assert server.ask("GET", f"/objects/{base}k").status == 404


# Ranges


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["inline", "file"])
@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("0-0", 0, 1), ("5-99", 5, 100), ("100-", 100, None), ("-7", -7, None), ("9-99999999999", 9, None)],
)
def test_a_range_is_sent_as_206(
    server: Server, base: str, body: bytes, wanted: str, start: int, stop: int | None
) -> None:
    key = f"{base}{len(body)}"
    put(server, key, body)
    answer = server.ask("GET", f"/objects/{key}", headers={"Range": f"bytes={wanted}"})
    expected = body[start:stop]
    first = start % len(body)
    assert (answer.status, answer.body) == (206, expected)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(body)}"
    assert answer.headers["Content-Length"] == str(len(expected))


def test_a_range_outside_is_416_with_the_size(server: Server, base: str) -> None:
    put(server, base + "k")
    answer = server.ask("GET", f"/objects/{base}k", headers={"Range": f"bytes={len(BODY)}-"})
    assert (answer.status, answer.code) == (416, "invalid_range")
    assert answer.headers["Content-Range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize("field", ["bytes=9-3", "bytes=a-b", "lines=1-2", "bytes=", "bytes=1-2," + "3-4," * 100])
def test_a_range_that_cannot_be_read_is_ignored(server: Server, base: str, field: str) -> None:
    put(server, base + "k")
    answer = server.ask("GET", f"/objects/{base}k", headers={"Range": field})
    assert (answer.status, answer.body) == (200, BODY)


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["inline", "file"])
def test_several_ranges_are_sent_as_multipart(server: Server, base: str, body: bytes) -> None:
    key = f"{base}{len(body)}"
    put(server, key, body, Content_Type="text/x-odd")
    answer = server.ask("GET", f"/objects/{key}", headers={"Range": "bytes=0-4, 100-199 ,-3"})
    assert answer.status == 206
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    boundary = answer.headers["Content-Type"].removeprefix("multipart/byteranges; boundary=").encode()
    _, *parts, end = answer.body.split(b"\r\n--" + boundary)
    assert end == b"--\r\n"
    got = []
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        assert b"content-type: text/x-odd" in head
        got.append((head.partition(b"content-range: ")[2].decode(), data))
    size = len(body)
    assert got == [
        (f"bytes 0-4/{size}", body[:5]),
        (f"bytes 100-199/{size}", body[100:200]),
        (f"bytes {size - 3}-{size - 1}/{size}", body[-3:]),
    ]


def test_overlapping_ranges_are_joined(server: Server, base: str) -> None:
    put(server, base + "k")
    answer = server.ask("GET", f"/objects/{base}k", headers={"Range": "bytes=0-9,5-20,21-30"})
    assert (answer.status, answer.body) == (206, BODY[:31])
    assert answer.headers["Content-Range"] == f"bytes 0-30/{len(BODY)}"


def test_if_range_sends_all_of_a_changed_object(server: Server, base: str) -> None:
    etag = put(server, base + "k")
    ranged = {"Range": "bytes=0-9"}
    assert server.ask("GET", f"/objects/{base}k", headers=ranged | {"If-Range": etag}).status == 206
    modified = server.ask("HEAD", f"/objects/{base}k").headers["Last-Modified"]
    assert server.ask("GET", f"/objects/{base}k", headers=ranged | {"If-Range": modified}).status == 206
    put(server, base + "k", LARGE)
    for validator in (etag, f"W/{etag}", "rubbish", formatdate(0, usegmt=True)):
        answer = server.ask("GET", f"/objects/{base}k", headers=ranged | {"If-Range": validator})
        assert (answer.status, answer.body) == (200, LARGE)


# Conditions


def test_conditional_reads(server: Server, base: str) -> None:
    etag = put(server, base + "k", Cache_Control="max-age=5")
    path = f"/objects/{base}k"
    old, new = formatdate(0, usegmt=True), formatdate(4_000_000_000, usegmt=True)
    for method in ("GET", "HEAD"):
        for headers, status in [
            ({"If-None-Match": etag}, 304),
            ({"If-None-Match": f'"x", W/{etag}'}, 304),
            ({"If-None-Match": "*"}, 304),
            ({"If-None-Match": '"x"'}, 200),
            ({"If-Match": etag}, 200),
            ({"If-Match": "*"}, 200),
            ({"If-Match": '"x"'}, 412),
            ({"If-Modified-Since": new}, 304),
            ({"If-Modified-Since": old}, 200),
            ({"If-Unmodified-Since": old}, 412),
            ({"If-Unmodified-Since": new}, 200),
            ({"If-None-Match": '"x"', "If-Modified-Since": new}, 200),
        ]:
            answer = server.ask(method, path, headers=headers)
            assert answer.status == status, (method, headers)
            if status == 304:
                assert answer.body == b""
                assert answer.headers["ETag"] == etag
                assert answer.headers["Cache-Control"] == "max-age=5"


def test_conditional_writes(server: Server, base: str) -> None:
    path = f"/objects/{base}k"
    assert server.ask("PUT", path, b"1", {"If-Match": "*"}).code == "precondition_failed"
    first = server.ask("PUT", path, b"1", {"If-None-Match": "*"})
    assert first.status == 200
    assert server.ask("PUT", path, b"2", {"If-None-Match": "*"}).code == "already_exists"
    assert server.ask("PUT", path, b"2", {"If-Match": '"x"'}).status == 412
    second = server.ask("PUT", path, b"2", {"If-Match": first.headers["ETag"]})
    assert second.status == 200
    assert server.ask("DELETE", path, headers={"If-Match": first.headers["ETag"]}).status == 412
    assert server.ask("GET", path).body == b"2"
    assert server.ask("DELETE", path, headers={"If-Match": second.headers["ETag"]}).status == 204


def test_a_condition_that_cannot_be_read_is_refused(server: Server, base: str) -> None:
    answer = server.ask("PUT", f"/objects/{base}k", BODY, {"If-None-Match": "unquoted"})
    assert (answer.status, answer.code) == (400, "bad_request")


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["inline", "file"])
def test_of_many_creators_one_wins(server: Server, base: str, body: bytes) -> None:
    path = f"/objects/{base}{len(body)}"
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: server.ask("PUT", path, body, {"If-None-Match": "*"}), range(16)))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 15


def test_of_many_writers_with_one_etag_one_wins(server: Server, base: str) -> None:
    etag = put(server, base + "k")
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: server.ask("PUT", f"/objects/{base}k", b"%d" % n, {"If-Match": etag}), range(16))
        )
    winner = [n for n, answer in enumerate(answers) if answer.status == 200]
    assert len(winner) == 1
    assert server.ask("GET", f"/objects/{base}k").body == b"%d" % winner[0]


# Digests


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["inline", "file"])
@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest", "Content-MD5"])
def test_a_wrong_digest_stores_nothing(server: Server, base: str, field: str, body: bytes) -> None:
    path = f"/objects/{base}{field}{len(body)}"
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    right = md5 if field == "Content-MD5" else f"sha-256=:{sha256(body)}:"
    wrong = base64.b64encode(bytes(16)).decode() if field == "Content-MD5" else f"sha-256=:{sha256(b'')}:"
    refused = server.ask("PUT", path, body, {field: wrong})
    assert (refused.status, refused.code) == (400, "digest_mismatch")
    assert server.ask("GET", path).status == 404
    assert server.ask("PUT", path, body, {field: right}).status == 200


def test_a_digest_that_cannot_be_read_is_refused(server: Server, base: str) -> None:
    answer = server.ask("PUT", f"/objects/{base}k", BODY, {"Repr-Digest": "sha-256=rubbish"})
    assert (answer.status, answer.code) == (400, "invalid_digest")


# Copies


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["inline", "file"])
def test_a_copy_has_the_bytes_and_the_metadata(server: Server, base: str, body: bytes) -> None:
    source = f"{base}a//b {len(body)}%"
    put(server, encode(source), body, Content_Type="text/x-odd", X_Object_Meta_A="1")
    copied = server.ask("PUT", f"/objects/{base}copy", headers={"X-Copy-From": encode(source)})
    assert copied.status == 200
    assert copied.json["digest"]["sha-256"] == sha256(body)
    assert (copied.json["content_type"], copied.json["metadata"]) == ("text/x-odd", {"a": "1"})
    assert server.ask("GET", f"/objects/{base}copy").body == body
    other = {"X-Copy-From": encode(source), "Content-Type": "text/other"}
    replaced = server.ask("PUT", f"/objects/{base}copy", headers=other).json
    assert (replaced["content_type"], replaced["metadata"]) == ("text/other", {})


def test_a_copy_of_nothing_is_not_found(server: Server, base: str) -> None:
    answer = server.ask("PUT", f"/objects/{base}k", headers={"X-Copy-From": f"{base}none"})
    assert (answer.status, answer.code) == (404, "not_found")


def test_a_copy_has_no_body(server: Server, base: str) -> None:
    put(server, base + "k")
    answer = server.ask("PUT", f"/objects/{base}copy", b"x", {"X-Copy-From": f"{base}k"})
    assert answer.status == 400


def test_a_copy_keeps_conditions(server: Server, base: str) -> None:
    put(server, base + "k")
    headers = {"X-Copy-From": f"{base}k", "If-None-Match": "*"}
    assert server.ask("PUT", f"/objects/{base}copy", headers=headers).status == 200
    assert server.ask("PUT", f"/objects/{base}copy", headers=headers).status == 412


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed(server: Server, base: str, method: str) -> None:
    answer = server.ask(method, f"/objects/{base}k", b"")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, PUT, DELETE"
