"""`objectstore cat`."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import code_of, reported
from objectstore.cli.get import parse_range
from objectstore.cli.output import Json, Output, Quiet
from objectstore.cli.stores import Stores
from objectstore.errors import NotFound

EXAMPLES: Final = ("objectstore cat logs/2026-01 logs/2026-02 | grep error", "objectstore cat logs/today --range -1000")


def cat(
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY...", autocompletion=keys_of_server, help="Which objects, in this order.")
    ],
    range_: Annotated[
        str | None,
        typer.Option(
            "--range", metavar="FIRST-LAST", help="Only these bytes of each, as for get; -500 is the last 500."
        ),
    ] = None,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write objects to stdout, one after the other. One that there is not is told of, and the others are written."""
    out = Output(json=json, quiet=quiet, data_is_taken=True)
    code = 0
    with reported(out):
        wanted = None if range_ is None else parse_range(range_)
        with Stores(url, token, profile) as stores:
            for store, key in [stores.of_key(one) for one in keys]:
                try:
                    with store.stream(key, range=wanted) as reader:
                        for chunk in reader:
                            sys.stdout.buffer.write(chunk)
                except NotFound as error:
                    out.error(error)
                    code = code_of(error)
            sys.stdout.buffer.flush()
    if code:
        raise typer.Exit(code)
