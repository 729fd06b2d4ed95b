"""`objectstore ls`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import reported
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.stores import Stores
from objectstore.values import ObjectInfo
from objectstore.wire.records import record

if TYPE_CHECKING:
    from objectstore.client import RestStore

EXAMPLES: Final = (
    "objectstore ls",
    "objectstore ls -l photos/",
    "objectstore ls -r photos/2026-",
    "objectstore ls -r --json | jq -s 'map(.size) | add'",
)
_Entry: TypeAlias = tuple[str, ObjectInfo | None]  # a key with its details, if asked for, or a group without
_SIZE_WIDTH: Final = 9
_TIME: Final = "%Y-%m-%d %H:%M:%S"
_TIME_WIDTH: Final = 19


def ls(
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX",
            autocompletion=keys_of_server,
            show_default=False,
            help="What the keys start with; by default anything.",
        ),
    ] = "",
    long: Annotated[bool, typer.Option("--long", "-l", help="Show size and time of writing, too.")] = False,
    recursive: Annotated[
        bool,
        typer.Option("--recursive", "-r", help="Every key, instead of one line for those that share a part up to /."),
    ] = False,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List keys, in the order of their UTF-8 bytes.

    PREFIX is any beginning of a key: photos lists photos/ and photos-old/, photos/ lists what is in it.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out), Stores(url, token, profile) as stores:
        for name, info in _entries(*stores.of_key(prefix), "" if recursive else "/", details=long or json):
            if json:
                out.document({"prefix": name} if info is None else record(info))
            else:
                out.line(_long(name, info) if long else name)


def _entries(store: RestStore, prefix: str, delimiter: str, *, details: bool) -> Iterator[_Entry]:
    """Keys and groups in order, page after page."""
    cursor: str | None = None
    while True:
        page = store.list(prefix, delimiter=delimiter, cursor=cursor, details=details)
        keys: list[_Entry] = (
            [(info.key, info) for info in page.objects] if details else [(key, None) for key in page.keys]
        )
        groups: list[_Entry] = [(group, None) for group in page.prefixes]
        yield from sorted(keys + groups, key=lambda entry: entry[0])
        cursor = page.next_cursor
        if cursor is None:
            return


def _long(name: str, info: ObjectInfo | None) -> str:
    if info is None:
        return f"{'-':>{_SIZE_WIDTH}}  {'-':<{_TIME_WIDTH}}  {name}"
    modified = info.modified.astimezone().strftime(_TIME)
    return f"{human_size(info.size):>{_SIZE_WIDTH}}  {modified}  {name}"
