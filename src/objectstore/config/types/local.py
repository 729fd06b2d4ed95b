"""Stores on the disk and in the memory of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import OBJECTS, PATH, SIZE, Parameter, choice, whole
from objectstore.config.storetype import StoreType, Values


def _engine(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.engine.backend import EngineBackend

    return EngineBackend(**values)


def _memory(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.memory import MemoryBackend

    return MemoryBackend(**values)


def _filesystem(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.filesystem.backend import FilesystemBackend

    return FilesystemBackend(values["root_path"])


def _safe_filesystem(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.safefilesystem import SafeFilesystemBackend

    return SafeFilesystemBackend(values["root_path"])


def _hashdir(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.hashdir import HashdirBackend

    return HashdirBackend(values["root_path"], **{name: values[name] for name in ("width", "depth") if name in values})


def _sqlite(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.sqlite import SqliteBackend

    return SqliteBackend(values["db_path"])


def _zip(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.zip import ZipBackend

    return ZipBackend(values["path"])


LOCAL: Final = (
    StoreType(
        names=("EngineStore",),
        about="The embedded store: durable, for many small and large objects, in a folder of its own.",
        parameters=(
            Parameter(name="path", kind=PATH, required=True, about="The folder; it is made when it is missing."),
            Parameter(name="inline_limit", kind=SIZE, about="Objects up to this size are kept in the index."),
            Parameter(
                name="durability",
                kind=choice("full", "relaxed"),
                about="full (default): what is acknowledged survives a power cut; relaxed: it survives a crash.",
            ),
        ),
        build=_engine,
    ),
    StoreType(
        names=("DictStore",),
        about="Memory of one process; nothing persists.",
        parameters=(Parameter(name="objects", kind=OBJECTS, about="What is in it at the start (default: nothing)."),),
        build=_memory,
    ),
    StoreType(
        names=("FilesystemStore", "AsyncFilesystemStore"),
        about="Plain files under a folder: the object a/b.txt is the file a/b.txt.",
        parameters=(Parameter(name="root_path", kind=PATH, required=True, about="The folder."),),
        build=_filesystem,
    ),
    StoreType(
        names=("SafeFilesystemStore", "AsyncSafeFilesystemStore"),
        about="Files of one folder, named by the key in Base32: any key of up to 155 bytes.",
        parameters=(Parameter(name="root_path", kind=PATH, required=True, about="The folder."),),
        build=_safe_filesystem,
    ),
    StoreType(
        names=("HashdirStore", "AsyncHashdirStore"),
        about="Files in nested folders, named by the SHA-256 of the key: any key.",
        parameters=(
            Parameter(name="root_path", kind=PATH, required=True, about="The folder."),
            Parameter(name="width", kind=whole(1), about="Hexadecimal digits in the name of a folder (default: 2)."),
            Parameter(name="depth", kind=whole(1), about="Folders on the way to a file (default: 3)."),
        ),
        build=_hashdir,
    ),
    StoreType(
        names=("SqliteStore", "AsyncSqliteStore"),
        about="Rows of the table objects(key, data) in an SQLite database; objects below 1 GB.",
        parameters=(
            Parameter(name="db_path", kind=PATH, required=True, about="The file; it is made when it is missing."),
        ),
        build=_sqlite,
    ),
    StoreType(
        names=("ZipStore",),
        about="Entries of a zip file; they are only ever added.",
        parameters=(
            Parameter(name="path", kind=PATH, required=True, about="The file; it is made when it is missing."),
        ),
        build=_zip,
    ),
)
