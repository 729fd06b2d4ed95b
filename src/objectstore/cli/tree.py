"""`objectstore tree`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import reported
from objectstore.cli.output import Json, Output, Quiet
from objectstore.cli.stores import Stores

if TYPE_CHECKING:
    from objectstore.client import RestStore

EXAMPLES: Final = ("objectstore tree photos/", "objectstore tree --depth 2")


def tree(
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX",
            autocompletion=keys_of_server,
            show_default=False,
            help="What the keys start with; by default anything.",
        ),
    ] = "",
    depth: Annotated[
        int | None, typer.Option("--depth", "-L", metavar="NUMBER", min=1, show_default=False, help="No deeper levels.")
    ] = None,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show keys as a tree, cut at each /. With --depth only that much is asked for."""
    out = Output(json=json, quiet=quiet)
    with reported(out), Stores(url, token, profile) as stores:
        store, above = stores.of_key(prefix)
        names = list(store.keys(above) if depth is None else _groups(store, above, depth))
        if json:
            for name in names:
                out.document({"prefix" if depth is not None and name.endswith("/") else "key": name})
            return
        out.line(above or ".")
        for line in drawn(name.removeprefix(above) for name in names):
            out.line(line)
        keys = sum(not name.endswith("/") for name in names)
        out.say(f"{keys} objects" + ("" if depth is None else f" up to a depth of {depth}"))


def _groups(store: RestStore, prefix: str, depth: int) -> Iterator[str]:
    """Keys, and the groups that are not gone into, in order."""
    cursor: str | None = None
    while True:
        page = store.list(prefix, delimiter="/", cursor=cursor)
        groups = set(page.prefixes)
        for name in sorted([*page.keys, *groups], key=str.encode):
            if name in groups and depth > 1:
                yield from _groups(store, name, depth - 1)
            else:
                yield name
        cursor = page.next_cursor
        if cursor is None:
            return


def drawn(names: Iterable[str]) -> Iterator[str]:
    """The lines of a tree of names, which come in the order of their bytes."""
    root: dict[str, dict] = {}  # type: ignore[type-arg]  # of dictionaries like itself
    for name in names:
        level = root
        *folders, last = name.split("/")
        for folder in folders:
            level = level.setdefault(f"{folder}/", {})
        if last:
            level.setdefault(last, {})
    yield from _branches(root, ())


def _branches(level: dict[str, dict], above: Sequence[str]) -> Iterator[str]:  # type: ignore[type-arg]  # as above
    left = len(level)
    for name, below in level.items():
        left -= 1
        yield "".join(above) + ("├── " if left else "└── ") + name
        yield from _branches(below, (*above, "│   " if left else "    "))
