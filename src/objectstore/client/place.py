"""Where a store is, as a URL of a key in it or as a program leaves it to the environment."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import Final

SCHEMES: Final = {"objectstore": "http", "objectstores": "https"}


def split_url(path: str) -> tuple[str | None, str]:
    """The base URL and the key in `objectstore://host:port/key`; a path that is no URL is a key, of no known place."""
    scheme, separator, rest = path.partition("://")
    if not separator or scheme not in SCHEMES:
        return None, path
    host, _, key = rest.partition("/")
    return (f"{SCHEMES[scheme]}://{host}" if host else None), key


def join_url(base_url: str, key: str) -> str:
    """The reverse of `split_url`. A base URL with a path of its own has no place in it, and is left out."""
    scheme, _, host = base_url.rstrip("/").partition("://")
    ours = "objectstores" if scheme == "https" else "objectstore"
    return f"{ours}://{host}/{key}" if "/" not in host else f"{ours}:///{key}"


@dataclass(frozen=True, slots=True)
class Place:
    """A base URL, and the token for it."""

    url: str
    token: str | None = field(repr=False)


def look_up(url: str | None, token: str | None) -> Place:
    """What is given, and else what the environment says: `OBJECTSTORE_URL` and `OBJECTSTORE_TOKEN`.

    A token of the environment goes to no other place than that of the environment, when it names one.

    Raises:
        ValueError: no place is known.
    """
    usual = os.environ.get("OBJECTSTORE_URL") or None
    place = url or usual
    if place is None:
        raise ValueError(
            "where is the store? Say objectstore://host:port/key, url='http://host:port', or set OBJECTSTORE_URL"
        )
    if token is None and (usual is None or usual.rstrip("/") == place.rstrip("/")):
        token = os.environ.get("OBJECTSTORE_TOKEN") or None
    return Place(place, token)


class Surroundings:
    """A class attribute that differs when `look_up` would answer otherwise."""

    def __get__(self, instance: object, owner: type[object] | None = None) -> str:
        known = f"{os.environ.get('OBJECTSTORE_URL')}\n{os.environ.get('OBJECTSTORE_TOKEN')}"
        return hashlib.sha256(known.encode()).hexdigest()
