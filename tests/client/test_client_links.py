"""Signing links with both clients, from a real server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from client.both import NOW, TOKEN, Both
from client.scripted import Scripted, answer
from objectstore import InvalidParameter
from objectstore.client import SignedLink

KEYS = ["a", "a//b", "../ä ?#%2F+", "\U0001f600"]


def follow(url: str, body: bytes | None = None, **fields: str) -> tuple[int, str | None, bytes]:
    """Status, Content-Disposition and body of the answer to a request without a token."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=30)) as connection:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request("GET" if body is None else "PUT", f"{parts.path}?{parts.query}", body, headers)
        reply = connection.getresponse()
        return reply.status, reply.headers["Content-Disposition"], reply.read()


@pytest.mark.parametrize("key", KEYS)
def test_what_is_signed_works_without_a_token(store: Both, base: str, key: str) -> None:
    key = base + key
    writing: SignedLink = store.sign(key, method="PUT", max_bytes=5, content_type="text/csv", expires=60)
    assert writing.url.startswith(f"{store.url}/objects/")
    assert follow(writing.url, b"1,2,3", Content_Type="text/csv")[0] == 200
    assert store.head(key).attributes.content_type == "text/csv"
    assert follow(writing.url, b"123456", Content_Type="text/csv")[0] == 413
    reading = str(store.sign(key, filename="ä.csv", expires=timedelta(minutes=1)))
    assert follow(reading) == (200, "attachment; filename=\"_.csv\"; filename*=UTF-8''%C3%A4.csv", b"1,2,3")


def test_a_link_tells_what_it_is_and_for_how_long(store: Both, base: str) -> None:
    link: SignedLink = store.sign(base)
    assert (link.method, link.key, str(link)) == ("GET", base, link.url)
    assert timedelta(minutes=59) < link.expires - datetime.now(UTC) <= timedelta(hours=1)


def test_what_the_server_refuses_is_its_error(store: Both, base: str) -> None:
    with pytest.raises(InvalidParameter, match="LINK_MAX_TTL"):
        store.sign(base, expires=timedelta(days=8))
    with pytest.raises(InvalidParameter, match="max_bytes"):
        store.sign(base, max_bytes=1)


def test_a_link_goes_below_the_base_url_of_the_client(
    client_of: Callable[..., Both], live: str, server: Scripted
) -> None:
    direct: SignedLink = client_of(live, token=TOKEN).sign("a b", expires=60)
    path = direct.url.removeprefix(live)
    told = (
        f'{{"url": "http://inside:1{path}", "path": "{path}", "public": false, '
        f'"method": "GET", "key": "a b", "expires_at": "{NOW.isoformat()}"}}'
    )
    server.plays(answer(201, told.encode()))
    behind: SignedLink = client_of(f"{server.url}/store").sign("a b", expires=60)
    assert behind.url == f"{server.url}/store{path}"
