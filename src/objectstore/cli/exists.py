"""`objectstore exists`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import NOT_FOUND, reported
from objectstore.cli.output import Json, Output, Quiet
from objectstore.cli.stores import Stores
from objectstore.errors import NotFound

EXAMPLES: Final = ("objectstore exists reports/2026.pdf && echo there",)


def exists(
    key: Annotated[str, typer.Argument(metavar="KEY", autocompletion=keys_of_server, help="Which object.")],
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether there is an object under a key: the exit code is 0 if there is, 4 if not."""
    out = Output(json=json, quiet=quiet)
    with reported(out):
        with Stores(url, token, profile) as stores:
            store, name = stores.of_key(key)
            found = store.exists(name)
        if json:
            out.document({"key": name, "exists": found})
        elif not found:
            out.say(str(NotFound(name)))
        if not found:
            raise typer.Exit(NOT_FOUND)
