"""Keys ⇄ URLs: which places a reader may be led to."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from objectstore.errors import ConfigurationError, InvalidKey

_SCHEMES = ("http", "https")
_DOTS = frozenset({".", ".."})


def parse_base(base_url: str) -> str:
    """The base that keys are put after, with a slash at its end.

    Raises:
        ConfigurationError: it is no plain http(s) URL; the message does not show it, since it may hold a password.
    """
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError("base_url is the beginning of URLs, as in https://host/folder/, without ? and #")
    return base_url if base_url.endswith("/") else base_url + "/"


def url_of(key: str, base: str | None) -> str:
    """Where the object is: below `base`, or the key itself when there is none. Raises InvalidKey."""
    if base is not None:
        return base + _below(key)
    if not key.isprintable() or " " in key:
        raise InvalidKey("HttpStore: a URL has no spaces or controls; percent-encode them")
    try:
        parts = urlsplit(key)
        _ = parts.port
    except ValueError:
        raise InvalidKey(f"HttpStore: {key!r} is no URL") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise InvalidKey("HttpStore: without a base_url a key is an http or https URL")
    if "@" in parts.netloc:
        raise InvalidKey("HttpStore: a key is no place for a user and a password")
    return key


def _below(key: str) -> str:
    # Encoded or not, servers resolve these, and would lead out of the base.
    if not _DOTS.isdisjoint(key.replace("\\", "/").split("/")):
        raise InvalidKey("HttpStore cannot hold a key with a segment '.' or '..': web servers resolve them")
    return quote(key, safe="/~")
