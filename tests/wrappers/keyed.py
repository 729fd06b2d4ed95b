"""Wrappers of keys over memory, as the conformance suite takes them."""

from __future__ import annotations

import re

from objectstore.backends.memory import MemoryBackend
from objectstore.wrappers.hashprefix import HashPrefixed
from objectstore.wrappers.routing import Route, Routing
from objectstore.wrappers.urlencoding import UrlEncoded
from objectstore.wrappers.validkeys import ValidKeys, matching


def hash_prefixed() -> HashPrefixed:
    return HashPrefixed(MemoryBackend({"0123abcd/foreign": b"", "a": b"", "b/": b""}))


def url_encoded() -> UrlEncoded:
    return UrlEncoded(MemoryBackend({"a%2fb": b"", "a b": b"", "%61": b"", "%FF": b"", "a/%": b""}))


def key_matched() -> ValidKeys:
    # Any key of the suite, and not all that there is.
    return matching(MemoryBackend(dict.fromkeys(("a/q!/1", "a/q!", "b/q!/2", "q!"), b"")), "(?s)(?!.*q!)")


def routed() -> Routing:
    one, other = MemoryBackend({"a": b"", "z/a/foreign": b"", "y": b"", "y/": b""}), MemoryBackend({"f": b""})
    return Routing(
        [
            Route(re.compile("^a"), one, "x/"),
            Route(re.compile("[bé]"), other),
            Route(re.compile("/$"), one, "x/"),
            Route(re.compile(""), one, "y/"),
        ]
    )
