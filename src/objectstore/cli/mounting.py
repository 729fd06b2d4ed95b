"""Commands that are imported when they are asked for: what `serve` needs takes longer to import than `cp` may take."""

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

_PACKAGE: Final = "objectstore.cli"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A command, and where it is. `examples` are shown at the end of its help."""

    name: str
    module: str = ""  # of this package; that of the name, if none is given
    examples: str = "EXAMPLES"
    kind: str = ""  # its class in the module, if it has one of its own
    settings: Mapping[str, object] | None = None

    def load(self) -> TyperCommand | TyperGroup:
        module = import_module(f"{_PACKAGE}.{self.module or self.name}")
        command = getattr(module, self.name.replace("-", "_"))
        text = "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(command) or "").split("\n\n"))
        shown = "\n".join(f"  {example}" for example in getattr(module, self.examples))
        alone = typer.Typer(add_completion=False)
        # \b keeps the lines of a paragraph apart.
        alone.command(
            self.name,
            cls=getattr(module, self.kind) if self.kind else TyperCommand,
            context_settings=None if self.settings is None else {**self.settings},
            help=f"{text}\n\n\b\nExamples:\n{shown}",
        )(command)
        return _built(alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedGroup:
    """Commands with a name in common: the `app` of the module."""

    name: str

    def load(self) -> TyperCommand | TyperGroup:
        group = _built(import_module(f"{_PACKAGE}.{self.name}").app)
        group.name = self.name
        return group


class _Commands(UserDict[str, Any]):  # what Typer keeps its commands in has a type of its own
    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if isinstance(found, Mounted | MountedGroup):
            found = self.data[name] = found.load()
        return found


class Commands(TyperGroup):
    """The group of all commands. Its `mounted` are the ones there are, in the order of the help."""

    mounted: Iterable[Mounted | MountedGroup] = ()

    def __init__(self, **given: Any) -> None:  # of Typer's
        super().__init__(**given)
        self.commands = _Commands({one.name: one for one in self.mounted})

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  as Typer's, which loads them all
        return list(self.commands)


def _built(app: typer.Typer) -> TyperCommand | TyperGroup:
    built = typer.main.get_command(app)
    assert isinstance(built, TyperCommand | TyperGroup)  # noqa: S101  it makes no others
    return built
