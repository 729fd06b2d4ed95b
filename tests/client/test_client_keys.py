"""Any key arrives as it is, and so does every prefix and cursor."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from client.both import Both
from client.scripted import Scripted, answer, content
from objectstore.wire.paths import key_of

KEYS = [
    "plain",
    "a//b",
    "/leading",
    "//two",
    "trailing/",
    "a/../b",
    "../up",
    "a/./b",
    "a/..",
    "..",
    ".",
    "%2F",
    "%2e%2e",
    "100%",
    "what?",
    "a?b=c&d",
    "#fragment",
    "semi;colon",
    "plus+and space",
    " ",
    "back\\slash",
    "quotes\"and'",
    "tab\tand\nline",
    "ümläut",
    "e\u0301 is not é",
    "🦭/📦",
    "*",
    "~tilde",
    "delete",
    "http://host/path",
    "x" * 1024,
    "🦭" * 256,
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:20])
def test_a_key_round_trips(store: Both, key: str) -> None:
    data = key.encode()
    assert store.put(key, data).key == key
    assert store.get(key) == data
    assert store.head(key).key == key
    assert key in store.keys(key[:100])
    assert store.copy(key, f"copy{key}"[:250]).size == len(data)
    assert store.delete_many([key]).deleted == (key,)
    assert not store.exists(key)
    store.delete(f"copy{key}"[:250])


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:20])
def test_nothing_on_the_way_tidies_a_key(client: Both, server: Scripted, key: str) -> None:
    server.plays(content(b"x"))
    client.get(key)
    target = server.seen[0].target
    assert key_of(target.encode()) == key
    assert target.startswith("/objects/")
    assert not {"?", "#", " ", "\\"} & set(target)


@pytest.mark.parametrize("prefix", ["/store", "/a%20b/c", "/with/slash/"])
def test_a_base_url_may_have_a_path(client_of: Callable[..., Both], server: Scripted, prefix: str) -> None:
    server.plays(content(b"x"), answer(200, b'{"keys": [], "next_cursor": null}'))
    client = client_of(server.url + prefix)
    client.get("a/../b")
    client.list(limit=5)
    assert server.seen[0].target == f"{prefix.rstrip('/')}/objects/a%2F%2E%2E%2Fb"
    assert server.seen[1].target == f"{prefix.rstrip('/')}/objects?limit=5"


def test_what_a_listing_asks_for_arrives(client: Both, server: Scripted) -> None:
    server.plays(answer(200, b'{"keys": [], "next_cursor": null}'))
    odd = "ä b&c=d+e%2F#?/🦭"
    client.list(odd, delimiter="&", limit=7, cursor="a+b/c==", start_after=odd, details=True)
    asked = parse_qs(urlsplit(server.seen[0].target).query, strict_parsing=True)
    assert asked == {
        "prefix": [odd],
        "delimiter": ["&"],
        "limit": ["7"],
        "cursor": ["a+b/c=="],
        "start_after": [odd],
        "details": ["true"],
    }


def test_odd_prefixes_are_listed(store: Both, base: str) -> None:
    keys = [f"{base}&=+/%2F?#🦭{number}" for number in range(3)]
    for key in keys:
        store.put(key, b"")
    store.put(f"{base}&=", b"")
    assert store.keys(f"{base}&=+") == keys
    assert store.list(f"{base}&=+", delimiter="🦭").prefixes == (f"{base}&=+/%2F?#🦭",)
    assert store.list(base, limit=2, start_after=keys[0]).keys == tuple(keys[1:])
