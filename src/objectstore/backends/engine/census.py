"""What a data directory holds, counted: one look at every row of the index, at no body."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from objectstore.backends.engine import schema
from objectstore.backends.engine.backupset import FOLDERS, wanted
from objectstore.backends.engine.directory import FORMAT_VERSION, Directory
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.index import Index
from objectstore.core.grouping import Groups, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What was counted. Sizes are bytes."""

    format_version: int
    sequence: int  # the number of the latest change
    objects: int
    size: int  # of the objects, each counted
    inline: int  # objects whose body is in the index
    inline_size: int
    blobs: int  # files, of objects and parts; copies of one object share one
    blobs_size: int
    uploads: int  # not completed
    parts: int  # of those
    parts_size: int
    garbage: int  # files that wait to be unlinked
    garbage_size: int
    index_size: int
    log_size: int  # of the index, not in it yet
    largest: tuple[Share, ...]


def take(path: Path, *, depth: int = 1, top: int = 10) -> Census:
    """Count what is in the data directory `path`, all of one moment, also beside a server.

    `largest` are the `top` groups of keys that have most bytes; keys share a group that are alike up to their
    `depth`th slash. Time grows with the number of objects, a few seconds for each million.

    Raises:
        ConfigurationError: it is no data directory, or of a newer format.
        Unavailable, Corrupted: it cannot be read.
    """
    directory = Directory(path)
    directory.check_format()
    try:
        with closing(schema.open_for_reading(directory.index)) as connection:
            connection.execute("BEGIN")
            return _count(directory, connection, Groups(depth), top)
    except (OSError, sqlite3.Error) as error:
        raise translate(error) from error


def _count(directory: Directory, connection: sqlite3.Connection, groups: Groups, top: int) -> Census:
    inline = inline_size = 0
    for key, size, is_inline in connection.execute("SELECT key, size, blob IS NULL FROM objects"):
        groups.add(key, size)
        if is_inline:
            inline += 1
            inline_size += size
    blobs = blobs_size = 0
    for folder in FOLDERS:
        for blob in wanted(connection, folder):
            blobs += 1
            blobs_size += blob.size
    ((uploads,),) = connection.execute("SELECT count(*) FROM uploads WHERE completed IS NULL")
    ((parts, parts_size),) = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM parts")
    garbage = [blob for (blob,) in connection.execute("SELECT blob FROM garbage")]
    return Census(
        format_version=FORMAT_VERSION,
        sequence=Index(connection).last_seq(),
        objects=groups.objects,
        size=groups.size,
        inline=inline,
        inline_size=inline_size,
        blobs=blobs,
        blobs_size=blobs_size,
        uploads=uploads,
        parts=parts,
        parts_size=parts_size,
        garbage=len(garbage),
        garbage_size=sum(_size(directory.blob(blob)) for blob in garbage),
        index_size=_size(str(directory.index)),
        log_size=_size(f"{directory.index}-wal"),
        largest=groups.largest(top),
    )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116  once a blob, and pathlib would double it
    except FileNotFoundError:
        return 0
