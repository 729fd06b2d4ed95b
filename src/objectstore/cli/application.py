"""The commands, mounted."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from objectstore import __version__
from objectstore.cli.mounting import Commands, Mounted, MountedGroup
from objectstore.cli.output import PROGRAM


class _All(Commands):
    mounted = (
        Mounted(name="serve"),
        Mounted(name="put"),
        Mounted(name="get"),
        Mounted(name="cp"),
        Mounted(name="mv"),
        Mounted(name="sync", kind="InOrder"),
        Mounted(name="ls"),
        Mounted(name="cat"),
        Mounted(name="tree"),
        # Its -h is that of every other du.
        Mounted(name="du", settings={"help_option_names": ["--help"]}),
        Mounted(name="stat"),
        Mounted(name="exists"),
        Mounted(name="rm"),
        Mounted(name="sign"),
        Mounted(name="copy-store", module="copystore"),
        Mounted(name="info"),
        Mounted(name="usage"),
        Mounted(name="bench"),
        Mounted(name="check"),
        Mounted(name="backup"),
        Mounted(name="restore"),
        Mounted(name="completion"),
        Mounted(name="login", examples="LOGIN_EXAMPLES"),
        Mounted(name="logout", module="login", examples="LOGOUT_EXAMPLES"),
        Mounted(name="profiles", module="login", examples="PROFILES_EXAMPLES"),
        Mounted(name="torture"),
        Mounted(name="soak"),
        MountedGroup(name="config"),
        MountedGroup(name="scrub"),
        MountedGroup(name="token"),
    )


app: Final = typer.Typer(
    cls=_All,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Objects over plain HTTP: a server that keeps them, and commands that move them.",
)


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
