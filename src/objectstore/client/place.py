"""Where a store is, as a URL of a key in it, or as a program leaves it to the environment or to a profile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from objectstore.client.profiles import Profiles, load_profiles, profiles_file, same_place

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


def look_up(url: str | None, token: str | None, profile: str | None = None, *, default: str | None = None) -> Place:
    """Which server is meant, and the token for it; as `choose`, with the environment and the profiles of the user.

    Raises:
        ValueError: no place is known.
        ConfigurationError: there is no such profile, or the profiles cannot be read.
    """
    return choose(url, token, profile, os.environ, load_profiles, default)


def chosen_place(url: str | None, token: str | None, profile: str | None) -> Place:
    """As `look_up`, but who says where without saying which profile has said with which token: none, perhaps."""
    return look_up(url, token, profile) if url is None or profile is not None else Place(url, token)


def choose(
    url: str | None,
    token: str | None,
    profile: str | None,
    environment: Mapping[str, str],
    profiles: Callable[[], Profiles],
    default: str | None = None,
) -> Place:
    """What is given goes before the environment, and that before the profiles; `default` is the URL of last resort.

    What is given is `url` and `token`, and then the named profile; the environment has `OBJECTSTORE_URL` and
    `OBJECTSTORE_TOKEN`, and then `OBJECTSTORE_PROFILE`; at last there is the default profile. No token goes to a
    server that it is not for: that of the environment to no other than `OBJECTSTORE_URL` when there is one, those of
    profiles to none but theirs.
    """
    usual, its_token = environment.get("OBJECTSTORE_URL") or None, environment.get("OBJECTSTORE_TOKEN") or None
    if profile is not None and url is None:
        named = profiles().get(profile)
        return Place(named.url, token or named.token)
    name = profile or environment.get("OBJECTSTORE_PROFILE") or None
    place = url or usual
    if place is None:
        known = profiles()
        name = name or known.default
        if name is not None:
            found = known.get(name)
            return Place(found.url, token or its_token or found.token)
        place = default
    if place is None:
        raise ValueError(
            "where is the store? Say objectstore://host:port/key, url='http://host:port', set OBJECTSTORE_URL, "
            "or run objectstore login"
        )
    if token is None and (usual is None or same_place(usual, place)):
        token = its_token
    return Place(place, profiles().token_for(place, name) if token is None else token)


class Surroundings:
    """A class attribute that differs when `look_up` would answer otherwise."""

    def __get__(self, instance: object, owner: type[object] | None = None) -> str:
        names = ("OBJECTSTORE_URL", "OBJECTSTORE_TOKEN", "OBJECTSTORE_PROFILE")
        known = [*(os.environ.get(name) for name in names), _state_of_profiles()]
        return hashlib.sha256(repr(known).encode()).hexdigest()


def _state_of_profiles() -> tuple[str, int, int] | None:
    try:
        file = profiles_file()
        found = file.stat()
    except (OSError, RuntimeError):
        return None
    return str(file), found.st_ino, found.st_mtime_ns
