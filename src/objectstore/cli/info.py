"""`objectstore info`."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import typer

from objectstore.cli.connection import Profile, Token, Url, connect_to, located
from objectstore.cli.exits import reported
from objectstore.cli.output import Json, Output, human_size
from objectstore.core.grouping import Groups, Share
from objectstore.errors import Forbidden

if TYPE_CHECKING:
    from objectstore.client.place import Place

EXAMPLES: Final = (
    "objectstore info --data /srv/objects",
    "objectstore info --depth 2 --top 20 --json",
)
_TIMEOUT: Final = 30.0  # seconds
_SIZES: Final = {
    "objects": "bytes",
    "inline": "inline_bytes",
    "files": "file_bytes",
    "parts": "part_bytes",
    "garbage": "garbage_bytes",
}
_Facts = dict[str, int | str]  # what was counted, sizes in bytes, under the names that `--json` gives them


def info(
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Count a data folder instead, also beside its server.")
    ] = None,
    depth: Annotated[
        int, typer.Option("--depth", min=1, metavar="NUMBER", help="Group keys by so many parts that end in /.")
    ] = 1,
    top: Annotated[int, typer.Option("--top", min=0, metavar="NUMBER", help="How many groups to show.")] = 10,
    json: Json = False,
) -> None:
    """Tell what a store holds: objects, bytes, uploads, and the largest groups of keys.

    A data folder takes a few seconds for each million objects and tells what is inside it as well. A server is
    asked for the records of all keys that your token covers, a thousand with each request.
    """
    out = Output(json=json)
    with reported(out):
        facts, largest = (
            _of_server(located(url, token, profile), depth, top) if data is None else _of_folder(data, depth, top)
        )
        if json:
            prefixes = [{"prefix": one.prefix, "objects": one.objects, "bytes": one.size} for one in largest]
            out.document({**facts, "largest": prefixes})
        else:
            for line in (*_lines(facts), *_table(largest)):
                out.line(line)


def _of_folder(data: Path, depth: int, top: int) -> tuple[_Facts, Sequence[Share]]:
    from objectstore.backends.engine.census import take

    census = take(data, depth=depth, top=top)
    facts: _Facts = {
        "format": census.format_version,
        "changes": census.sequence,
        "objects": census.objects,
        "bytes": census.size,
        "inline": census.inline,
        "inline_bytes": census.inline_size,
        "files": census.blobs,
        "file_bytes": census.blobs_size,
        "uploads": census.uploads,
        "parts": census.parts,
        "part_bytes": census.parts_size,
        "garbage": census.garbage,
        "garbage_bytes": census.garbage_size,
        "index_bytes": census.index_size,
        "log_bytes": census.log_size,
    }
    return facts, census.largest


def _of_server(place: Place, depth: int, top: int) -> tuple[_Facts, Sequence[Share]]:
    groups = Groups(depth)
    with connect_to(place) as store:
        facts = _readiness(place.url)
        for one in store.objects():
            groups.add(one.key, one.size)
        facts |= {"objects": groups.objects, "bytes": groups.size}
        with suppress(Forbidden):  # a token that may only read is not told of uploads
            facts["uploads"] = sum(1 for _ in store.uploads())
    return facts, groups.largest(top)


def _readiness(url: str) -> _Facts:
    try:
        with urlopen(f"{url.rstrip('/')}/health/ready", timeout=_TIMEOUT) as answer:  # noqa: S310  http or https, checked
            told = json_format.load(answer)
    except HTTPError as error:
        return {"ready": f"no ({error.code})"}
    notes: list[str] = told.get("notes", [])
    durability = "relaxed" if any("durability is relaxed" in note for note in notes) else "full"
    facts: _Facts = {"store": told["backend"], "ready": "yes"}
    return {**facts, "durability": durability} if told["backend"] == "EngineStore" else facts


def _lines(facts: _Facts) -> Iterator[str]:
    """One thing a line, with its bytes behind it."""
    for name, value in facts.items():
        if not name.endswith("bytes"):
            size = facts.get(_SIZES.get(name, ""))
            yield f"{name + ':':<12}{value}" + ("" if size is None else f", {human_size(int(size))}")
    for name in ("index", "log"):
        if f"{name}_bytes" in facts:
            yield f"{name + ':':<12}{human_size(int(facts[f'{name}_bytes']))}"


def _table(largest: Sequence[Share]) -> Iterator[str]:
    if largest:
        yield ""
        yield f"{'SIZE':>8}  {'OBJECTS':>9}  PREFIX"
        for one in largest:
            yield f"{human_size(one.size):>8}  {one.objects:>9}  {one.prefix or '(keys without a /)'}"
