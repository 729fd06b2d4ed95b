from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from objectstore.auth.scopes import EVERY_KEY
from objectstore.auth.tokens import ENTROPY, TokenRecord, credential_of, digest_of, expired, expiry, new_token
from objectstore.errors import ConfigurationError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def record(
    name: str = "someone", expires: datetime | None = None, prefixes: tuple[str, ...] = EVERY_KEY
) -> TokenRecord:
    return TokenRecord(
        name=name, digest=bytes(32), created=NOW, expires=expires, scopes=frozenset({"read"}), prefixes=prefixes
    )


def test_a_token_is_marked_and_safe_anywhere() -> None:
    token = new_token(b"\xff" * ENTROPY)
    assert token == "os_" + "_" * 42 + "8"
    assert new_token(bytes(ENTROPY)) == "os_" + "A" * 43


def test_a_token_is_not_made_of_less_randomness() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        new_token(b"short")


def test_the_digest_is_sha_256() -> None:
    assert digest_of(b"os_x").hex() == hashlib.sha256(b"os_x").hexdigest()


def test_an_end_is_in_utc_and_whole_seconds() -> None:
    now = datetime(2026, 5, 1, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    assert expiry(now, timedelta(days=1)) == datetime(2026, 5, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(days=-1)])
def test_no_time_at_all_is_refused(ttl: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="more than no time"):
        expiry(NOW, ttl)


def test_an_end_after_all_dates_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="9999"):
        expiry(NOW, timedelta(days=3_000_000))


def test_a_token_is_valid_until_its_end_exclusive() -> None:
    one = record(expires=NOW)
    assert not expired(one, NOW - timedelta(microseconds=1))
    assert expired(one, NOW)


def test_a_token_without_end_never_expires() -> None:
    assert not expired(record(expires=None), datetime.max.replace(tzinfo=UTC))


def test_the_credential_of_a_record_is_all_but_the_secret() -> None:
    credential = credential_of(record(expires=NOW, prefixes=("b", "a")))
    assert (credential.name, credential.scopes, credential.prefixes, credential.expires) == (
        "someone",
        frozenset({"read"}),
        ("a", "b"),
        NOW,
    )


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "\ud800", "x" * 129, "a\x1b[31m"])
def test_a_name_that_would_upset_a_log_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name for a token"):
        record(name=name)


def test_any_printable_name_will_do() -> None:
    assert record(name="Åsa's laptop (2)").name == "Åsa's laptop (2)"


def test_a_token_without_scopes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no scope"):
        TokenRecord(name="x", digest=bytes(32), created=NOW, expires=None, scopes=frozenset())


@pytest.mark.parametrize("prefix", ["a\0", "\ud800", "x" * 1025])
def test_a_prefix_that_no_key_has_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="which no key starts with"):
        record(prefixes=(prefix,))
