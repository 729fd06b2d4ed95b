"""`objectstore copy-store`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.exits import FAILED, OK, TERMINATED, code_of, reported
from objectstore.cli.output import Json, Output, Quiet, complain, human_size, in_words
from objectstore.cli.progress import Meter, metered
from objectstore.errors import ConfigurationError
from objectstore.wire.errors import details

if TYPE_CHECKING:
    from objectstore.backends.contract import Backend
    from objectstore.config.schema import StoreConfig
    from objectstore.transfer import Event, Options, Stopped, Summary

EXAMPLES: Final = (
    "objectstore copy-store s3://bucket/photos ./data --dry-run",
    "objectstore copy-store old new --config storage.yaml --delete",
    "objectstore copy-store file:///srv/files https://objects.example.org",
)
_DEFAULT_CONFIG: Final = Path("storage.yaml")
_PERIOD: Final = 1.0  # seconds between two events of how far it is


def copy_store(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="A store in storage.yaml, a data folder, or file://, s3://, gs://, az://, redis:// or http(s)://.",
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="Likewise.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="STORAGE_CONFIG",
            metavar="FILE",
            show_default=f"{_DEFAULT_CONFIG}, if there is one here",
            help="Describes the stores that are given by name.",
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="PREFIX", show_default=False, help="Only keys that start with it.")
    ] = "",
    delete: Annotated[
        bool, typer.Option("--delete", help="Then delete what FROM does not have, when all else is copied.")
    ] = False,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Compare bytes instead of times, where no digests are known.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="NUMBER", min=1, max=1000, help="Objects under way at once.")
    ] = 16,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy all objects of a store to another one, except for those that it has already.

    Run it again when it was interrupted, or to bring over what has changed since. What arrives is verified.
    """
    from objectstore.transfer import Options

    out = Output(json=json, quiet=quiet)
    with reported(out):
        options = Options(prefix=prefix, delete=delete, checksum=checksum, dry_run=dry_run, jobs=jobs)
        ends = _ends(source, target, config, prefix)
        try:
            summary = asyncio.run(_run(*ends, options, out))
        except asyncio.CancelledError:
            raise typer.Exit(TERMINATED) from None
        code = _report(summary, out)
    if code:
        raise typer.Exit(code)


def _ends(source: str, target: str, config: Path | None, prefix: str) -> tuple[StoreConfig, StoreConfig]:
    from objectstore.config.address import resolve
    from objectstore.config.places import folders, overlap

    file = config or (_DEFAULT_CONFIG if _DEFAULT_CONFIG.exists() else None)
    ours, theirs = (resolve(one, file, os.environ) for one in (source, target))
    for folder in folders(ours):
        # Opening would make it, and all that there is would seem to be gone.
        if not folder.exists():
            raise ConfigurationError(f"{source!r} is to be copied, and there is no {folder}")
    if overlap(ours, theirs, prefix):
        raise ConfigurationError(
            f"{source!r} and {target!r} are the same store, or one lies in the other: nothing is copied"
        )
    return ours, theirs


async def _run(source: StoreConfig, target: StoreConfig, options: Options, out: Output) -> Summary:
    from objectstore.transfer import copy_store

    copying = asyncio.current_task()
    assert copying is not None  # noqa: S101  a coroutine is run by one
    # Told to end, it cleans up as on Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, copying.cancel)
    with metered("copying", None, sys.stderr, quiet=out.json or out.quiet) as meter:
        teller = _Teller(out, meter, options)
        try:
            async with _built(source) as ours, _built(target, keep_absent=options.dry_run) as theirs:
                summary = await copy_store(ours, theirs, options, teller)
        except asyncio.CancelledError:
            teller.sum_up(teller.tally.summary(), "interrupted; run it again to go on")
            raise
    teller.sum_up(summary)
    return summary


def _built(config: StoreConfig, *, keep_absent: bool = False) -> Backend:
    from objectstore.backends.memory import MemoryBackend
    from objectstore.config.build import build
    from objectstore.config.places import folders

    if keep_absent and not all(folder.exists() for folder in folders(config)):
        return MemoryBackend()  # opening would make what is not there, which is as empty as this
    return build(config)


class _Teller:
    """Tells of a copy as it goes."""

    def __init__(self, out: Output, meter: Meter, options: Options) -> None:
        from objectstore.transfer import Tally

        self.tally = Tally()
        self._out = out
        self._meter = meter
        self._options = options
        self._begun = time.monotonic()
        self._next = self._begun + _PERIOD

    def moved(self, size: int) -> None:
        self._meter.advance(size)
        now = time.monotonic()
        if self._out.json and now >= self._next:
            self._next = now + _PERIOD
            self._out.document({"event": "progress", "bytes": self._meter.done, "seconds": now - self._begun})
            sys.stdout.flush()

    def happened(self, event: Event) -> None:
        self.tally.add(event)
        told = _document(event, dry_run=self._options.dry_run)
        if told is None:
            return
        if self._out.json:
            self._out.document(told)
        elif told["event"] == "warning":
            self._out.say(f"warning: {told['message']}")
        elif self._options.dry_run and told["event"] != "failed":
            size = f" ({human_size(event.size)})" if hasattr(event, "size") else ""
            self._out.line(f"{str(told['event']).replace('_', ' ')} {told['key']}{size}")

    def sum_up(self, summary: Summary, remark: str = "") -> None:
        seconds = time.monotonic() - self._begun
        if self._out.json:
            self._out.document(
                {
                    "event": "summary",
                    "copied": summary.copied,
                    "skipped": summary.skipped,
                    "deleted": summary.deleted,
                    "failed": summary.failed,
                    "bytes": summary.bytes,
                    "seconds": seconds,
                    "rate": summary.bytes / seconds,
                    "complete": summary.complete and not remark,
                    "stopped": _told(summary.stopped),
                }
            )
            return
        would = "would have " if self._options.dry_run else ""
        size = human_size(summary.bytes)
        rate = f", {human_size(int(summary.bytes / seconds))}/s" if summary.bytes and not would else ""
        self._out.say(
            f"{would}copied {summary.copied} objects ({size}{rate}), skipped {summary.skipped}, "
            f"deleted {summary.deleted}, failed {summary.failed}{remark and '; '}{remark}"
        )


def _document(event: Event, *, dry_run: bool) -> dict[str, object] | None:
    from objectstore.transfer import Copied, Deleted, Failed, Skipped, Warned

    match event:
        case Copied(key, size):
            return {"event": "would_copy" if dry_run else "copied", "key": key, "size": size}
        case Deleted(key):
            return {"event": "would_delete" if dry_run else "deleted", "key": key}
        case Failed(key, error):
            return {"event": "failed", "key": key, "error": details(error)}
        case Warned(message):
            return {"event": "warning", "message": message}
        case Skipped():
            return None


def _told(stopped: Stopped | None) -> dict[str, object] | None:
    return None if stopped is None else {"reason": stopped.reason, "error": details(stopped.error)}


def _report(summary: Summary, out: Output) -> int:
    """What went wrong, at the end where it is seen; the exit code."""
    if not out.json:
        for failure in summary.failures:
            complain(f"{failure.key}: {in_words(failure.error)}")
        if summary.failed > len(summary.failures):
            complain(f"… and {summary.failed - len(summary.failures)} more")
    if summary.stopped is None:
        return FAILED if summary.failed else OK
    if not out.json:
        complain(f"{summary.stopped.reason}: {in_words(summary.stopped.error)}")
    return code_of(summary.stopped.error)
