"""The commands, mounted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final

import typer
from typer.core import TyperCommand

from objectstore import __version__
from objectstore.cli import (
    backup,
    bench,
    cat,
    check,
    completion,
    config,
    copystore,
    cp,
    du,
    exists,
    get,
    info,
    login,
    ls,
    mv,
    put,
    restore,
    rm,
    scrub,
    serve,
    sign,
    stat,
    sync,
    token,
    torture,
    tree,
    usage,
)
from objectstore.cli.output import PROGRAM

app: Final = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Objects over plain HTTP: a server that keeps them, and commands that move them.",
)


def _mount(
    command: Callable[..., None],
    examples: Sequence[str],
    kind: type[TyperCommand] | None = None,
    settings: Mapping[str, object] | None = None,
) -> None:
    text = "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(command) or "").split("\n\n"))
    shown = "\n".join(f"  {example}" for example in examples)
    # \b keeps the lines of a paragraph apart.
    app.command(
        cls=kind, context_settings=None if settings is None else {**settings}, help=f"{text}\n\n\b\nExamples:\n{shown}"
    )(command)


_mount(serve.serve, serve.EXAMPLES)
_mount(put.put, put.EXAMPLES)
_mount(get.get, get.EXAMPLES)
_mount(cp.cp, cp.EXAMPLES)
_mount(mv.mv, mv.EXAMPLES)
_mount(sync.sync, sync.EXAMPLES, sync.InOrder)
_mount(ls.ls, ls.EXAMPLES)
_mount(cat.cat, cat.EXAMPLES)
_mount(tree.tree, tree.EXAMPLES)
# Its -h is that of every other du.
_mount(du.du, du.EXAMPLES, settings={"help_option_names": ["--help"]})
_mount(stat.stat, stat.EXAMPLES)
_mount(exists.exists, exists.EXAMPLES)
_mount(rm.rm, rm.EXAMPLES)
_mount(sign.sign, sign.EXAMPLES)
_mount(copystore.copy_store, copystore.EXAMPLES)
_mount(info.info, info.EXAMPLES)
_mount(usage.usage, usage.EXAMPLES)
_mount(bench.bench, bench.EXAMPLES)
_mount(check.check, check.EXAMPLES)
_mount(backup.backup, backup.EXAMPLES)
_mount(restore.restore, restore.EXAMPLES)
_mount(completion.completion, completion.EXAMPLES)
_mount(login.login, login.LOGIN_EXAMPLES)
_mount(login.logout, login.LOGOUT_EXAMPLES)
_mount(login.profiles, login.PROFILES_EXAMPLES)
_mount(torture.torture, torture.EXAMPLES)
app.add_typer(config.app, name="config")
app.add_typer(scrub.app, name="scrub")
app.add_typer(token.app, name="token")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
