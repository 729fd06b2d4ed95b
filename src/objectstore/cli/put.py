"""`objectstore put`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, cast

import typer

from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import Usage, reported
from objectstore.cli.locations import Remote, Server, key_at
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.progress import Meter, metered
from objectstore.cli.source import STDIN, CountedFile, opened, size_of
from objectstore.cli.stores import Stores
from objectstore.client.transfers.kinds import guess_content_type
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, Conditions, ObjectInfo
from objectstore.wire.records import record

if TYPE_CHECKING:
    from objectstore.client import RestStore
    from objectstore.client.sync import Kept

EXAMPLES: Final = (
    "objectstore put report.pdf",
    "objectstore put report.pdf reports/2026.pdf --meta author=Ada",
    "tar cz photos | objectstore put - photos.tar.gz",
)
# Bytes from which on a file goes in parts, each of which can be sent again by itself. Below, sending all of it
# again costs less than what the server does to join parts, which halves the speed.
_LARGE: Final = 1024**3


def put(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="What to store; - reads stdin.")],
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY",
            show_default=False,
            help="Where to store it: by default under the name of the file; after a last / its name is added.",
        ),
    ] = None,
    content_type: Annotated[
        str | None,
        typer.Option("--content-type", metavar="TYPE", help="By default what the ending of the name stands for."),
    ] = None,
    meta: Annotated[
        list[str] | None, typer.Option("--meta", metavar="NAME=VALUE", help="Kept with the object; may be repeated.")
    ] = None,
    no_clobber: Annotated[
        bool, typer.Option("--no-clobber", "-n", help="Fail if there already is an object under the key.")
    ] = False,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Store a file, or what comes in on stdin, under a key.

    An object that is there is replaced as a whole; readers see the old one or the new one.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        place = None if key is None else key_at(key)
        target = _target(file, place)
        guessed = content_type or guess_content_type("" if file == STDIN else file, target)
        kept = kept_of(guessed, meta)
        conditions = ONLY_IF_ABSENT if no_clobber else UNCONDITIONAL
        with opened(file) as source, Stores(url, token, profile) as stores:
            store = stores.at(Server() if place is None else place.server)
            size = size_of(source)
            with metered(target, size, sys.stderr, quiet=json or quiet) as meter:
                info = _send(store, target, source, meter, conditions, kept)
        if json:
            out.document(record(info))
        else:
            out.say(f"stored {info.key} ({human_size(info.size)})")


def _target(file: str, place: Remote | None) -> str:
    whole = place is not None and place.key == "" and place.text != ""  # os: is a folder; an empty key is a mistake
    if file == STDIN:
        if place is None or whole:
            raise Usage("what comes from stdin has no name: say the key, as in objectstore put - KEY")
        return place.key
    name = PurePath(file).name
    if place is None or whole:
        return name
    return place.key + name if place.key.endswith("/") else place.key


def kept_of(content_type: str | None, meta: Iterable[str] | None) -> Kept:
    """What is kept beside the bytes, as it was typed. Raises Usage."""
    kept: Kept = {"metadata": _metadata(meta or ())}
    if content_type is not None:
        kept["content_type"] = content_type
    return kept


def _metadata(entries: Iterable[str]) -> dict[str, str]:
    metadata = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals:
            raise Usage(f"--meta takes NAME=VALUE, not {entry!r}")
        metadata[name.lower()] = value
    return metadata


def _send(store: RestStore, key: str, source: BinaryIO, meter: Meter, conditions: Conditions, kept: Kept) -> ObjectInfo:
    if meter.total is None or meter.total >= _LARGE:
        return store.upload(source, key, conditions=conditions, progress=lambda done, _: meter.move_to(done), **kept)
    # It reads, seeks and tells, which is all of BinaryIO that is asked for.
    return store.put(key, cast("BinaryIO", CountedFile(source, meter)), conditions=conditions, **kept)
