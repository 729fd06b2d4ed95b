"""Through a proxy, another library does the work: what is promised holds there too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.both import Both
from client.scripted import Scripted, answer, content, cut, stored
from objectstore import ONLY_IF_ABSENT, Corrupted, Unavailable
from objectstore.client.transport.proxied import AsyncProxiedTransport, ProxiedTransport
from objectstore.wire.retries import Retries

DATA = bytes(range(256)) * 4096


@pytest.fixture
def client(client_of: Callable[..., Both], server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Both:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    made = client_of("http://store.invalid", max_connections=1, retries=Retries(limit=1, delay=0))
    assert isinstance(made.store._driver._transport, ProxiedTransport | AsyncProxiedTransport)
    return made


def test_bodies_move_both_ways(client: Both, server: Scripted) -> None:
    server.plays(stored(DATA), stored(DATA), content(DATA), content(DATA))
    client.put("k", DATA)
    client.put("k", client.source(DATA[:100], DATA[100:]))
    assert [one.body for one in server.seen] == [DATA, DATA]
    assert client.get("k") == DATA
    assert b"".join(client.read("k")[1]) == DATA
    assert server.seen[0].target == "http://store.invalid/objects/k"
    assert {one.connection for one in server.seen} == {0}


def test_a_download_cut_short_goes_on_or_fails(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=100), content(DATA, start=100, stop=len(DATA)), content(DATA, damage=True))
    assert b"".join(client.read("k")[1]) == DATA
    with pytest.raises(Corrupted):
        client.get("k")


def test_a_conditional_write_whose_answer_is_lost_is_not_sent_again(client: Both, server: Scripted) -> None:
    server.plays(cut())
    with pytest.raises(Unavailable, match="not known"):
        client.put("k", DATA, conditions=ONLY_IF_ABSENT)


def test_a_proxy_that_is_not_there_is_unavailable(
    client_of: Callable[..., Both], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    lonely = client_of("http://store.invalid", retries=Retries(limit=0))
    with pytest.raises(Unavailable, match=r"cannot connect to store\.invalid"):
        lonely.get("k")


def test_an_answer_left_early_costs_its_connection_only(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=300_000), answer(404))
    assert client.first_chunk("k")
    assert client.exists("k") is False
