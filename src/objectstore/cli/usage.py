"""`objectstore usage`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.connection import Profile, Token, Url, connect
from objectstore.cli.exits import reported
from objectstore.cli.output import Json, Output, Quiet, human_size

if TYPE_CHECKING:
    from objectstore.wire.usage import QuotaUsage

EXAMPLES: Final = (
    "objectstore usage",
    "objectstore usage --data /srv/objects --json",
)


def usage(
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Show all tokens with a quota for this data folder instead."),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens", metavar="FILE", show_default="tokens.json in the data folder", help="With --data: the tokens."
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what is kept under the prefixes that a token has a quota for, and how much may be.

    A server is asked about the token that you have; a data folder is read itself, for every token.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        if data is not None:
            found = list(_of_folder(data, data / "tokens.json" if tokens is None else tokens))
        else:
            with connect(url, token, profile) as store:
                found = [("", one) for one in store.usage()]
        if json:
            for name, one in found:
                out.document(_described(name, one))
        elif found:
            for line in _table(found):
                out.line(line)
        else:
            out.say("there is no quota: nothing bounds what may be kept" if data is None else "no token has a quota")


def _of_folder(data: Path, tokens: Path) -> Iterator[tuple[str, QuotaUsage]]:
    from objectstore.auth.store import TokenFile
    from objectstore.auth.tokens import UNBOUNDED, quotas_of
    from objectstore.backends.engine.counters import usage_of
    from objectstore.wire.usage import with_limits

    limited = [record for record in TokenFile(tokens).read().records if record.quota != UNBOUNDED]
    quotas = [(record.name, quota) for record in limited for quota in quotas_of(record)]
    found = usage_of(data, [quota.prefix for _, quota in quotas])
    for name, quota in quotas:
        yield name, with_limits(found[quota.prefix], quota)


def _described(name: str, one: QuotaUsage) -> dict[str, object]:
    from objectstore.wire.usage import record

    return {"token": name, **record(one)} if name else record(one)


def _table(found: Iterable[tuple[str, QuotaUsage]]) -> Iterator[str]:
    rows = [("TOKEN", "PREFIX", "KEPT", "OF", "OBJECTS", "OF")]
    for name, one in found:
        size = human_size(one.size + one.parts_size)
        prefix = repr(one.prefix) if one.prefix else "every key"
        most = "-" if one.max_size is None else human_size(one.max_size)
        rows.append((name, prefix, size, most, str(one.objects), _number(one.max_objects)))
    if not any(row[0] for row in rows[1:]):
        rows = [("", *row[1:]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width).rstrip()


def _number(limit: int | None) -> str:
    return "-" if limit is None else str(limit)
