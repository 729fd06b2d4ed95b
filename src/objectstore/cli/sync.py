"""`objectstore sync`."""

from __future__ import annotations

import errno
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from objectstore.cli.completion import places as places_of
from objectstore.cli.connection import Profile, Token, Url
from objectstore.cli.cp import Jobs, sides
from objectstore.cli.exits import Usage, reported
from objectstore.cli.locations import Local, Remote, parse
from objectstore.cli.moving import AT_ONCE, Teller, carry_out, telling
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.stores import Stores
from objectstore.cli.tasks import Finder, How, Side, ToDo
from objectstore.client.syncing.patterns import selection
from objectstore.client.syncing.plan import Entry, Plan, Rules, plan, takes_all, to_hash
from objectstore.client.syncing.times import entry_of
from objectstore.client.transfers.content import digest_of, open_content
from objectstore.client.transfers.folders import Found, walk
from objectstore.client.transfers.jobs import Report
from objectstore.errors import InvalidParameter
from objectstore.values import ObjectInfo
from objectstore.wire.requests import MAX_BATCH

EXAMPLES: Final = (
    "objectstore sync photos os:photos",
    "objectstore sync os:photos photos --delete --dry-run",
    "objectstore sync results os:results --include '*.csv' --exclude '*'",
)
_PATTERNS: Final = "objectstore.patterns"
_BOTH: Final = {"--include": True, "--exclude": False}


