"""`objectstore token …`, also run as `python -m objectstore.auth_tokens …`: who may use a server."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from objectstore.auth.document import parse_scope
from objectstore.auth.scopes import EVERY_KEY, SCOPES, Scope
from objectstore.auth.store import TokenFile
from objectstore.auth.tokens import TokenRecord, expired
from objectstore.cli.exits import Usage, reported
from objectstore.cli.output import Json, Output
from objectstore.core.rates import Rate, format_rate, parse_rate

_CHOICE: Final = "|".join(SCOPES)

app: Final = typer.Typer(
    no_args_is_help=True, help="Add, list, refresh, edit and delete the tokens that a server accepts."
)

File = Annotated[
    Path,
    typer.Option("--file", envvar="AUTH_TOKENS_FILE", metavar="FILE", help="The token file that the server reads."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the token is called; not secret.")]
Ttl = Annotated[float, typer.Option("--ttl", metavar="DAYS", help="How many days from now it is valid.")]

_DEFAULT_FILE: Final = Path("tokens.json")
_SERVERS: Final = "default"  # the rate limit of a token that has none of its own


@app.command()
def add(
    name: Name,
    ttl: Ttl,
    scope: Annotated[list[str], typer.Option("--scope", metavar=_CHOICE, help="What it may do; give one for each.")],
    prefix: Annotated[
        list[str] | None,
        typer.Option("--prefix", help="Only keys that start so; give it for each prefix. Without it: every key."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="RATE",
            show_default="that of the server",
            help='How often it may ask, as in "10/second;300/minute"; none is no limit.',
        ),
    ] = None,
    file: File = _DEFAULT_FILE,
) -> None:
    """Add a token and print it: the one time that it is shown, as only its hash is kept."""
    out = Output()
    with reported(out):
        if "" in (prefix or ()):
            raise Usage("--prefix is empty; leave it out to allow every key")
        now = datetime.now(UTC)
        prefixes = tuple(prefix) if prefix else EVERY_KEY
        token = TokenFile(file).add(
            name,
            scopes=_chosen(scope),
            prefixes=prefixes,
            now=now,
            ttl=_lifetime(ttl),
            rate=None if rate is None else _rate(rate),
        )
        out.line(token)
        out.say(f"{name} is in {file}. The token is shown only this once: keep it where it stays secret.")


@app.command()
def delete(name: Name, file: File = _DEFAULT_FILE) -> None:
    """Delete a token: servers refuse it within a second."""
    out = Output()
    with reported(out):
        TokenFile(file).delete(name)
        out.say(f"{name} is deleted from {file}")


@app.command()
def refresh(
    name: Name,
    ttl: Ttl,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar=_CHOICE, help="What it may do from now on, instead of what it might before."),
    ] = None,
    file: File = _DEFAULT_FILE,
) -> None:
    """Give a token, expired or not, a new end. The token itself stays the same."""
    out = Output()
    with reported(out):
        scopes = _chosen(scope) if scope else None
        record = TokenFile(file).refresh(name, now=datetime.now(UTC), ttl=_lifetime(ttl), scopes=scopes)
        out.say(f"{name} may {_scopes(record)} until {_time(record.expires)}")


@app.command()
def edit(
    name: Name,
    rate: Annotated[
        str,
        typer.Option(
            "--rate",
            metavar="RATE",
            help='How often it may ask, as in "10/second;300/minute"; none is no limit, default that of the server.',
        ),
    ],
    file: File = _DEFAULT_FILE,
) -> None:
    """Change what a token may do, and nothing else of it: servers go by it within a second."""
    out = Output()
    with reported(out):
        chosen = None if rate.strip().lower() == _SERVERS else _rate(rate)
        record = TokenFile(file).change(name, lambda old: replace(old, rate=chosen))
        out.say(f"{name} has the rate limit {_shown(record.rate)}")


@app.command(name="list")
def list_tokens(json: Json = False, file: File = _DEFAULT_FILE) -> None:
    """List the tokens: names, scopes, prefixes, rate limits and when they end."""
    out = Output(json=json)
    with reported(out):
        now = datetime.now(UTC)
        records = TokenFile(file).read().records
        if json:
            for record in records:
                out.document(_described(record, now))
        elif records:
            for line in _table(records, now):
                out.line(line)
        else:
            out.say(f"there are no tokens in {file}")


def _lifetime(days: float) -> timedelta:
    if not 0 < days < math.inf:
        raise Usage(f"--ttl {days:g}: a number of days greater than 0")
    try:
        return timedelta(days=days)
    except OverflowError:
        raise Usage(f"--ttl {days:g}: more days than there are dates for") from None


def _chosen(texts: Iterable[str]) -> frozenset[Scope]:
    try:
        return frozenset(map(parse_scope, texts))
    except ValueError as error:
        raise Usage(f"--scope {error}: there are {', '.join(SCOPES)}") from None


def _rate(text: str) -> Rate:
    try:
        return parse_rate(text)
    except ValueError as error:
        raise Usage(f"--rate {error}") from None


def _shown(rate: Rate | None) -> str:
    return _SERVERS if rate is None else format_rate(rate)


def _table(records: Iterable[TokenRecord], now: datetime) -> Iterable[str]:
    rows = [("NAME", "SCOPES", "EXPIRES", "RATE", "PREFIXES")]
    for record in records:
        end = _time(record.expires) + (" (expired)" if expired(record, now) else "")
        prefixes = "every key" if record.prefixes == EVERY_KEY else " ".join(map(repr, record.prefixes))
        rows.append((record.name, _scopes(record), end, _shown(record.rate), prefixes))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _described(record: TokenRecord, now: datetime) -> dict[str, object]:
    return {
        "name": record.name,
        "scopes": [scope for scope in SCOPES if scope in record.scopes],
        "prefixes": None if record.prefixes == EVERY_KEY else list(record.prefixes),
        "rate": None if record.rate is None else format_rate(record.rate),
        "created": _time(record.created),
        "expires": None if record.expires is None else _time(record.expires),
        "expired": expired(record, now),
    }


def _scopes(record: TokenRecord) -> str:
    return ", ".join(scope for scope in SCOPES if scope in record.scopes)


def _time(time: datetime | None) -> str:
    return "never" if time is None else format(time, "%Y-%m-%dT%H:%M:%SZ")
