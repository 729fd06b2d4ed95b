"""`objectstore rm`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.completion import keys as keys_of_server
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import FAILED, OK, Usage, code_of, reported
from objectstore.cli.locations import Server, key_at
from objectstore.cli.output import Json, Output, Quiet, printable
from objectstore.cli.stores import Stores
from objectstore.errors import Forbidden, NotFound, ObjectStoreError
from objectstore.wire.errors import details
from objectstore.wire.replies import Deleted, Page

if TYPE_CHECKING:
    from objectstore.client import RestStore

EXAMPLES: Final = (
    "objectstore rm reports/2025.pdf reports/2026.pdf",
    "objectstore rm -r photos/2019/",
    "objectstore rm -r --yes tmp/",
)


def rm(
    keys: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY...", autocompletion=keys_of_server, help="Which objects; with -r, what keys start with."
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Delete every object whose key starts with what is given.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before -r deletes.")] = False,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Delete objects. There is no way back.

    With -r, photos deletes photos/1.jpg and photos-old/1.jpg, photos/ only the former.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        if recursive and not yes and not sys.stdin.isatty():
            raise Usage("-r asks before it deletes, and there is no terminal to ask on: add --yes")
        with Stores(url, token, profile) as stores:
            _refuse_two_meanings(stores, keys, recursive=recursive)
            places = [stores.of_key(key) for key in keys]
            if recursive:
                code = max([_delete_prefix(store, prefix, out, ask=not yes) for store, prefix in places])
            else:
                by_store: dict[RestStore, list[str]] = {}
                for store, key in places:
                    by_store.setdefault(store, []).append(key)
                code = max([_delete(store, there, out) for store, there in by_store.items()])
    if code:
        raise typer.Exit(code)


def _refuse_two_meanings(stores: Stores, keys: Sequence[str], *, recursive: bool) -> None:
    """What is typed as os:x may come from a program that means a key of that very name. Raises Usage: there is one."""
    for typed in keys:
        place = key_at(typed)
        if not place.text or place.server != Server():
            continue
        store = stores.at(place.server)
        with suppress(Forbidden):  # not to be deleted either
            if store.list(typed, limit=1).keys if recursive else store.exists(typed):
                what = "there are keys that start so" if recursive else "there is a key of that name"
                raise Usage(f"{typed!r} has two meanings, as {what}: type {place.key!r} or {'os:' + typed!r}")


def _delete_prefix(store: RestStore, prefix: str, out: Output, *, ask: bool) -> int:
    page = store.list(prefix)
    if page.keys and ask and not _confirmed(prefix, page):
        out.say("nothing was deleted")
        return FAILED
    code = count = 0
    while True:
        found = store.delete_many(page.keys) if page.keys else Deleted()
        count += len(found.deleted)
        for key, error in found.failed.items():
            code = max(code, _failed(key, error, out))
        if out.json:
            _tell_deleted(found, out)
        if page.next_cursor is None:
            break
        page = store.list(prefix, cursor=page.next_cursor)
    out.say(f"{count} deleted")
    return code


def _confirmed(prefix: str, page: Page) -> bool:
    number = f"more than {len(page.keys)}" if page.has_more else str(len(page.keys))
    which = f"with keys that start with '{printable(prefix)}'" if prefix else "of this store, all that it holds"
    return typer.confirm(f"Delete {number} objects {which}?", err=True)


def _delete(store: RestStore, keys: Sequence[str], out: Output) -> int:
    found = store.delete_many(keys)
    _tell_deleted(found, out)
    failed = {**found.failed, **{key: NotFound(key) for key in found.absent}}
    return max((_failed(key, error, out) for key, error in failed.items()), default=OK)


def _tell_deleted(found: Deleted, out: Output) -> None:
    for key in found.deleted:
        if out.json:
            out.document({"key": key, "deleted": True})
        else:
            out.say(f"deleted {key}")


def _failed(key: str, error: ObjectStoreError, out: Output) -> int:
    if out.json:
        out.document({"key": key, "deleted": False, "error": details(error)})
    else:
        out.error(error)
    return code_of(error)
