"""Which server a command talks to, and with which token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypedDict, Unpack
from urllib.parse import urlsplit

import typer

from objectstore.cli.exits import Usage

if TYPE_CHECKING:
    from objectstore.client import AsyncRestStore, RestStore
    from objectstore.client.place import Place

DEFAULT_URL: Final = "http://127.0.0.1:8000"


class Settings(TypedDict, total=False):
    """How a client connects, as keywords of `RestStore.create`."""

    timeout: float
    max_retries: int
    max_connections: int


# What the environment and the profiles say is looked up by `look_up`: a token is not to go to just any `--url`.
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", show_default=False, help=f"Where the server is. [env OBJECTSTORE_URL; {DEFAULT_URL}]"
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        show_default=False,
        help="What the server knows you by; other users see command lines. [env OBJECTSTORE_TOKEN]",
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        show_default=False,
        help="Server and token that login has kept. [env OBJECTSTORE_PROFILE]",
    ),
]


def located(url: str | None, token: str | None, profile: str | None) -> Place:
    """The server that is meant. Raises Usage, ConfigurationError."""
    from objectstore.client.place import look_up

    return look_up(url or None, token or None, profile or None, default=DEFAULT_URL)


def connect(url: str | None, token: str | None, profile: str | None) -> RestStore:
    """The client for a server; the caller closes it. Raises Usage when `url` is none."""
    return connect_to(located(url, token, profile))


def connect_to(place: Place, **settings: Unpack[Settings]) -> RestStore:
    """As `connect`."""
    _check(place.url)
    # Only now: it takes a while to import, and commands that talk to no server do without.
    from objectstore.client import RestStore

    try:
        return RestStore.create(place.url, place.token, **settings)
    except ValueError as error:
        raise _unusable(error) from error


def connect_async(place: Place, connections: int) -> AsyncRestStore:
    """As `connect`, for so many requests at once."""
    _check(place.url)
    from objectstore.client import AsyncRestStore

    try:
        return AsyncRestStore.create(place.url, place.token, max_connections=connections)
    except ValueError as error:
        raise _unusable(error) from error


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise Usage(f"{url!r} is no URL of a server; one looks like {DEFAULT_URL}")


def _unusable(error: ValueError) -> Usage:
    return Usage(f"--url and --token cannot be used: {error}")
