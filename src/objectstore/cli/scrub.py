"""`objectstore scrub …`: reading everything again, and the evidence that it was as it should be."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.datafolder import DEFAULT, Data
from objectstore.cli.exits import FAILED, Usage, reported
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.progress import metered

if TYPE_CHECKING:
    from objectstore.backends.engine.fixity import Verified
    from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State

app: Final = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Verify all bodies of a data folder against their digests, and tell what was found.",
)
_PATIENCE: Final = 0.2  # seconds between two looks whether a server has let go


class ReportFormat(StrEnum):
    """How the report is printed."""

    JSON = "json"
    CSV = "csv"


class ManifestFormat(StrEnum):
    """Which manifest is printed."""

    BAGIT = "bagit"


@app.command()
def status(data: Data = DEFAULT, json: Json = False, quiet: Quiet = False) -> None:
    """Tell how far scrubbing is, and each body that it found damaged; the exit code is 1 if there is one."""
    out = Output(json=json, quiet=quiet)
    with reported(out):
        folder = _folder(data)
        state = folder.read()
        damaged = list(_damaged(folder, state))
        if json:
            out.document(_described(state, damaged))
        else:
            for line in _lines(state):
                out.line(line)
            for one in damaged:
                out.line(f"{one.status}: {one.key}: {one.message}")
        if state.damaged:
            raise typer.Exit(FAILED)


@app.command()
def now(
    data: Data = DEFAULT,
    rate: Annotated[
        str, typer.Option("--rate", metavar="SIZE", help="Read at most so many bytes a second, as in 50MB; 0: any.")
    ] = "0",
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew instead of going on with the pass under way.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify everything now, also beside a server, whose own scrubbing waits meanwhile.

    Cut short, it goes on where it was when it is run again, or a server does. The exit code is 1 when something is
    damaged.
    """
    from objectstore.backends.engine.scrub import Scrub
    from objectstore.config.units import parse_size

    out = Output(json=json, quiet=quiet)
    with reported(out):
        try:
            speed = parse_size(rate)
        except ValueError:
            raise Usage(f"--rate {rate!r}: it has to be a number of bytes a second, such as 50MB") from None
        folder = _folder(data)
        with _alone(folder, out), metered("scrub", None, sys.stderr, quiet=json or quiet) as meter:
            state = Scrub(data, rate=speed, tell=meter.advance).run(restart=restart)
        damaged = list(_damaged(folder, state))
        if json:
            out.document(_described(state, damaged))
        else:
            for one in damaged:
                out.line(f"{one.status}: {one.key}: {one.message}")
            if state.last is not None:
                out.say(f"verified {_in_words(state.last)}")
        if damaged:
            raise typer.Exit(FAILED)


@app.command()
def report(
    data: Data = DEFAULT,
    form: Annotated[ReportFormat, typer.Option("--format", help="JSON lines, or CSV.")] = ReportFormat.JSON,
) -> None:
    """Print what the last whole pass has seen: a line for each body with key, size, SHA-256, time and outcome."""
    from objectstore.backends.engine.fixity import Verified

    out = Output()
    with reported(out):
        lines = map(asdict, _last_report(_folder(data)))
        if form is ReportFormat.JSON:
            for line in lines:
                out.document(line)
            return
        writer = csv.DictWriter(sys.stdout, list(Verified.__slots__), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(lines)


@app.command()
def manifest(
    data: Data = DEFAULT,
    form: Annotated[
        ManifestFormat, typer.Option("--format", help="manifest-sha256.txt of BagIt (RFC 8493).")
    ] = ManifestFormat.BAGIT,
    quiet: Quiet = False,
) -> None:
    """Print a manifest of the objects that the last whole pass found sound.

    Objects that are damaged, and keys that are no path, are left out and told on stderr; the exit code is 1 then.
    """
    from objectstore.backends.engine.fixity import Manifest

    out = Output(quiet=quiet)
    with reported(out):
        match form:
            case ManifestFormat.BAGIT:
                found = Manifest()
        for one in _last_report(_folder(data)):
            if (line := found.line(one)) is not None:
                print(line)  # noqa: T201  a file for programs, to the byte
        for key, reason in found.left_out:
            out.say(f"left out: {key!r}: {reason}")
        if found.left_out:
            raise typer.Exit(FAILED)


@contextmanager
def _alone(folder: ScrubFolder, out: Output) -> Iterator[None]:
    import time

    with ExitStack() as held:
        if not held.enter_context(folder.asking()):
            raise Usage("another `objectstore scrub now` is under way in this folder")
        told = False
        while True:
            with ExitStack() as attempt:
                if attempt.enter_context(folder.scrubbing()):
                    held.push(attempt.pop_all())
                    break
            if not told:
                out.say("waiting for the scrubbing of a server to make room")
                told = True
            time.sleep(_PATIENCE)
        yield


def _folder(data: Path) -> ScrubFolder:
    from objectstore.backends.engine.directory import Directory
    from objectstore.backends.engine.scrubstate import ScrubFolder

    Directory(data).check_format()
    return ScrubFolder(data)


def _last_report(folder: ScrubFolder) -> Iterator[Verified]:
    from objectstore.backends.engine import fixity

    if folder.read().last is None:
        raise Usage("no whole pass has been made yet; `objectstore scrub now` makes one")
    return fixity.read(folder.report)


def _damaged(folder: ScrubFolder, state: State) -> Iterator[Verified]:
    """Those of the pass under way, then those of the last one that it has not told yet."""
    from objectstore.backends.engine import fixity

    told: set[tuple[str, str]] = set()
    if state.now is not None and state.now.damaged:
        for one in fixity.read(folder.unfinished, state.now.report_size):
            if not one.sound:
                told.add((one.kind, one.key))
                yield one
    if state.last is not None and state.last.damaged:
        for one in fixity.read(folder.report):
            if not one.sound and (one.kind, one.key) not in told:
                yield one


def _described(state: State, damaged: list[Verified]) -> dict[str, object]:
    return {
        "running": None if state.now is None else _pass(state.now),
        "last": None if state.last is None else _pass(state.last),
        "verified_bodies": state.bodies,
        "verified_bytes": state.size,
        "trouble": state.trouble,
        "damaged": [asdict(one) for one in damaged],
    }


def _pass(one: Pass) -> dict[str, object]:
    return {
        "began": _time(one.began),
        "ended": None if one.ended is None else _time(one.ended),
        "bodies": one.bodies,
        "bytes": one.size,
        "damaged": one.damaged,
        "at": one.after,
    }


def _lines(state: State) -> Iterator[str]:
    if state.last is None:
        yield "no whole pass has been made yet"
    else:
        ended = "" if state.last.ended is None else f" to {_time(state.last.ended)}"
        yield f"last pass: {_in_words(state.last)}, from {_time(state.last.began)}{ended}"
    if state.now is not None:
        at = "the beginning" if state.now.after is None else repr(state.now.after)
        yield f"under way: {_in_words(state.now)}, since {_time(state.now.began)}, at {at}"
    if state.trouble is not None:
        yield f"it does not go on: {state.trouble}"


def _in_words(one: Pass) -> str:
    return f"{one.bodies} bodies, {human_size(one.size)}, {one.damaged} damaged"


def _time(seconds: float) -> str:
    from objectstore.wire.records import format_time

    return format_time(datetime.fromtimestamp(seconds, UTC))
