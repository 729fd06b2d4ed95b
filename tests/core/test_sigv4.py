"""Signature Version 4 against the examples that AWS publishes with the S3 API reference."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest

from objectstore.core import sigv4
from objectstore.core.sigv4 import Credentials, Scope

# The example credentials of the AWS documentation.
EXAMPLE: Final = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST: Final = "examplebucket.s3.amazonaws.com"
NOW: Final = datetime(2013, 5, 24, tzinfo=UTC)
WELCOME: Final = (
    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"  # SHA-256 of "Welcome to Amazon S3."
)


def _signed(
    method: str,
    path: str,
    query: tuple[tuple[str, str], ...] = (),
    payload_hash: str = sigv4.EMPTY_PAYLOAD,
    **headers: str,
) -> dict[str, str]:
    sent = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return sigv4.signed_headers(
        method, path, query, sent, payload_hash=payload_hash, credentials=EXAMPLE, region="us-east-1", now=NOW
    )


def _proof(headers: dict[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


def test_getting_a_range_is_signed_as_published() -> None:
    headers = _signed("GET", "/test.txt", Range="bytes=0-9")
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    assert headers["x-amz-date"] == "20130524T000000Z"


def test_putting_an_object_is_signed_as_published() -> None:
    headers = _signed(
        "PUT",
        "/" + sigv4.encoded("test$file.text", safe="/"),
        (),
        WELCOME,
        Date="Fri, 24 May 2013 00:00:00 GMT",
        x_amz_storage_class="REDUCED_REDUNDANCY",
    )
    assert _proof(headers) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"


def test_a_query_without_a_value_is_signed_as_published() -> None:
    headers = _signed("GET", "/", (("lifecycle", ""),))
    assert _proof(headers) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"


def test_listing_is_signed_as_published_whatever_the_order_of_the_query() -> None:
    wanted = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    pairs = (("max-keys", "2"), ("prefix", "J"))
    assert _proof(_signed("GET", "/", pairs)) == wanted
    assert _proof(_signed("GET", "/", pairs[::-1])) == wanted


def test_a_signature_in_the_query_is_made_as_published() -> None:
    query = (
        ("X-Amz-Algorithm", sigv4.ALGORITHM),
        ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"),
        ("X-Amz-Date", "20130524T000000Z"),
        ("X-Amz-Expires", "86400"),
        ("X-Amz-SignedHeaders", "host"),
    )
    canonical = sigv4.canonical_request("GET", "/test.txt", query, {"host": HOST}, sigv4.UNSIGNED_PAYLOAD)
    scope = Scope("20130524", "us-east-1")
    text = sigv4.string_to_sign(canonical, "20130524T000000Z", scope)
    assert text.splitlines()[-1] == "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04"
    proof = sigv4.signature(sigv4.signing_key(EXAMPLE.secret_key, scope), text)
    assert proof == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def test_the_signing_key_is_the_published_one() -> None:
    # "Examples of how to derive a signing key", AWS General Reference.
    scope = Scope("20150830", "us-east-1", "iam")
    key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope)
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_the_canonical_request_is_the_published_one() -> None:
    canonical = sigv4.canonical_request(
        "GET",
        "/test.txt",
        (),
        {
            "Host": HOST,
            "Range": "bytes=0-9",
            "x-amz-content-sha256": sigv4.EMPTY_PAYLOAD,
            "x-amz-date": "20130524T000000Z",
        },
        sigv4.EMPTY_PAYLOAD,
    )
    assert canonical == (
        "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
        "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "x-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("abcXYZ019-._~", "abcXYZ019-._~"),
        ("a b+c", "a%20b%2Bc"),
        ("a/b", "a%2Fb"),
        ("*'()!", "%2A%27%28%29%21"),
        ("%", "%25"),
        ("é", "%C3%A9"),
        ("😀", "%F0%9F%98%80"),
        ("\0\n", "%00%0A"),
    ],
)
def test_names_are_encoded_as_signatures_want_them(text: str, wanted: str) -> None:
    assert sigv4.encoded(text) == wanted
    assert sigv4.canonical_query([(text, text)]) == f"{wanted}={wanted}"


def test_a_path_keeps_its_slashes() -> None:
    assert sigv4.encoded("a//b/ü", safe="/") == "a//b/%C3%BC"


def test_a_query_is_in_the_order_of_its_encoded_names_and_values() -> None:
    pairs = [("b", "2"), ("a", "é"), ("a", "b"), ("B", ""), ("a-", "1")]
    assert sigv4.canonical_query(pairs) == "B=&a=%C3%A9&a=b&a-=1&b=2"


def test_headers_are_lowered_trimmed_and_in_order() -> None:
    signed = {"X-Amz-Meta-B": "  two   spaces ", "HOST": "h", "x-amz-meta-a": "é"}
    canonical = sigv4.canonical_request("PUT", "/", (), signed, "p")
    assert canonical == "PUT\n/\n\nhost:h\nx-amz-meta-a:é\nx-amz-meta-b:two spaces\n\nhost;x-amz-meta-a;x-amz-meta-b\np"


def test_the_token_of_a_session_is_sent_and_signed() -> None:
    session = Credentials(EXAMPLE.access_key, EXAMPLE.secret_key, "the-token")
    headers = sigv4.signed_headers(
        "GET", "/", (), {"host": HOST}, payload_hash="p", credentials=session, region="r", now=NOW
    )
    assert headers["x-amz-security-token"] == "the-token"
    assert "x-amz-security-token" in headers["authorization"]


def test_times_are_told_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert sigv4.amz_date(datetime(2026, 1, 1, 1, 2, 3, tzinfo=east)) == "20251231T230203Z"


def test_times_are_told_in_utc_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-5")
    time.tzset()
    try:
        assert sigv4.amz_date(NOW) == "20130524T000000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_another_service_may_be_signed_for() -> None:
    headers = sigv4.signed_headers(
        "GET",
        "/",
        (),
        {"host": HOST},
        payload_hash="p",
        credentials=EXAMPLE,
        region="r",
        now=NOW,
        service="s3express",
    )
    assert f"Credential={EXAMPLE.access_key}/20130524/r/s3express/aws4_request," in headers["authorization"]


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("access", "the-secret", "the-token"))
    assert "access" in shown
    assert "the-secret" not in shown
    assert "the-token" not in shown


def test_another_secret_region_day_or_payload_gives_another_signature() -> None:
    base = {"payload_hash": "p", "region": "r"}

    def proof(key: str = "s", day: int = 1, **told: str) -> str:
        told = base | told
        return _proof(
            sigv4.signed_headers(
                "GET",
                "/",
                (),
                {"host": HOST},
                payload_hash=told["payload_hash"],
                credentials=Credentials("a", key),
                region=told["region"],
                now=datetime(2026, 1, day, tzinfo=UTC),
            )
        )

    assert len({proof(), proof("t"), proof(day=2), proof(region="q"), proof(payload_hash="o")}) == 5
