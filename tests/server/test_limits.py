"""Rate limits on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.config.settings import load_settings
from objectstore.core.rates import parse_rate
from objectstore.server.limits import limits_of
from peer import Server, running

RATES = {
    "plain": "",
    "head": "",
    "framework": "",
    "public": "",
    "often": "100/hour",
    "changed": "1/hour",
    "without": "none",
}


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    limits = {"RATE_LIMIT": "3/hour;50/2 days", "RATE_LIMIT_ADDRESS": "3/hour", "TRUSTED_PROXIES": "127.0.0.1"}
    with running(folder, request.param, environment=limits) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    """Tokens by name, which the server knows."""
    file = TokenFile(server.folder / "tokens.json")
    made = {
        name: file.add(name, scopes=SCOPES, now=datetime.now(UTC), ttl=None, rate=parse_rate(rate) if rate else None)
        for name, rate in RATES.items()
    }
    deadline = time.monotonic() + 60
    for number in count():
        # Each from another address, lest one be shut out.
        fields = {"X-Forwarded-For": f"10.0.{number // 256}.{number % 256}"}
        if server.ask("GET", "/objects", headers=fields, token=made["without"]).status == 200:
            break
        assert time.monotonic() < deadline
    return made


def test_workers_without_a_storage_to_share_divide_the_limit_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    limits = limits_of(load_settings(workers=4, rate_limit=parse_rate("10/second"), max_concurrent_requests=10))
    verdicts = [asyncio.run(limits.limiter.take("token", limits.rate)) for _ in range(3)]
    assert [verdict is not None and not verdict.wait for verdict in verdicts] == [True, True, False]
    assert limits.concurrent == 3
    assert "each of the 4 workers allows a share of the rate limit 10/second" in caplog.text


def test_what_is_left_is_told_with_every_answer_and_when_to_come_again_with_a_refusal(
    server: Server, tokens: dict[str, str]
) -> None:
    answers = [server.ask("GET", "/objects/absent", token=tokens["plain"]) for _ in range(5)]
    assert [answer.status for answer in answers] == [404, 404, 404, 429, 429]
    left = [answer.headers["RateLimit"].split(", ")[0].split(";")[:2] for answer in answers]
    assert left == [['"3/hour"', f"r={number}"] for number in (2, 1, 0, 0, 0)]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {
        '"3/hour";q=3;w=3600, "50/2 days";q=50;w=172800'
    }
    assert [answer.headers["Retry-After"] for answer in answers[:3]] == [None] * 3
    refused = answers[3]
    assert refused.code == refused.headers["X-Error-Code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 2 * 3600
    assert refused.headers["RateLimit"].split(", ")[0] == f'"3/hour";r=0;t={refused.headers["Retry-After"]}'


def test_a_head_is_counted_too(server: Server, tokens: dict[str, str]) -> None:
    answers = [server.ask("HEAD", "/objects/absent", token=tokens["head"]) for _ in range(4)]
    assert [answer.headers["X-Error-Code"] for answer in answers] == [*["not_found"] * 3, "rate_limited"]


def test_what_the_framework_serves_is_counted_too(server: Server, tokens: dict[str, str]) -> None:
    answers = [server.json("POST", "/objects/delete", {"keys": ["a"]}, token=tokens["framework"]) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit"][:12] for answer in answers] == [f'"3/hour";r={left}' for left in (2, 1, 0, 0)]


def test_a_body_that_is_refused_does_no_harm_and_is_not_stored(server: Server, tokens: dict[str, str]) -> None:
    body = b"x" * 300_000
    statuses = [server.ask("PUT", f"/objects/refused/{n}", body, token=tokens["changed"]).status for n in range(2)]
    assert statuses == [200, 429]
    assert server.ask("HEAD", "/objects/refused/1", token=tokens["without"]).status == 404


def test_what_needs_no_token_is_not_limited(server: Server, tokens: dict[str, str]) -> None:
    for _ in range(5):
        answer = server.ask("GET", "/health", token=tokens["public"])
        assert (answer.status, answer.headers["RateLimit"]) == (200, None)


def test_a_token_may_have_a_rate_of_its_own_or_none(server: Server, tokens: dict[str, str]) -> None:
    answers = [server.ask("GET", "/objects/absent", token=tokens["often"]) for _ in range(5)]
    assert [answer.status for answer in answers] == [404] * 5
    assert answers[-1].headers["RateLimit-Policy"] == '"100/hour";q=100;w=3600'
    answer = server.ask("GET", "/objects/absent", token=tokens["without"])
    assert (answer.status, answer.headers["RateLimit-Policy"]) == (404, None)


def test_an_address_with_too_many_failed_logins_is_not_listened_to(server: Server, tokens: dict[str, str]) -> None:
    there = {"X-Forwarded-For": "2001:db8::1"}
    answers = [server.ask("GET", "/objects", headers=there, token=f"os_guess{number}") for number in range(5)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[3].code == "rate_limited"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 2 * 3600
    # Not even with a token that is valid, nor from the address next door; but from any other.
    assert server.ask("GET", "/objects", headers=there, token=tokens["without"]).status == 429
    beside = {"X-Forwarded-For": "2001:db8::2"}
    assert server.ask("GET", "/uploads", headers=beside, token=tokens["without"]).status == 429
    assert server.ask("GET", "/objects", headers={"X-Forwarded-For": "::1"}, token=tokens["without"]).status == 200
    assert server.ask("GET", "/health", headers=there, token=None).status == 200
    log = (server.folder / "server.log").read_text()
    assert log.count("2001:db8::/64 sent too many tokens that are not valid") == 1
    assert "guess" not in log


def test_to_send_no_token_is_no_guess(server: Server) -> None:
    there = {"X-Forwarded-For": "192.0.2.200"}
    assert {server.ask("GET", "/objects", headers=there, token=None).status for _ in range(6)} == {401}
