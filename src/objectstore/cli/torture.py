"""`objectstore torture`."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.exits import FAILED, Usage, reported
from objectstore.cli.launch import DEFAULT_SERVER, ServerName
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.workplace import workplace

if TYPE_CHECKING:
    from objectstore.testing.torture.run import Outcome, Tally

EXAMPLES: Final = (
    "objectstore torture",
    "objectstore torture --kills 1000 --workers 2",
    "objectstore torture --seed 42 --server uvicorn --data /mnt/disk/torture",
)
_SECONDS: Final = 600.0
_TOLD: Final = 10  # violations that are printed; the report has all
_ENTRY: Final = (sys.executable, "-m", "objectstore.cli.tortured")


def torture(
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="NUMBER", min=1, show_default=f"{_SECONDS:g}", help="For how long."),
    ] = None,
    kills: Annotated[
        int | None,
        typer.Option("--kills", metavar="NUMBER", min=1, show_default=False, help="How often to kill, instead."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="NUMBER", min=1, max=2, help="Processes of the server, 1 or 2.")
    ] = 1,
    clients: Annotated[
        int, typer.Option("--clients", metavar="NUMBER", min=1, max=32, help="Processes that use it.")
    ] = 3,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="NUMBER", show_default="by chance", help="Of workload and kills.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", show_default="a temporary one", help="Where to work: a new or empty folder."
        ),
    ] = None,
    server: Annotated[ServerName, typer.Option("--server", help="What runs the application.")] = DEFAULT_SERVER,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Kill a server of its own again and again while it is used, and check that nothing is lost.

    It starts `objectstore serve` on a folder of its own, has client processes write, read and list, kills all of
    the server at any moment and at each step of a commit, starts it again, and compares everything with what the
    clients were told. Now and then `check`, `info`, `backup` and `restore` run beside it. When something is wrong
    the exit code is 1, and the folder is kept with a report in it.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        if seconds is not None and kills is not None:
            raise Usage("--seconds and --kills both say when to end: give one of them")
        with workplace(data, "torture", out) as place:
            from objectstore.testing.torture import report, run

            so_far = run.Tally()

            def progress(tally: Tally) -> None:
                nonlocal so_far
                so_far = tally
                _tell_progress(out, tally)

            try:
                chosen = secrets.randbelow(1_000_000) if seed is None else seed
                out.say(f"seed {chosen}, in {place.folder}")
                options = run.Options(
                    command=_ENTRY,
                    folder=place.folder,
                    seed=chosen,
                    seconds=_SECONDS if seconds is None and kills is None else seconds,
                    kills=kills,
                    workers=workers,
                    server=server,
                    clients=clients,
                )
                outcome = run.run(options, progress)
            except (KeyboardInterrupt, SystemExit):
                out.say(
                    f"cut short after {_kills(so_far)}, {so_far.answered} answers checked; nothing was wrong so far"
                )
                raise
            path = None
            if outcome.violations:
                place.kept = True
                path = report.write(outcome)
                _tell_violations(out, outcome, path)
        if json:
            out.document(report.summary(outcome) | {"report": None if path is None else str(path)})
        else:
            _tell(out, outcome)
        if outcome.violations:
            raise typer.Exit(FAILED)


def _tell_progress(out: Output, tally: Tally) -> None:
    if tally.killed % 10 == 0:
        out.say(f"{_kills(tally)}, {tally.answered} answers checked")


def _kills(tally: Tally) -> str:
    return "1 kill" if tally.killed == 1 else f"{tally.killed} kills"


def _tell(out: Output, outcome: Outcome) -> None:
    tally = outcome.tally
    out.line(
        f"{_kills(tally)} in {tally.seconds:.0f} s, {tally.kills['any moment']} of them at any moment; "
        f"{tally.answered} answers and {tally.unanswered} requests without one, {tally.events} operations judged; "
        f"{tally.visits.total()} other commands beside it; at most {human_size(tally.largest)} on disk"
    )
    if tally.undecided:
        out.line(f"{tally.undecided} histories took too long to judge")
    if not outcome.violations:
        out.line("nothing was lost, and nothing else was wrong")


def _tell_violations(out: Output, outcome: Outcome, path: Path) -> None:
    for violation in outcome.violations[:_TOLD]:
        for line in f"wrong: {violation.message}".splitlines():  # the end of a log has several
            out.say(line)
    when = f"after a kill ({outcome.last_kill})" if outcome.last_kill else "before the first kill"
    out.say(f"{len(outcome.violations)} wrong {when}: see {path}")
