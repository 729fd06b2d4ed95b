"""`objectstore cp`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.completion import places as places_of
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.exits import Usage, reported
from objectstore.cli.locations import Local, Location, Remote, Stream, parse
from objectstore.cli.moving import AT_ONCE, carry_out, telling
from objectstore.cli.output import Json, Output, Quiet, as_json, described, human_size
from objectstore.cli.progress import metered
from objectstore.cli.put import kept_of
from objectstore.cli.stores import Stores
from objectstore.cli.tasks import Finder, How, Side
from objectstore.values import NO_ATTRIBUTES, ONLY_IF_ABSENT, UNCONDITIONAL, Attributes
from objectstore.wire.records import record

if TYPE_CHECKING:
    from objectstore.client.sources import Kept

EXAMPLES: Final = (
    "objectstore cp report.pdf os:reports/",
    "objectstore cp -r photos os:backup/",
    "objectstore cp -r os:backup/photos/ ./photos",
    "objectstore cp os:reports/2026.pdf os:reports/old.pdf",
    "tar cz photos | objectstore cp - os:photos.tar.gz",
)

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SRC...",
        autocompletion=places_of,
        help="Files, folders, os:KEY, os@PROFILE:KEY, objectstore://HOST/KEY.",
    ),
]
Target = Annotated[
    str, typer.Argument(metavar="DST", autocompletion=places_of, help="Where to; a slash at its end makes it a folder.")
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", metavar="NUMBER", min=1, max=1000, help="Objects under way at once.")
]
ContentType = Annotated[
    str | None,
    typer.Option("--content-type", metavar="TYPE", help="By default what the ending of the name stands for."),
]
Meta = Annotated[
    list[str] | None, typer.Option("--meta", metavar="NAME=VALUE", help="Kept with the objects; may be repeated.")
]
NoClobber = Annotated[bool, typer.Option("--no-clobber", "-n", help="Fail for what is there already.")]


def cp(
    sources: Sources,
    target: Target,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Copy folders, and all that is below a key.")
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
    """Copy files to a server, from one, or from one to another. What is on a server is os:KEY; - is stdin or stdout.

    With -r, a source with a slash at its end stands for its content, one without for itself. Run it again when it was
    interrupted: what has arrived is not sent again.
    """
    taken = target == "-"
    out = Output(json=json, quiet=quiet, data_is_taken=taken)
    with reported(out):
        places, to = [parse(source) for source in sources], parse(target)
        kept = kept_of(content_type, meta)
        given = Attributes(**kept)
        conditions = ONLY_IF_ABSENT if no_clobber else UNCONDITIONAL
        with Stores(url, token, profile) as stores:
            if taken or any(isinstance(place, Stream) for place in places):
                _stream(stores, places, to, kept, out, no_clobber=no_clobber)
                return
            # With other attributes, what has the same bytes is not the same.
            skip = recursive and given == NO_ATTRIBUTES and not no_clobber
            how = How(recursive=recursive, attributes=given, conditions=conditions, skip_same=skip)
            with telling(out, "copied") as teller:
                todo = Finder(stores, how).find(*sides(places, to))
                teller.expect(todo)
                carry_out(todo.tasks, jobs, stores, teller)
        code = teller.code()
    if code:
        raise typer.Exit(code)


def sides(sources: Sequence[Location], target: Location) -> tuple[list[Side], Side]:
    """Both, when neither is a stream. Raises Usage."""
    found = [one for one in sources if not isinstance(one, Stream)]
    if isinstance(target, Stream) or len(found) != len(sources):
        raise Usage("stdin and stdout are for objectstore cp of one object")
    return found, target


def _stream(
    stores: Stores, sources: Sequence[Location], target: Location, kept: Kept, out: Output, *, no_clobber: bool
) -> None:
    match list(sources), target:
        case [Stream()], Remote():
            if target.is_folder:
                raise Usage("what comes from stdin has no name: say the key, as in objectstore cp - os:KEY")
            store = stores.at(target.server)
            conditions = ONLY_IF_ABSENT if no_clobber else UNCONDITIONAL
            with metered(str(target), None, sys.stderr, quiet=out.json or out.quiet) as meter:
                info = store.upload(
                    sys.stdin.buffer,
                    target.key,
                    conditions=conditions,
                    progress=lambda done, _: meter.move_to(done),
                    **kept,
                )
            if out.json:
                out.document(record(info))
            else:
                out.say(f"stored {target} ({human_size(info.size)})")
        case [Remote() as source], Stream():
            with stores.at(source.server).stream(source.key) as reader:
                size = reader.stop - reader.start
                with metered(str(source), size, sys.stderr, quiet=out.json or out.quiet) as meter:
                    for chunk in reader:
                        sys.stdout.buffer.write(chunk)
                        meter.advance(len(chunk))
                    sys.stdout.buffer.flush()
            if out.json:
                print(as_json(described(reader.info)), file=sys.stderr)  # noqa: T201  stdout is taken by the object
        case [Local() | Stream()], _:
            raise Usage("one of the two has to be on a server: os:KEY")
        case _:
            raise Usage("stdin and stdout are for one object")
