"""Base URLs and tokens."""

from __future__ import annotations

import pytest

from objectstore import AsyncRestStore, RestStore
from objectstore.client.site import parse_site
from objectstore.wire.requests import Request


@pytest.mark.parametrize(
    ("base_url", "origin", "prefix"),
    [
        ("http://localhost:8000", "http://localhost:8000", ""),
        ("http://localhost:8000/", "http://localhost:8000", ""),
        ("https://store.example.org/a/b/", "https://store.example.org", "/a/b"),
        ("http://[::1]:80/x y", "http://[::1]:80", "/x%20y"),
        ("http://h/already%20encoded", "http://h", "/already%20encoded"),
        ("http://h/ä", "http://h", "/%C3%A4"),
    ],
)
def test_a_base_url_is_taken_apart(base_url: str, origin: str, prefix: str) -> None:
    site = parse_site(base_url, None)
    assert (site.origin, site.prefix) == (origin, prefix)
    assert site.target(Request("GET", "/objects/k")) == f"{prefix}/objects/k"


@pytest.mark.parametrize(
    "base_url",
    ["", "localhost:8000", "//host", "ftp://host", "http://", "http:///path", "http://host?q=1", "http://host#f"],
)
def test_what_is_no_base_url_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="the base URL is that of a server"):
        parse_site(base_url, None)


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "ümlaut", "nul\0"])
def test_what_can_be_no_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ValueError, match="the api_key has characters") as caught:
        parse_site("http://host", token)
    assert not token or token not in str(caught.value)


def test_a_password_in_the_url_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="give the token as api_key") as caught:
        parse_site("http://user:secret@host", None)
    assert "secret" not in str(caught.value)


def test_the_token_is_in_no_repr() -> None:
    site = parse_site("http://host/prefix", "os_secret")
    assert (b"authorization", b"Bearer os_secret") in site.fields(Request("GET", "/"))
    for shown in (
        site,
        RestStore.create("http://host", "os_secret"),
        AsyncRestStore.create("http://host", "os_secret"),
    ):
        assert "os_secret" not in f"{shown!r}{shown!s}"
    assert str(site) == "http://host/prefix"


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"retry_delay": -0.1},
        {"retry_delay": float("inf")},
        {"retry_delay": float("nan")},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_connections": 0},
    ],
    ids=repr,
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"from \d on|above 0"):
        RestStore.create("http://host", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"from \d on|above 0"):
        AsyncRestStore.create("http://host", **options)  # type: ignore[arg-type]
