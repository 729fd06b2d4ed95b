"""Digests against what is published of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.digests import ALGORITHMS, SIZES, Digester, check_digests, digests_of
from objectstore.errors import DigestMismatch, InvalidDigest
from strategies import TEXT

# Of b"abc": FIPS 180-4 examples, RFC 1321 §A.5; crc32 is the one of gzip (RFC 1952 §8).
OF_ABC = {
    "sha-256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha-512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "sha-1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "md5": "900150983cd24fb0d6963f7d28e17f72",
    "crc32": "352441c2",
}


def test_every_algorithm_computes_what_its_name_says() -> None:
    found = digests_of(b"abc", ALGORITHMS)
    assert {name: raw.hex() for name, raw in found.items()} == OF_ABC


def test_every_algorithm_has_its_size() -> None:
    assert {name: len(raw) for name, raw in digests_of(b"", ALGORITHMS).items()} == SIZES


@given(st.lists(st.binary(max_size=20)))
def test_how_the_bytes_come_does_not_matter(chunks: Sequence[bytes]) -> None:
    digester = Digester(ALGORITHMS)
    for chunk in chunks:
        digester.update(chunk)
    assert digester.digests() == digests_of(b"".join(chunks), ALGORITHMS)


def test_digests_so_far_do_not_end_the_computing() -> None:
    digester = Digester()
    digester.update(b"a")
    digester.digests()
    digester.update(b"bc")
    assert digester.digests() == digests_of(b"abc")


@pytest.mark.parametrize("algorithms", [(), ["sha-256"], iter(())])
def test_sha_256_is_always_computed(algorithms: Sequence[str]) -> None:
    assert set(digests_of(b"", algorithms)) == {"sha-256"}


@given(TEXT.filter(lambda name: name not in ALGORITHMS))
def test_an_unknown_algorithm_is_refused(name: str) -> None:
    with pytest.raises(InvalidDigest):
        Digester(["md5", name])


def test_a_refusal_names_what_is_known() -> None:
    with pytest.raises(InvalidDigest, match=r"'sha-3'.*crc32, md5, sha-1, sha-256, sha-512"):
        digests_of(b"", ["sha-3"])


def test_equal_digests_pass() -> None:
    computed = digests_of(b"abc", ["md5"])
    check_digests({}, computed)
    check_digests({"md5": computed["md5"]}, computed)
    check_digests(dict(computed), computed)


@pytest.mark.parametrize("wrong", [b"", b"\0" * 16, b"\0" * 17])
def test_another_digest_is_a_mismatch(wrong: bytes) -> None:
    computed = digests_of(b"abc", ["md5"])
    with pytest.raises(DigestMismatch) as told:
        check_digests({"sha-256": computed["sha-256"], "md5": wrong}, computed)
    assert told.value.algorithm == "md5"
