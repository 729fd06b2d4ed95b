"""`objectstore soak`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.exits import FAILED, Usage, reported
from objectstore.cli.launch import DEFAULT_SERVER, ServerName
from objectstore.cli.output import Json, Output, Quiet
from objectstore.cli.workplace import workplace

if TYPE_CHECKING:
    from objectstore.testing.soak.workload import Sizes

EXAMPLES: Final = (
    "objectstore soak",
    "objectstore soak --seconds 3600 --workers 2",
    "objectstore soak --idle 100 --active 50 --server uvicorn --sizes 1KiB,1MiB:0.1",
)
_TOLD: Final = 10  # complaints that are printed; the report has more


def soak(
    seconds: Annotated[float, typer.Option("--seconds", metavar="NUMBER", min=1, help="For how long.")] = 600,
    idle: Annotated[
        int, typer.Option("--idle", metavar="NUMBER", min=0, max=200_000, help="Connections that are held open.")
    ] = 10_000,
    active: Annotated[
        int, typer.Option("--active", metavar="NUMBER", min=1, max=50_000, help="Clients at work, a connection each.")
    ] = 1_000,
    clients: Annotated[
        int, typer.Option("--clients", metavar="NUMBER", min=1, max=64, help="Processes that all of these are in.")
    ] = 2,
    workers: Annotated[
        int, typer.Option("--workers", metavar="NUMBER", min=1, max=64, help="Processes of the server.")
    ] = 1,
    server: Annotated[ServerName, typer.Option("--server", help="What runs the application.")] = DEFAULT_SERVER,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            metavar="SIZE[:SHARE],…",
            show_default="0 B to 64 MiB, most of them small",
            help="Of the bodies, ascending: up to each size, in so many of the cases.",
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            "--most",
            metavar="NUMBER",
            min=0,
            show_default="half of --active",
            help="Requests at once, beyond which the server refuses (MAX_CONCURRENT_REQUESTS); 0: never.",
        ),
    ] = None,
    idle_timeout: Annotated[
        float, typer.Option("--idle-timeout", metavar="SECONDS", min=0, help="IDLE_TIMEOUT of the server.")
    ] = 30,
    restart_at: Annotated[
        float | None,
        typer.Option(
            "--restart-at",
            metavar="SECONDS",
            min=0,
            show_default="after a quarter",
            help="When it is ended by SIGTERM and started again; 0: never.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="NUMBER", show_default="by chance", help="Of the workload.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", show_default="a temporary one", help="Where to work: a new or empty folder."
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Use a server of its own for a while, with very many connections, and check every answer and what it takes.

    It starts `objectstore serve` on a folder of its own. Clients write, read, delete and list, and compare every
    byte; idle connections are held; under load the server is ended by SIGTERM and started again, and nothing may be
    lost by that. Memory, open files and tasks are watched. When something is wrong the exit code is 1, and the
    folder is kept with a report in it.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        parsed = _sizes(sizes)
        with workplace(data, "soak", out) as place:
            from objectstore.testing.soak import report, run

            chosen = secrets.randbelow(1_000_000) if seed is None else seed
            out.say(f"seed {chosen}, in {place.folder}")
            options = run.Options(
                folder=place.folder,
                seed=chosen,
                seconds=seconds,
                sizes=parsed,
                idle=idle,
                active=active,
                clients=clients,
                workers=workers,
                server=server,
                # Early, so that the life after it is long enough to tell how memory goes when the server is warm.
                restart_at=None if restart_at == 0 else seconds / 4 if restart_at is None else restart_at,
                most=active // 2 if most is None else most,
                idle_timeout=idle_timeout,
            )
            outcome = run.run(options, out.say)
            path = None
            if outcome.wrong:
                place.kept = True
                path = report.write(outcome)
                for one in (*outcome.record.complaints[:_TOLD], *outcome.wrong):
                    for line in f"wrong: {one}".splitlines():  # the end of a log has several
                        out.say(line)
                out.say(f"see {path}")
        if json:
            out.document(report.summary(outcome) | {"report": None if path is None else str(path)})
        else:
            for line in report.lines(outcome):
                out.line(line)
            if not outcome.wrong:
                out.line("every answer was right, and nothing was lost")
        if outcome.wrong:
            raise typer.Exit(FAILED)


def _sizes(text: str | None) -> Sizes:
    from objectstore.testing.soak.workload import DEFAULT_SIZES, parse_sizes

    try:
        return parse_sizes(DEFAULT_SIZES if text is None else text)
    except ValueError as error:
        raise Usage(f"--sizes: {text!r}: {error}; it looks like 0,4KiB:50,1MiB:2.5") from None
