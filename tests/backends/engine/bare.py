"""The parts of an engine around one data directory, without the engine: index, writer, blobs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from objectstore.backends.engine import schema, steps
from objectstore.backends.engine.blobs import Blobs
from objectstore.backends.engine.board import Board
from objectstore.backends.engine.directory import FORMAT_NAME, FORMAT_VERSION, Directory
from objectstore.backends.engine.highwater import HighWater
from objectstore.backends.engine.index import ReadIndex
from objectstore.backends.engine.turns import Turns
from objectstore.backends.engine.writer import Writer

NOW = 1_000_000_000_000  # microseconds since 1970


@dataclass(frozen=True, kw_only=True)
class Bare:
    directory: Directory
    reading: sqlite3.Connection
    writing: sqlite3.Connection
    index: ReadIndex
    board: Board
    blobs: Blobs
    writer: Writer
    executor: ThreadPoolExecutor


def laid_out(root: Path) -> Directory:
    """An empty data directory. Nothing is synced."""
    directory = Directory(root)
    for path in (directory.staging, directory.blobs):
        path.mkdir(parents=True)
    directory.format.write_text(json.dumps({"format": FORMAT_NAME, "version": FORMAT_VERSION}))
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {schema.TABLES} {schema.USAGE_TABLES} COMMIT;")
    return directory


@asynccontextmanager
async def bare(root: Path, *, step: Callable[[str], None] = steps.no_step, start: bool = True) -> AsyncIterator[Bare]:
    """All of it, open; nothing is synced. The writer commits once it is started."""
    directory = laid_out(root)
    with ExitStack() as opened:
        executor = opened.enter_context(ThreadPoolExecutor(2, thread_name_prefix="bare"))
        reading = opened.enter_context(closing(schema.open_for_reading(directory.index)))
        writing = opened.enter_context(closing(schema.open_for_writing(directory.index, "relaxed")))
        board = opened.enter_context(closing(Board(directory.changes)))
        blobs = Blobs(directory, "relaxed", step)
        blobs.open()
        opened.callback(blobs.close)
        mark = opened.enter_context(closing(HighWater(directory.highwater, "full")))
        writer = Writer(directory, writing, Turns(directory, 30.0), board, mark, lambda: NOW, step)
        if start:
            writer.start()
        try:
            yield Bare(
                directory=directory,
                reading=reading,
                writing=writing,
                index=ReadIndex(reading),
                board=board,
                blobs=blobs,
                writer=writer,
                executor=executor,
            )
        finally:
            if writer._thread.ident is not None:
                await asyncio.to_thread(writer.close)
