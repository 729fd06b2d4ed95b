"""`objectstore restore`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from objectstore.cli.exits import FAILED, reported
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.progress import metered

EXAMPLES: Final = (
    "objectstore restore /mnt/backup --data /srv/objects",
    "objectstore restore /mnt/backup --data /srv/objects --deep",
)


def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="A new or an empty folder for the objects.")],
    deep: Annotated[bool, typer.Option("--deep", help="Read every body again and compare digests.")] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Restore what can be read of a damaged backup, and tell what is lost.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a data folder of a backup, verified, ready to be served."""
    from objectstore.backends.engine.restore import restore as restore_backup

    out = Output(json=json, quiet=quiet)
    with reported(out), metered("restore", None, sys.stderr, quiet=json or quiet) as meter:

        def tell(done: int, total: int) -> None:
            meter.total = total
            meter.move_to(done)

        restored = restore_backup(source, data, deep=deep, salvage=salvage, tell=tell)
        manifest = restored.manifest
        lost = [finding for finding in restored.findings if finding.lost]
        if json:
            out.document(
                {
                    "taken": manifest.taken,
                    "objects": manifest.objects,
                    "bytes": manifest.size,
                    "lost": [{"kind": one.kind, "name": one.name, "message": one.message} for one in lost],
                }
            )
        else:
            for one in lost:
                out.line(f"{one.kind}: {one.name}: {one.message}")
        size = human_size(manifest.size)
        out.say(f"{data} holds {manifest.objects} objects, {size}, as of {manifest.taken}; {len(lost)} are damaged")
        if lost:
            raise typer.Exit(FAILED)
