"""`Content-Digest`, `Repr-Digest` and `Content-MD5` (RFC 9530, RFC 8941 §3.2)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.digests import SIZES, digests_of
from objectstore.errors import BadRequest, DigestMismatch, InvalidDigest
from objectstore.wire.headers import format_digest, parse_digests, parse_expected

# {"hello": "world"} and a newline: RFC 9530 §B.1.
HELLO = b'{"hello": "world"}\n'
OF_HELLO = b"RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="
SHA256 = base64.b64decode(OF_HELLO)
MD5 = digests_of(HELLO, ["md5"])["md5"]
ZEROS = b"sha-256=:" + b"A" * 43 + b"=:"


def test_the_example_of_the_rfc() -> None:
    assert digests_of(HELLO)["sha-256"] == SHA256
    assert format_digest(SHA256) == b"sha-256=:" + OF_HELLO + b":"


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_comes_back(digest: bytes) -> None:
    assert parse_digests(format_digest(digest)) == {"sha-256": digest}


@pytest.mark.parametrize(
    "value",
    [
        b"sha-256=:" + OF_HELLO + b":",
        b" sha-256=:" + OF_HELLO + b": ",
        b"SHA-256=:" + OF_HELLO + b":",
        b"sha-256 = :" + OF_HELLO + b":",
        b"sha-256=:" + OF_HELLO.rstrip(b"=") + b":",
        b"sha-256=:" + OF_HELLO + b":;q=1;note",
        b"unixsum=7, sha-256=:" + OF_HELLO + b":, crc32c=:AAAA:",
        b'other="a,b", sha-256=:' + OF_HELLO + b":",
        b"sha-256=:" + OF_HELLO + b":,",
        b"flag, , sha-256=:" + OF_HELLO + b":",
        ZEROS + b", sha-256=:" + OF_HELLO + b":",
    ],
)
def test_the_digest_is_found_among_what_is_not_known(value: bytes) -> None:
    # Of members of the same name the last one counts (RFC 8941 §3.2).
    assert parse_digests(value) == {"sha-256": SHA256}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b"", set()),
        (b"unixsum=7", set()),
        (b"\xff\x00=::", set()),
        (b"Xmd5=:" + b"A" * 22 + b"==:", set()),
        (b"md5X=:" + b"A" * 22 + b"==:", set()),
        (b"\vmd5=:" + b"A" * 22 + b"==:", set()),
        (b"md5\v=:" + b"A" * 22 + b"==:", set()),
        (b"sha=:" + b"A" * 27 + b"=:, md5=:" + b"A" * 22 + b"==:", {"sha-1", "md5"}),
        (b"sha-512=:" + b"A" * 86 + b"==:", {"sha-512"}),
    ],
)
def test_names_are_those_of_the_registry(value: bytes, names: set[str]) -> None:
    found = parse_digests(value)
    assert set(found) == names
    assert all(found[name] == bytes(SIZES[name]) for name in names)


@pytest.mark.parametrize(
    "value",
    [
        b"sha-256",
        b"sha-256=",
        b"sha-256=:",
        b"sha-256=::",
        b"sha-256=" + OF_HELLO,
        b"sha-256=:" + OF_HELLO,
        b"sha-256=" + OF_HELLO + b":",
        b"sha-256=x" + OF_HELLO + b":",
        b"sha-256=:" + OF_HELLO + b"x",
        b"sha-256=:" + OF_HELLO + b":X",
        b'sha-256="' + OF_HELLO + b'"',
        b"sha-256=:" + OF_HELLO[:-4] + b":",
        b"sha-256=:" + b"AAAA" + OF_HELLO + b":",
        b"sha-256=:*" + OF_HELLO[1:] + b":",
        b"sha-256=:" + OF_HELLO.replace(b"/", b"_") + b":",
        b"sha-256=:" + SHA256.hex().encode() + b":",
        b"sha-256=:\xff:",
        b"md5=:" + OF_HELLO + b":",
    ],
)
def test_a_known_digest_that_cannot_be_read_is_refused(value: bytes) -> None:
    for name in (b"content-digest", b"repr-digest"):
        with pytest.raises(InvalidDigest):
            parse_expected({name: value})


def test_all_digest_fields_are_expected_together() -> None:
    sha512 = digests_of(HELLO, ["sha-512"])["sha-512"]
    fields = {
        b"content-digest": format_digest(SHA256),
        b"repr-digest": b"sha-512=:" + base64.b64encode(sha512) + b":",
        b"content-md5": base64.b64encode(MD5),
        b"content-type": b"text/plain",
    }
    assert parse_expected(fields) == {"sha-256": SHA256, "sha-512": sha512, "md5": MD5}
    assert parse_expected({b"content-type": b"text/plain"}) == {}


def test_fields_may_say_the_same() -> None:
    fields = {b"content-digest": format_digest(SHA256), b"repr-digest": format_digest(SHA256)}
    assert parse_expected(fields) == {"sha-256": SHA256}


@pytest.mark.parametrize(
    ("fields", "algorithm"),
    [
        ({b"content-digest": ZEROS, b"repr-digest": format_digest(SHA256)}, "sha-256"),
        ({b"content-digest": format_digest(SHA256), b"repr-digest": ZEROS}, "sha-256"),
        (
            {b"repr-digest": b"md5=:" + b"A" * 22 + b"==:", b"content-md5": base64.b64encode(MD5)},
            "md5",
        ),
    ],
)
def test_no_digest_is_forgotten_for_another(fields: dict[bytes, bytes], algorithm: str) -> None:
    with pytest.raises(DigestMismatch) as told:
        parse_expected(fields)
    assert told.value.algorithm == algorithm


@pytest.mark.parametrize("value", [b"", b"?", MD5.hex().encode(), OF_HELLO, b":" + base64.b64encode(MD5) + b":"])
def test_a_content_md5_is_16_bytes_in_base64(value: bytes) -> None:
    with pytest.raises(InvalidDigest, match="16 bytes"):
        parse_expected({b"content-md5": value})


NAMES = st.sampled_from([b"content-digest", b"repr-digest", b"content-md5"])
PIECES = st.sampled_from([b"sha-256", b"md5", b"=", b":", b",", b";", b" ", b"AAAA", OF_HELLO, b"\xff", b'"'])


@given(st.dictionaries(NAMES, st.lists(PIECES, max_size=10).map(b"".join) | st.binary(max_size=30)))
def test_rubbish_is_digests_or_refused(fields: dict[bytes, bytes]) -> None:
    try:
        expected = parse_expected(fields)
    except BadRequest:
        return
    assert all(len(digest) == SIZES[name] for name, digest in expected.items())
