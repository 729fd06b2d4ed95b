"""`objectstore token …`, also run as `python -m objectstore.auth_tokens …`: who may use a server."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from objectstore.auth.document import find, parse_scope
from objectstore.auth.scopes import EVERY_KEY, SCOPES, Scope
from objectstore.auth.store import TokenFile
from objectstore.auth.tokens import UNBOUNDED, Allowance, TokenRecord, expired
from objectstore.cli.exits import Usage, reported
from objectstore.cli.output import Json, Output
from objectstore.config.units import parse_size
from objectstore.core.rates import Rate, format_rate, parse_rate

_CHOICE: Final = "|".join(SCOPES)

app: Final = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Add, list, show, edit, refresh, rotate and delete the tokens that a server accepts.",
)

File = Annotated[
    Path,
    typer.Option("--file", envvar="AUTH_TOKENS_FILE", metavar="FILE", help="The token file that the server reads."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the token is called; not secret.")]
Ttl = Annotated[float, typer.Option("--ttl", metavar="DAYS", help="How many days from now it is valid.")]

QuotaSize = Annotated[
    str | None,
    typer.Option(
        "--quota",
        metavar="SIZE",
        show_default=False,
        help="How much may be kept under its prefix, or under each, as in 50GB; none is any amount.",
    ),
]
QuotaObjects = Annotated[
    str | None,
    typer.Option(
        "--quota-objects",
        metavar="NUMBER",
        show_default=False,
        help="How many objects may be kept there; none is any number.",
    ),
]

_DEFAULT_FILE: Final = Path("tokens.json")
_DIGITS: Final = 18  # of a number of objects
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
    quota: QuotaSize = None,
    quota_objects: QuotaObjects = None,
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
            quota=_quota(UNBOUNDED, quota, quota_objects),
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
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar=_CHOICE, help="What it may do, instead; give one for each."),
    ] = None,
    prefix: Annotated[
        list[str] | None,
        typer.Option("--prefix", help="Only keys that start so, instead; give it for each. Empty: every key."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="RATE",
            show_default=False,
            help='How often it may ask, as in "10/second;300/minute"; none is no limit, default that of the server.',
        ),
    ] = None,
    quota: QuotaSize = None,
    quota_objects: QuotaObjects = None,
    file: File = _DEFAULT_FILE,
) -> None:
    """Change what a token may do, and nothing else of it: servers go by it within a second."""
    out = Output()
    with reported(out):
        if all(one is None for one in (scope, prefix, rate, quota, quota_objects)):
            raise Usage("say what to change: --scope, --prefix, --rate, --quota or --quota-objects")

        def changed(old: TokenRecord) -> TokenRecord:
            new = replace(old, quota=_quota(old.quota, quota, quota_objects))
            if scope is not None:
                new = replace(new, scopes=_chosen(scope))
            if prefix is not None:
                new = replace(new, prefixes=tuple(prefix))
            if rate is not None:
                new = replace(new, rate=None if rate.strip().lower() == _SERVERS else _rate(rate))
            return new

        record = TokenFile(file).change(name, changed)
        for line in _lines(record, datetime.now(UTC)):
            out.say(line)


@app.command()
def rotate(
    name: Name,
    ttl: Annotated[
        float | None,
        typer.Option("--ttl", metavar="DAYS", show_default="the end stays", help="How many days from now it is valid."),
    ] = None,
    file: File = _DEFAULT_FILE,
) -> None:
    """Put another token in the place of one, and print it.

    The old one ends within a second, and so do the links that it signed.
    """
    out = Output()
    with reported(out):
        lifetime = None if ttl is None else _lifetime(ttl)
        out.line(TokenFile(file).rotate(name, now=datetime.now(UTC), ttl=lifetime))
        out.say(f"{name} in {file} is another token now. It is shown only this once: keep it where it stays secret.")


@app.command()
def show(name: Name, json: Json = False, file: File = _DEFAULT_FILE) -> None:
    """Show all that is known of a token; the token itself nobody knows but its bearer."""
    out = Output(json=json)
    with reported(out):
        now = datetime.now(UTC)
        record = find(TokenFile(file).read(), name)
        if json:
            out.document(_described(record, now))
        else:
            for line in _lines(record, now):
                out.line(line)


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


def _quota(old: Allowance, size: str | None, objects: str | None) -> Allowance:
    if size is not None:
        old = replace(old, size=None if _is_none(size) else _size(size))
    if objects is not None:
        old = replace(old, objects=None if _is_none(objects) else _number(objects))
    return old


def _is_none(text: str) -> bool:
    return text.strip().lower() == "none"


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError:
        raise Usage(f"--quota {text!r}: a number of bytes such as 50GB or 1.5TiB, or none") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise Usage(f"--quota-objects {text!r}: a number of objects, or none")
    return int(text)


def _shown(rate: Rate | None) -> str:
    return _SERVERS if rate is None else format_rate(rate)


def _table(records: Iterable[TokenRecord], now: datetime) -> Iterable[str]:
    rows = [("NAME", "SCOPES", "EXPIRES", "RATE", "QUOTA", "PREFIXES")]
    for record in records:
        told = (_end(record, now), _shown(record.rate), _shown_quota(record), _prefixes(record))
        rows.append((record.name, _scopes(record), *told))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _lines(record: TokenRecord, now: datetime) -> Iterable[str]:
    yield f"name:      {record.name}"
    yield f"scopes:    {_scopes(record)}"
    yield f"prefixes:  {_prefixes(record)}"
    yield f"rate:      {_shown(record.rate)}"
    yield f"quota:     {_shown_quota(record)}"
    yield f"created:   {_time(record.created)}"
    yield f"expires:   {_end(record, now)}"


def _end(record: TokenRecord, now: datetime) -> str:
    return _time(record.expires) + (" (expired)" if expired(record, now) else "")


def _prefixes(record: TokenRecord) -> str:
    return "every key" if record.prefixes == EVERY_KEY else " ".join(map(repr, record.prefixes))


def _shown_quota(record: TokenRecord) -> str:
    size, objects = record.quota.size, record.quota.objects
    told = [] if size is None else [f"{size} bytes"]
    return ", ".join(told if objects is None else [*told, f"{objects} objects"]) or "none"


def _described(record: TokenRecord, now: datetime) -> dict[str, object]:
    return {
        "name": record.name,
        "scopes": [scope for scope in SCOPES if scope in record.scopes],
        "prefixes": None if record.prefixes == EVERY_KEY else list(record.prefixes),
        "rate": None if record.rate is None else format_rate(record.rate),
        "quota": {"bytes": record.quota.size, "objects": record.quota.objects},
        "created": _time(record.created),
        "expires": None if record.expires is None else _time(record.expires),
        "expired": expired(record, now),
    }


def _scopes(record: TokenRecord) -> str:
    return ", ".join(scope for scope in SCOPES if scope in record.scopes)


def _time(time: datetime | None) -> str:
    return "never" if time is None else format(time, "%Y-%m-%dT%H:%M:%SZ")
