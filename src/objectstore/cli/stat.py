"""`objectstore stat`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import reported
from objectstore.cli.output import Json, Output, Quiet, described, human_size
from objectstore.cli.stores import Stores
from objectstore.core.attributes import fields
from objectstore.values import DEFAULT_CONTENT_TYPE, ObjectInfo
from objectstore.wire.records import format_time

EXAMPLES: Final = ("objectstore stat reports/2026.pdf", "objectstore stat reports/2026.pdf --json | jq .size")
_WIDTH: Final = 20


def stat(
    key: Annotated[str, typer.Argument(metavar="KEY", autocompletion=keys_of_server, help="Which object.")],
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what is known of an object: size, type, time of writing, SHA-256, metadata."""
    out = Output(json=json, quiet=quiet)
    with reported(out):
        with Stores(url, token, profile) as stores:
            store, name = stores.of_key(key)
            info = store.head(name)
        if json:
            out.document(described(info))
            return
        for fact, value in _facts(info):
            out.line(f"{fact:<{_WIDTH}} {value}")


def _facts(info: ObjectInfo) -> list[tuple[str, str]]:
    attributes = info.attributes
    facts = [
        ("key", info.key),
        ("size", f"{info.size} ({human_size(info.size)})"),
        ("modified", format_time(info.modified)),
        ("etag", info.etag),
    ]
    # In hexadecimal, as sha256sum and its like print them.
    facts += [(algorithm, digest.hex()) for algorithm, digest in info.digests.items()]
    if attributes.content_type is None:
        facts.append(("content-type", DEFAULT_CONTENT_TYPE))
    facts += fields(attributes)
    facts += [(f"meta {name}", value) for name, value in attributes.metadata.items()]
    return facts