class InOrder(TyperCommand):
    """Notes in which order `--include` and `--exclude` were given, which their values do not tell."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_PATTERNS] = patterns_of(args)
        return super().parse_args(ctx, args)


def patterns_of(args: Sequence[str]) -> list[tuple[bool, str]]:
    """Whether it includes, and the pattern, of each of those options."""
    found = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            break
        name, equals, value = arg.partition("=")
        if name in _BOTH:
            found.append((_BOTH[name], value if equals else next(left, "")))
    return found


def sync(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", autocompletion=places_of, help="A folder, os:PREFIX, os@PROFILE:PREFIX or a URL."
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="DST", autocompletion=places_of, help="The same; it becomes like SRC.")
    ],
    delete: Annotated[bool, typer.Option("--delete", help="Delete in DST what is not in SRC, at the end.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")] = False,
    checksum: Annotated[bool, typer.Option("--checksum", "-c", help="Compare SHA-256 instead of times.")] = False,
    include: Annotated[  # noqa: ARG001  taken from the context, in order
        list[str] | None, typer.Option("--include", metavar="PATTERN", help="Names that count; see --exclude.")
    ] = None,
    exclude: Annotated[  # noqa: ARG001  taken from the context, in order
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="PATTERN",
            help="Names that are neither copied nor deleted. Of all patterns the first that matches decides.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --delete empty DST when SRC is empty.")] = False,
    jobs: Jobs = AT_ONCE,
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make what is in DST like what is in SRC: copy what is new or different, and with --delete delete the rest.

    Alike is what has the same size and time; --checksum compares SHA-256 instead. Nothing is deleted unless all that
    had to be copied was. Slashes at the ends make no difference. Run it again when it was interrupted.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        try:
            selected = selection(ctx.meta[_PATTERNS])
        except InvalidParameter as error:
            raise Usage(str(error)) from error
        rules = Rules(delete=delete, checksum=checksum, selected=selected)
        (ours,), theirs = sides([parse(source)], parse(target))
        with Stores(url, token, profile) as stores, telling(out, "copied") as teller:
            code = _Syncing(stores, ours, theirs, rules, teller, out).run(jobs, force=force, dry_run=dry_run)
    if code:
        raise typer.Exit(code)


@dataclass(slots=True)
class _Tree:
    """One side, as it was found."""

    entries: dict[str, Entry] = field(default_factory=dict)
    files: dict[str, Found] = field(default_factory=dict)
    objects: dict[str, ObjectInfo] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    is_there: bool = True


class _Syncing:
    """One run."""

    def __init__(self, stores: Stores, source: Side, target: Side, rules: Rules, teller: Teller, out: Output) -> None:
        if isinstance(source, Local) and isinstance(target, Local):
            raise Usage(f"{source} and {target} are both paths on this machine; what is on a server is os:PREFIX")
        self._stores = stores
        self._source, self._target = source.within(), target.within()
        self._rules = rules
        self._teller = teller
        self._out = out

    def run(self, jobs: int, *, force: bool, dry_run: bool) -> int:
        """The exit code."""
        ours, theirs = self._tree(self._source), self._tree(self._target)
        if not ours.is_there and not force:
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(self._source))
        self._hash(ours, theirs)
        protected = _Protected(ours.report)
        found = plan(ours.entries, theirs.entries, self._rules, protected)
        if takes_all(found, ours.entries, theirs.entries) and not force:
            raise Usage(
                f"{self._source} is empty, and --delete would delete all {len(found.deletions)} of {self._target}: "
                "add --force if that is meant"
            )
        if dry_run:
            self._tell(found, ours, theirs)
            return self._teller.code()
        todo = self._todo(found, ours)
        self._teller.expect(todo)
        carry_out(todo.tasks, jobs, self._stores, self._teller)
        self._count_same(found, ours)
        if found.deletions:
            if self._teller.failures or self._teller.stopped:
                self._out.say("nothing was deleted, since not all could be copied")
            else:
                self._delete(found.deletions, theirs)
        return self._teller.code()

    def _tree(self, side: Side) -> _Tree:
        tree = _Tree()
        if isinstance(side, Remote):
            for info in self._stores.at(side.server).objects(side.key):
                name = info.key.removeprefix(side.key)
                if name and not (name.endswith("/") and not info.size):
                    tree.objects[name] = info
                    tree.entries[name] = entry_of(info)
            return tree
        folder = Path(side.path)
        if not folder.exists():
            tree.is_there = False
            return tree
        for one in walk(folder, tree.report):
            name = one.relative
            tree.files[name] = one
            tree.entries[name] = Entry(size=one.size, changed=one.changed)
        return tree

    def _hash(self, ours: _Tree, theirs: _Tree) -> None:
        for name in list(to_hash(ours.entries, theirs.entries, self._rules)):
            for tree in (ours, theirs):
                if name in tree.files:
                    tree.entries[name] = replace(tree.entries[name], digest=_digest(Path(tree.files[name].path)))

    def _todo(self, found: Plan, ours: _Tree) -> ToDo:
        todo = ToDo(report=ours.report)
        finder = Finder(self._stores, How())
        names = [copy.name for copy in found.copies]
        if isinstance(self._source, Local):
            finder.add_tree([ours.files[name] for name in names], self._target, todo)
        elif names:
            finder.add_objects(self._source, [ours.objects[name] for name in names], self._target, todo)
        return todo

    def _count_same(self, found: Plan, ours: _Tree) -> None:
        count = self._teller.count
        sizes = sum(ours.entries[name].size for name in found.same)
        count.files += len(found.same)
        count.skipped += len(found.same)
        count.total += sizes
        count.bytes += sizes
        count.skipped_bytes += sizes

    def _tell(self, found: Plan, ours: _Tree, theirs: _Tree) -> None:
        for copy in found.copies:
            if self._out.json:
                self._teller.event("would_copy", key=copy.name, size=copy.size, reason=copy.reason)
            else:
                self._out.line(f"copy {copy.name} ({copy.reason}, {human_size(copy.size)})")
        for name in found.deletions:
            if self._out.json:
                self._teller.event("would_delete", key=name, size=theirs.entries[name].size)
            else:
                self._out.line(f"delete {name}")
        self._teller.rehearsed(found)
        for failed, error in ours.report.failed.items():
            self._teller.failed(failed, error)

    def _delete(self, names: Sequence[str], theirs: _Tree) -> None:
        target = self._target
        if isinstance(target, Remote):
            store = self._stores.at(target.server)
            for start in range(0, len(names), MAX_BATCH):
                done = store.delete_many([target.key + name for name in names[start : start + MAX_BATCH]])
                for key in (*done.deleted, *done.absent):
                    self._teller.deleted(target.text + key)
                for key, error in done.failed.items():
                    self._teller.failed(target.text + key, error)
            return
        for name in names:
            path = Path(theirs.files[name].path)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._teller.failed(str(path), error)
                continue
            self._teller.deleted(str(path))
            with suppress(OSError, StopIteration):  # up to the first folder that has something in it
                for parent in path.parents:
                    if parent == Path(target.path):
                        break
                    parent.rmdir()


class _Protected(Container[str]):
    """Names that are in the source, or may be, and could not be read: what is there of them in the target stays."""

    def __init__(self, report: Report) -> None:
        self._names = {*report.ignored, *report.failed}

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return any(name == one or name.startswith(f"{one}/") for one in self._names)


def _digest(path: Path) -> bytes | None:
    try:
        file, content = open_content(path)
    except OSError:
        return None  # which is told when it cannot be copied
    with file:
        return None if content is None else digest_of(content, 0, content.size)
