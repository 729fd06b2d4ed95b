"""`objectstore get`."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.destination import STDOUT, destination_of, replacing
from objectstore.cli.exits import Usage, reported
from objectstore.cli.locations import key_at
from objectstore.cli.output import Json, Output, Quiet, as_json, described, human_size
from objectstore.cli.progress import metered
from objectstore.cli.stores import Stores
from objectstore.values import Bounded, ByteRange, From, Last

EXAMPLES: Final = (
    "objectstore get reports/2026.pdf",
    "objectstore get reports/2026.pdf /tmp/report.pdf",
    "objectstore get photos.tar.gz - | tar xz",
    "objectstore get logs/today - --range -1000",
)
_RANGE: Final = re.compile(r"(\d*)-(\d*)", re.ASCII)


def get(
    typed: Annotated[str, typer.Argument(metavar="KEY", autocompletion=keys_of_server, help="Which object.")],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|-",
            show_default=False,
            help="Where to write it; - is stdout. By default a file here, named as the end of the key.",
        ),
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="FIRST-LAST",
            help="Only these bytes, counted from 0, both ends included; 500- is all from there on, -500 the last 500.",
        ),
    ] = None,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch an object into a file or to stdout.

    The file appears, or is replaced, when all of the object is there and is what was stored; until then it is
    left alone.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        name = destination_of(key_at(typed).key, file)
        wanted = None if range_ is None else parse_range(range_)
        with Stores(url, token, profile) as stores:
            store, key = stores.of_key(typed)
            with store.stream(key, range=wanted) as reader:
                size = reader.stop - reader.start
                with replacing(name) as target, metered(key, size, sys.stderr, quiet=json or quiet) as meter:
                    for chunk in reader:
                        target.write(chunk)
                        meter.advance(len(chunk))
                info = reader.info
        if not json:
            out.say(f"fetched {key} ({human_size(size)})" + ("" if name == STDOUT else f" into {name}"))
        elif name == STDOUT:
            print(as_json(described(info)), file=sys.stderr)  # noqa: T201  stdout is taken by the object
        else:
            out.document({**described(info), "file": name})


def parse_range(text: str) -> ByteRange:
    """The range that the user means; both ends are included, as in HTTP. Raises Usage."""
    found = _RANGE.fullmatch(text)
    match found and found.groups():
        case (first, "") if first:
            return From(int(first))
        case ("", length) if length and int(length) > 0:
            return Last(int(length))
        case (first, last) if first and last and int(first) <= int(last):
            return Bounded(int(first), int(last) + 1)
    raise Usage(f"{text!r} is no range; FIRST-LAST, FIRST- and -LENGTH are, as in 0-99, 500- and -500")
