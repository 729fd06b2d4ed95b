"""`objectstore sign`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import Usage, reported
from objectstore.cli.output import Json, Output, Quiet
from objectstore.cli.stores import Stores
from objectstore.config.units import parse_duration, parse_size
from objectstore.errors import InvalidParameter
from objectstore.wire.links import LinkMethod
from objectstore.wire.records import format_time

EXAMPLES: Final = (
    "objectstore sign reports/2026.pdf --expires 1h",
    "objectstore sign photos/1.jpg --filename 'From the beach.jpg'",
    "objectstore sign inbox/lab-7.csv --method PUT --max-bytes 10MB",
)


def sign(
    key: Annotated[str, typer.Argument(metavar="KEY", autocompletion=keys_of_server, help="Which object.")],
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="For how long from now, as in 90s, 30m, 12h or 7d.")
    ] = "1h",
    method: Annotated[
        LinkMethod, typer.Option("--method", case_sensitive=False, help="What it allows: to read, or to store.")
    ] = "GET",
    max_bytes: Annotated[
        str | None, typer.Option("--max-bytes", metavar="SIZE", help="How much a PUT may store, as in 10MB or 1GiB.")
    ] = None,
    content_type: Annotated[
        str | None, typer.Option("--content-type", metavar="TYPE", help="The one content type that a PUT may have.")
    ] = None,
    filename: Annotated[
        str | None, typer.Option("--filename", metavar="NAME", help="What browsers save a GET under.")
    ] = None,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a URL that reads or stores one object, without a token, until it expires.

    It is made in the name of the token, and ends with it. Whoever has the URL may use it: pass it on as the
    secret that it is.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        lifetime = _lifetime(expires)
        most = None if max_bytes is None else _size(max_bytes)
        with Stores(url, token, profile) as stores:
            store, name = stores.of_key(key)
            try:
                link = store.sign(
                    name,
                    expires=lifetime,
                    method=method,
                    max_bytes=most,
                    content_type=content_type,
                    filename=filename,
                )
            except InvalidParameter as error:
                raise Usage(error.message) from error
        if json:
            told = {"url": link.url, "method": link.method, "key": link.key, "expires_at": format_time(link.expires)}
            out.document(told)
        else:
            out.line(link.url)
            out.say(f"valid until {link.expires:%Y-%m-%dT%H:%M:%SZ}")


def _lifetime(text: str) -> timedelta:
    try:
        lifetime = parse_duration(text)
    except ValueError:
        raise Usage(f"--expires {text!r}: a number with a unit, as in 90s, 30m, 12h or 7d") from None
    if not lifetime:
        raise Usage("--expires is more than no time")
    return lifetime


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError:
        raise Usage(f"--max-bytes {text!r}: a number of bytes, as in 1048576, 10MB or 1GiB") from None
