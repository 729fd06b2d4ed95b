"""Which server a command talks to, and with which token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from objectstore.cli.exits import Usage

if TYPE_CHECKING:
    from objectstore.client import AsyncRestStore, RestStore

DEFAULT_URL: Final = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option("--url", envvar="OBJECTSTORE_URL", metavar="URL", help="Where the server is.")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="OBJECTSTORE_TOKEN",
        metavar="TOKEN",
        show_default=False,
        help="What the server knows you by. Better in the environment: other users see command lines.",
    ),
]


def connect(url: str, token: str | None) -> RestStore:
    """The client for a server; the caller closes it. Raises Usage when `url` is none."""
    _check(url)
    # Only now: it takes a while to import, and commands that talk to no server do without.
    from objectstore.client import RestStore

    try:
        return RestStore.create(url, token or None)
    except ValueError as error:
        raise _unusable(error) from error


def connect_async(url: str, token: str | None, connections: int) -> AsyncRestStore:
    """As `connect`, for so many requests at once."""
    _check(url)
    from objectstore.client import AsyncRestStore

    try:
        return AsyncRestStore.create(url, token or None, max_connections=connections)
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
