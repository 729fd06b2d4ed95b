"""`objectstore completion`, and what the shell is told when a key or a place is being typed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from typer._completion_shared import get_completion_script

from objectstore.cli.connection import connect_to, located
from objectstore.cli.locations import Remote, Server, key_at, parse
from objectstore.cli.output import PROGRAM

EXAMPLES: Final = (
    'eval "$(objectstore completion bash)"',
    "objectstore completion fish > ~/.config/fish/completions/objectstore.fish",
)
_VARIABLE: Final = "_OBJECTSTORE_COMPLETE"
_SHOWN: Final = 100  # keys
_TIMEOUT: Final = 1.0  # seconds: somebody is typing
# Unlike that of Typer, it knows that bash takes what is before a colon for a word of its own.
_BASH: Final = r"""
_objectstore_completion() {
    local IFS=$' \t\n' line="${COMP_LINE:0:COMP_POINT}" words=() cur before i
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    cur="${words[${#words[@]} - 1]}"
    IFS=$'\n'
    COMPREPLY=( $( COMP_WORDS="${words[*]}" COMP_CWORD=$(( ${#words[@]} - 1 )) \
                   _OBJECTSTORE_COMPLETE=complete_bash "$1" 2>/dev/null ) )
    if [[ "$cur" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
        before="${cur%"${cur##*:}"}"
        for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]="${COMPREPLY[i]#"$before"}"; done
    fi
    for i in "${!COMPREPLY[@]}"; do printf -v "COMPREPLY[i]" %q "${COMPREPLY[i]}"; done
    [[ ${#COMPREPLY[@]} == 1 && "${COMPREPLY[0]}" == *[/:] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _objectstore_completion objectstore
"""


class Shell(StrEnum):
    """What can complete."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(help="For which shell.")],
) -> None:
    """Print a script that lets a shell complete commands, options and keys.

    Keys are asked of the server, which has a second to answer.
    """
    if shell is Shell.bash:
        typer.echo(_BASH.strip())
    else:
        typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=_VARIABLE, shell=shell.value))


def keys(ctx: typer.Context, incomplete: str) -> list[str]:
    """Keys and groups of keys, of the server that the command would talk to or that is named before the key."""
    try:
        found = key_at(incomplete)
    except Exception:  # noqa: BLE001  half typed
        return []
    return [found.text + key for key in _keys(ctx, found.server, found.key)]


def places(ctx: typer.Context, incomplete: str) -> list[str]:
    """As `keys`, of the server that is named before the key. Files are what shells complete by themselves."""
    try:
        found = parse(incomplete)
    except Exception:  # noqa: BLE001  half typed
        return []
    if isinstance(found, Remote):
        return [found.text + key for key in _keys(ctx, found.server, found.key)]
    return ["os:"] if incomplete and "os:".startswith(incomplete) else []


def _keys(ctx: typer.Context, server: Server, prefix: str) -> list[str]:
    told: dict[str, Any] = ctx.params
    try:
        usual = (told.get("url"), told.get("token"), told.get("profile"))
        place = located(*(usual if server == Server() else (server.url, None, server.profile)))
        with connect_to(place, timeout=_TIMEOUT, max_retries=0) as store:
            page = store.list(prefix, delimiter="/", limit=_SHOWN)
    except Exception:  # noqa: BLE001  what is wrong is told by the command, not while it is typed
        return []
    # A shell takes each line for one.
    return sorted(name for name in (*page.keys, *page.prefixes) if name.isprintable())
