"""`objectstore mv`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.cp import ContentType, Jobs, Meta, NoClobber, Sources, Target, sides
from objectstore.cli.exits import reported
from objectstore.cli.locations import Local, parse
from objectstore.cli.moving import AT_ONCE, carry_out, telling
from objectstore.cli.output import Json, Output, Quiet
from objectstore.cli.put import kept_of
from objectstore.cli.stores import Stores
from objectstore.cli.tasks import Finder, How, Task
from objectstore.client.transfers.jobs import Download
from objectstore.errors import ObjectStoreError, PreconditionFailed
from objectstore.values import NO_ATTRIBUTES, ONLY_IF_ABSENT, UNCONDITIONAL, Attributes, Conditions, ObjectInfo

EXAMPLES: Final = (
    "objectstore mv os:inbox/a.csv os:done/",
    "objectstore mv -r results os:archive/",
)


def mv(
    sources: Sources,
    target: Target,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Move folders, and all that is below a key.")
    ] = False,
    content_type: ContentType = None,
    meta: Meta = None,
    no_clobber: NoClobber = False,
    jobs: Jobs = AT_ONCE,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy as cp does, and delete each source when its copy has arrived and was verified.

    A source that was changed meanwhile is not deleted. Run it again when it was interrupted.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        given = Attributes(**kept_of(content_type, meta))
        conditions = ONLY_IF_ABSENT if no_clobber else UNCONDITIONAL
        skip = recursive and given == NO_ATTRIBUTES and not no_clobber
        how = How(recursive=recursive, attributes=given, conditions=conditions, skip_same=skip)
        places, to = sides([parse(source) for source in sources], parse(target))
        with Stores(url, token, profile) as stores, telling(out, "moved") as teller:
            todo = Finder(stores, how).find(places, to)
            teller.expect(todo)
            for task, info in todo.same:
                try:
                    _delete(task, info)
                except (ObjectStoreError, OSError) as error:
                    teller.failed(task.source, error)
            carry_out(todo.tasks, jobs, stores, teller, _delete)
            for place in places:
                if isinstance(place, Local):
                    _prune(Path(place.path))
        code = teller.code()
    if code:
        raise typer.Exit(code)


def _delete(task: Task, moved: ObjectInfo) -> None:
    """Delete the source of which `moved` is the copy. Raises PreconditionFailed: it is another one now."""
    if task.file is not None:
        path = Path(task.file.path)
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (task.file.size, task.file.changed):
            raise PreconditionFailed(task.source, f"{task.source} was changed while it was moved, and is left")
        path.unlink()
    elif task.info is not None and task.origin is not None:
        # What was downloaded is what has to be gone, even when it is another one than was listed.
        etag = moved.etag if isinstance(task.job, Download) else task.info.etag
        task.origin.delete(task.info.key, conditions=Conditions(if_match=(etag,)))


def _prune(folder: Path) -> None:
    """Remove folders in which nothing is left."""
    if folder.is_dir() and not folder.is_symlink():
        for where, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):  # there is something in it
                Path(where).rmdir()
