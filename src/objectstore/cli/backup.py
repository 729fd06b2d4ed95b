"""`objectstore backup`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.datafolder import DEFAULT, Data
from objectstore.cli.exits import reported
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.progress import metered

if TYPE_CHECKING:
    from objectstore.backends.engine.backup import Report

EXAMPLES: Final = (
    "objectstore backup /mnt/backup --data /srv/objects",
    "objectstore backup /mnt/backup --data /srv/objects --copy --json",
)


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup; made when it is missing.")],
    data: Data = DEFAULT,
    copy: Annotated[bool, typer.Option("--copy", help="Copy files even where a link to them would do.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a backup of a later state, or of another store.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Back up a data folder, also while servers use it: all of it as it was at one moment.

    Run again with the same folder it moves only what is new, then drops what is gone. Whenever it is cut short, the
    folder holds one whole backup, the old or the new.
    """
    from objectstore.backends.engine.backup import take

    out = Output(json=json, quiet=quiet)
    with reported(out), metered("backup", None, sys.stderr, quiet=json or quiet) as meter:

        def tell(done: int, total: int) -> None:
            meter.total = total
            meter.move_to(done)

        report = take(data, target, now=datetime.now(UTC), share=not copy, replace=replace, tell=tell)
        if json:
            out.document(_described(report))
        out.say(_in_words(report, target))


def _described(report: Report) -> dict[str, object]:
    manifest = report.manifest
    return {
        "taken": manifest.taken,
        "sequence": manifest.sequence,
        "objects": manifest.objects,
        "bytes": manifest.size,
        "files": manifest.blobs,
        "file_bytes": manifest.blobs_size,
        "index_bytes": manifest.index_size,
        "linked": report.linked,
        "copied": report.copied,
        "copied_bytes": report.copied_size,
        "removed": report.removed,
    }


def _in_words(report: Report, target: Path) -> str:
    manifest = report.manifest
    return (
        f"{target} holds {manifest.objects} objects, {human_size(manifest.size)}, as of {manifest.taken}: "
        f"{report.linked} files linked, {report.copied} copied ({human_size(report.copied_size)}), "
        f"{report.removed} removed, the index {human_size(manifest.index_size)}"
    )
