"""The exit codes, chosen in this one place, and the last handler of every error."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Final

import typer

from objectstore import errors
from objectstore.cli.output import PROGRAM, Output, complain

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 4
DENIED: Final = 5
INTERRUPTED: Final = 130  # what shells make of SIGINT
PIPE_CLOSED: Final = 141  # what shells make of SIGPIPE
TERMINATED: Final = 143  # what shells make of SIGTERM


class Usage(Exception):
    """What was typed cannot be done; the message says what to type instead."""


def code_of(error: Exception) -> int:
    """The exit code that tells of `error`."""
    match error:
        case errors.NotFound() | errors.UploadNotFound():
            return NOT_FOUND
        case errors.Unauthenticated() | errors.Forbidden():
            return DENIED
        case Usage() | errors.InvalidKey() | errors.InvalidMetadata() | errors.ConfigurationError():
            return USAGE
        case _:
            return FAILED


@contextmanager
def reported(out: Output) -> Iterator[None]:
    """What fails inside is told to the user through `out` and ends the command with its exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        # The reader of our output has left, as `head` does. Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from error
    except (Usage, errors.ObjectStoreError, OSError) as error:
        out.error(error)
        raise typer.Exit(code_of(error)) from error


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. No user is shown a traceback."""
    try:
        code: int | None = app(arguments, prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        message = error.format_message().rstrip(".")
        if message:  # there is none when it was the help that was shown
            complain(f"{message}{_where_to_read_on(error)}")
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ModuleNotFoundError as error:
        complain(f"this command needs {error.name}: pip install 'objectstore[server]'")
        return FAILED
    except Exception as error:  # noqa: BLE001  the outermost handler
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{PurePath(frame.filename).name}:{frame.lineno}"
        complain(f"unexpected {type(error).__name__}: {error} ({place}); please report this")
        return FAILED
    return code or OK


def _where_to_read_on(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return "" if context is None else f" (see '{context.command_path} --help')"
