"""`objectstore config …`: what a storage.yaml says, and what it may say."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.exits import Usage, reported
from objectstore.cli.output import PROGRAM, Json, Output, printable

if TYPE_CHECKING:
    from rich.tree import Tree

    from objectstore.config.catalogue import Described
    from objectstore.config.probe import Probed
    from objectstore.config.schema import StorageFile, StoreConfig

app: Final = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Check a storage.yaml, and list the types of stores for one."
)

Markdown = Annotated[bool, typer.Option("--markdown", help="Print the tables of the documentation.")]
_WIDTH: Final = 24  # of the column of names


@app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", envvar="STORAGE_CONFIG", show_default="storage.yaml", help="What to check."),
    ] = None,
    json: Json = False,
) -> None:
    """Check a storage.yaml and open each of its stores; print what each can do.

    What opening a store makes, such as its folder, is made; nothing else is read or written.
    """
    out = Output(json=json)
    with reported(out), _warnings():
        from objectstore.config.probe import probe
        from objectstore.config.schema import load_all

        described = load_all(file or Path("storage.yaml"), os.environ)
        probed = asyncio.run(probe(described))
        if json:
            out.document(_document(described, probed))
        elif sys.stdout.isatty():
            _draw(described, probed)
        else:
            for line in _lines(described, probed):
                out.line(line)


@app.command()
def types(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Tell all of this one.")] = None,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """List the types of stores, with their parameters, or tell all that is known of one."""
    out = Output(json=json)
    with reported(out):
        from objectstore.config import catalogue

        if name is None:
            chosen = list(catalogue.catalogue(lambda error: out.say(f"passed over: {error}")))
        else:
            chosen = [_found(name)]
        if json:
            for one in chosen:
                out.document(catalogue.record(one))
            return
        if markdown:
            lines = catalogue.markdown(chosen)
        elif name is None:
            lines = _overview(chosen)
        else:
            lines = _details(chosen[0])
        for line in lines:
            out.line(line)


class _Once(logging.Filter):
    """Stores are constructed more than once for a check, and would warn each time."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        new = message not in self._told
        self._told.add(message)
        return new


@contextmanager
def _warnings() -> Iterator[None]:
    """What stores warn of while they are looked at goes to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(f"{PROGRAM}: %(message)s"))
    handler.addFilter(_Once())
    logger = logging.getLogger("objectstore")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _found(name: str) -> Described:
    from objectstore.config import catalogue, plugins
    from objectstore.config.nearest import among
    from objectstore.config.types import TYPES

    found = catalogue.find(name)
    if found is None:
        known = [one for kind in TYPES for one in kind.names]
        raise Usage(f"there is no type {name!r}{among(name, (*known, *plugins.names()))}")
    return found


def _overview(chosen: list[Described]) -> Iterator[str]:
    for one in chosen:
        yield f"{one.type.names[0]:<{_WIDTH}}  {one.type.about}"


def _details(described: Described) -> Iterator[str]:
    from objectstore.config.catalogue import base_of

    one, can = described.type, described.capabilities
    yield f"type:       {', '.join(one.names)}"
    yield f"            {one.about}"
    if base_of(one):
        yield f"base:       {base_of(one)}"
    if one.extra:
        yield f"needs:      pip install 'objectstore[{one.extra}]'"
    if can is not None:
        yield f"can:        {_able(can, lacking=False)}"
        yield f"cannot:     {_able(can, lacking=True)}"
        for note in can.notes:
            yield f"            {note}"
    for number, parameter in enumerate(one.parameters):
        marks = "".join([", required" * parameter.required, ", secret" * parameter.secret])
        also = "".join(f", also {alias}" for alias in parameter.aliases)
        yield f"{'parameters:' if number == 0 else '':<12}{parameter.name}{also}{marks}: {parameter.kind.expected}"
        yield f"{'':<14}{parameter.about}"


def _document(described: StorageFile, probed: Probed) -> Mapping[str, object]:
    from objectstore.config.build import shown
    from objectstore.config.catalogue import abilities

    return {
        "main": described.main,
        "stores": [
            {
                "name": name,
                "type": config.type_name,
                "config": dict(shown(config)),
                "bases": [base.name for base in config.bases],
                "place": config.place,
                "capabilities": abilities(probed[name]),
                "notes": list(probed[name].notes),
            }
            for name, config in described.stores.items()
        ],
    }


def _roots(described: StorageFile) -> Iterator[StoreConfig]:
    """The main store, and then those that are in no tree that comes before them."""
    wrapped = {base.name for config in described.stores.values() for base in config.bases}
    yield described.stores[described.main]
    for name, config in described.stores.items():
        if name != described.main and name not in wrapped:
            yield config


def _lines(described: StorageFile, probed: Probed) -> Iterator[str]:
    for root in _roots(described):
        yield from _branch(root, probed, "" if root.name != described.main else " (main)")


def _branch(config: StoreConfig, probed: Probed, mark: str = "") -> Iterator[str]:
    from objectstore.config.build import title

    yield f"{title(config)}{mark}"
    for line in _abilities(config, probed):
        yield f"    {line}"
    for base in config.bases:
        for line in _branch(base, probed):
            yield f"  {line}"


def _abilities(config: StoreConfig, probed: Probed) -> Iterator[str]:
    can = probed[config.name]
    yield f"can: {_able(can, lacking=False)}"
    if _able(can, lacking=True) != "-":
        yield f"cannot: {_able(can, lacking=True)}"
    for note in can.notes:
        yield f"note: {note}"


def _able(can: object, *, lacking: bool) -> str:
    from objectstore.config.catalogue import ABILITIES

    return ", ".join(name for name in ABILITIES if getattr(can, name) is not lacking) or "-"


def _draw(described: StorageFile, probed: Probed) -> None:
    from rich.console import Console
    from rich.tree import Tree

    console = Console(highlight=False)
    for root in _roots(described):
        tree = Tree("", hide_root=True, guide_style="dim")
        _grow(tree, root, probed, " (main)" if root.name == described.main else "")
        console.print(tree)


def _grow(tree: Tree, config: StoreConfig, probed: Probed, mark: str = "") -> None:
    from rich.text import Text

    from objectstore.config.build import title

    label = Text(printable(f"{title(config)}{mark}"))
    for line in _abilities(config, probed):
        label.append("\n" + printable(line), style="yellow" if line.startswith("cannot") else "dim")
    branch = tree.add(label)
    for base in config.bases:
        _grow(branch, base, probed)
