"""`objectstore check`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Protocol, runtime_checkable

import typer

from objectstore.cli.exits import FAILED, Usage, reported
from objectstore.cli.output import Json, Output, Quiet
from objectstore.cli.serve import DEFAULT_DATA

if TYPE_CHECKING:
    from objectstore.config.schema import StoreConfig

EXAMPLES: Final = (
    "objectstore check /srv/objects",
    "objectstore check /srv/objects --deep --repair --from /mnt/backup",
    "objectstore check --config storage.yaml --deep",
    "objectstore check --config storage.yaml --store mirror --repair",
)
_ENGINE: Final = "EngineStore"


class Finding(Protocol):
    """Something that is not as it should be."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def repaired(self) -> bool: ...


@runtime_checkable
class Checkable(AbstractAsyncContextManager["Checkable"], Protocol):
    """A backend that can compare what it holds with what it should hold. It is open while it does."""

    def findings(self, *, deep: bool, repair: bool) -> AsyncIterator[Finding]:
        """What is wrong. `deep` reads every body; `repair` mends what can be mended without a loss."""
        ...


def check(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A data folder; without it and --config, what 'serve' would serve."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="The same, as other commands have it.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A storage.yaml.")] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="NAME", help="A store of the file, instead of its main one.")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every body and compare digests.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended without a loss.")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="BACKUP", help="With --repair: take what is damaged from this backup."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look for what is missing, damaged or left over in a data folder, or in the stores of a storage.yaml.

    It may run beside a server. Each finding is a line; the exit code is 1 when one is left unrepaired. Of stores
    in several layers each is checked that offers it: the embedded store, and mirrors, whose copies are compared.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        if path is not None and data is not None:
            raise Usage("give the data folder once, as DIR or by --data")
        path = path or data
        if path is not None and (config is not None or store is not None):
            raise Usage("give a data folder, or --config, not both")
        if source is not None and not repair:
            raise Usage("--from is where --repair takes good copies from: give both")
        if asyncio.run(_check(_chosen(path, config, store), out, deep=deep, repair=repair, source=source)):
            raise typer.Exit(FAILED)


def _chosen(path: Path | None, config: Path | None, store: str | None) -> Path | StoreConfig:
    from objectstore.config.schema import load
    from objectstore.config.settings import load_settings

    if path is not None:
        return path
    if config is not None:
        return load(config, os.environ, store)
    settings = load_settings()
    if settings.storage_config is not None:
        return load(settings.storage_config, os.environ, store or settings.storage_name)
    if store is not None:
        raise Usage("--store names a store of a file: give that by --config, or set STORAGE_CONFIG")
    return settings.data_dir or Path(DEFAULT_DATA)


async def _check(chosen: Path | StoreConfig, out: Output, *, deep: bool, repair: bool, source: Path | None) -> bool:
    """Tell every finding; whether one is left."""
    left = repaired = layers = 0
    for name, checked in _layers(chosen, deep=deep, repair=repair, source=source):
        layers += 1
        async with aclosing(checked) as findings:
            async for finding in findings:
                _tell(name, finding, out)
                repaired += finding.repaired
                left += not finding.repaired
    if not layers:
        out.say("no layer of this store can be checked")
    else:
        out.say(f"{left + repaired} found, {repaired} repaired" if left or repaired else "all is well")
    return left > 0


def _layers(
    chosen: Path | StoreConfig, *, deep: bool, repair: bool, source: Path | None
) -> Iterator[tuple[str, AsyncGenerator[Finding, None]]]:
    if isinstance(chosen, Path):
        yield str(chosen), _of_engine(chosen, deep=deep, repair=repair, source=source)
        return
    from objectstore.config.build import build

    # From the outside in: what a mirror has repaired is in order when its child is looked at.
    for config in _tree(chosen):
        if _ENGINE in config.type.names:
            yield config.name, _of_engine(config.values["path"], deep=deep, repair=repair, source=source)
        elif isinstance(backend := build(config), Checkable):
            yield config.name, _of_backend(backend, deep=deep, repair=repair)


def _tree(config: StoreConfig) -> Iterator[StoreConfig]:
    """Each store once, before those that it wraps."""
    waiting, seen = [config], set()
    while waiting:
        one = waiting.pop(0)
        if one.name not in seen:
            seen.add(one.name)
            yield one
            waiting += one.bases


async def _of_engine(path: Path, *, deep: bool, repair: bool, source: Path | None) -> AsyncGenerator[Finding, None]:
    from objectstore.backends.engine.check import check as check_engine

    found = check_engine(path, deep=deep, repair=repair, backup=source)
    while (finding := await asyncio.to_thread(next, found, None)) is not None:
        yield finding


async def _of_backend(backend: Checkable, *, deep: bool, repair: bool) -> AsyncGenerator[Finding, None]:
    async with backend:
        async for finding in backend.findings(deep=deep, repair=repair):
            yield finding


def _tell(store: str, finding: Finding, out: Output) -> None:
    if out.json:
        told = {"kind": finding.kind, "name": finding.name, "message": finding.message, "repaired": finding.repaired}
        out.document({"store": store, **told})
    else:
        done = " (repaired)" if finding.repaired else ""
        out.line(f"{store}: {finding.kind}: {finding.name}: {finding.message}{done}")
