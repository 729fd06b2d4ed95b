"""`objectstore du`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import reported
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.stores import Stores
from objectstore.errors import NotFound

EXAMPLES: Final = ("objectstore du -h photos/", "objectstore du -s photos/ logs/", "objectstore du --depth 1")


@dataclass(slots=True)
class Share:
    """What begins with a prefix."""

    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.objects += 1
        self.bytes += size


def du(
    prefixes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PREFIX...", autocompletion=keys_of_server, help="What the keys start with; by default anything."
        ),
    ] = None,
    summarize: Annotated[bool, typer.Option("--summarize", "-s", help="Only the total of each PREFIX.")] = False,
    human: Annotated[bool, typer.Option("--human", "-h", help="Sizes as 1.5 MiB, instead of bytes.")] = False,
    depth: Annotated[
        int | None, typer.Option("--depth", "-d", metavar="NUMBER", min=0, show_default=False, help="No deeper groups.")
    ] = None,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how much there is below each group of keys, alike up to a /; the total comes last.

    Every record is asked for, a thousand with each request.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out), Stores(url, token, profile) as stores:
        for store, prefix in [stores.of_key(one) for one in prefixes or [""]]:
            sizes = ((info.key, info.size) for info in store.objects(prefix))
            shares = dict(shares_of(sizes, prefix, 0 if summarize else depth))
            if prefix and not shares[prefix].objects:
                raise NotFound(prefix)
            for name, share in shares.items():
                if json:
                    out.document({"prefix": name, "bytes": share.bytes, "objects": share.objects})
                else:
                    size = human_size(share.bytes) if human else str(share.bytes)
                    out.line(f"{size}\t{name or '.'}")


def shares_of(sizes: Iterable[tuple[str, int]], prefix: str, depth: int | None) -> Iterator[tuple[str, Share]]:
    """The groups below the prefix, each after those in it, and at last the prefix itself. Keys come in their order."""
    total = Share()
    begun: list[tuple[str, Share]] = []  # the groups that the last key is in, outermost first
    for key, size in sizes:
        total.add(size)
        while begun and not key.startswith(begun[-1][0]):
            yield begun.pop()
        at = len(begun[-1][0]) if begun else len(prefix)
        while (depth is None or len(begun) < depth) and (slash := key.find("/", at)) != -1:
            begun.append((key[: slash + 1], Share()))
            at = slash + 1
        for _, share in begun:
            share.add(size)
    yield from reversed(begun)
    yield prefix, total
