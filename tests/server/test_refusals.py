"""Failed logins in the log."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from objectstore.auth.store import TokenFile, TokenStore
from objectstore.server.refusals import Refusals
from peer import running


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(clock: Clock, caplog: pytest.LogCaptureFixture) -> Refusals:
    caplog.set_level(logging.INFO, "objectstore.auth")
    return Refusals(clock)


def test_the_first_of_an_address_is_told_and_then_how_many_more(
    refusals: Refusals, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        refusals.note("192.0.2.1", "its token is not known")
    refusals.note("192.0.2.2", "the token 'ci' has expired")
    assert caplog.messages == [
        "refused a request from 192.0.2.1: its token is not known",
        "refused a request from 192.0.2.2: the token 'ci' has expired",
    ]
    clock.now += 10
    refusals.note("192.0.2.1", "its token is not known")
    assert caplog.messages[2:] == [
        "refused 999 more requests without a valid token, some from these addresses",
        "refused a request from 192.0.2.1: its token is not known",
    ]


def test_many_addresses_do_not_fill_the_log(refusals: Refusals, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for second in range(100):
        clock.now = 100.0 + second
        for number in range(100):
            refusals.note(f"2001:db8:{number:x}::/64", "its token is not known")
    assert len(caplog.messages) <= 10 * (20 + 1)


def test_what_is_told_is_one_line(refusals: Refusals, caplog: pytest.LogCaptureFixture) -> None:
    refusals.note("evil\n2026-01-01 INFO all is well", "its token is not known")
    refusals.note(None, "its signed link has expired", logging.INFO)
    assert not any("\n" in message for message in caplog.messages)
    assert caplog.messages[1] == "refused a request from a local socket: its signed link has expired"


def test_a_server_says_why_and_never_what_was_sent(tmp_path: Path) -> None:
    sent = ["Bearer os_guessed_secret", "Basic c2VjcmV0OnNlY3JldA==", "Bearer \xff\xfesecret", "os_secret_alone"]
    with running(tmp_path, "granian") as server:
        file = TokenFile(tmp_path / "tokens.json")
        file.add("late", scopes=["read"], now=datetime.now(UTC) - timedelta(days=2), ttl=timedelta(days=1))
        for header in sent:
            assert server.ask("GET", "/objects/k", None, {"Authorization": header}, token=None).status == 401
            assert server.ask("GET", "/uploads", None, {"Authorization": header}, token=None).status == 401
        assert server.ask("GET", "/objects/k?link=1.GET.9.secret..secret", token=None).status == 401
        assert server.ask("GET", "/objects", token=None).status == 401
    told = (tmp_path / "server.log").read_text()
    assert told.count("refused a request from 127.0.0.1: its token is not known") == 1
    assert "secret" not in told
    assert "c2VjcmV0" not in told


def test_the_reason_is_the_right_one(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    file = TokenFile(tmp_path / "tokens.json")
    token = file.add("late", scopes=["read"], now=now - timedelta(days=2), ttl=timedelta(days=1))
    store = TokenStore(file.path)
    store.load()
    assert store.why_not(f"Bearer {token}".encode()) == "the token 'late' has expired"
    assert store.why_not(b"Bearer os_other") == "its token is not known"
    for field in (b"Basic abc", b"", token.encode()):
        assert store.why_not(field) == "its Authorization is none of a bearer"
