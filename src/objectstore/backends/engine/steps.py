"""The steps of the engine at which a crash may come: a test stops at each, reopens, and looks."""

from __future__ import annotations

from typing import Final

AFTER_FORMAT: Final = "after_format"  # FORMAT is written, nothing else is there
AFTER_INDEX: Final = "after_index"  # the empty index is there, the folder of blobs is not
AFTER_CLAIM: Final = "after_claim"  # this process has its folder in staging, locked
AFTER_RESERVE: Final = "after_reserve"  # the names of blobs to come are on disk
AFTER_CREATE: Final = "after_create"  # an empty staging file is there
AFTER_WRITE: Final = "after_write"  # the whole body is in the staging file
AFTER_SYNC: Final = "after_sync"  # and survives the power going off
AFTER_RENAME: Final = "after_rename"  # it is a blob, its name perhaps not yet on disk
AFTER_FOLDER_SYNC: Final = "after_folder_sync"  # its name is
BEFORE_COMMIT: Final = "before_commit"  # the rows are written, not committed
AFTER_COMMIT: Final = "after_commit"  # they are, and nobody has been told
AFTER_UNLINK: Final = "after_unlink"  # garbage is gone, its rows are not
AFTER_FORGET: Final = "after_forget"  # its rows are
AFTER_SWEEP_BLOBS: Final = "after_sweep_blobs"  # blobs that a dead process left without a row are gone
AFTER_SWEEP: Final = "after_sweep"  # and its folder in staging

ALL: Final = (
    AFTER_FORMAT,
    AFTER_INDEX,
    AFTER_CLAIM,
    AFTER_RESERVE,
    AFTER_CREATE,
    AFTER_WRITE,
    AFTER_SYNC,
    AFTER_RENAME,
    AFTER_FOLDER_SYNC,
    BEFORE_COMMIT,
    AFTER_COMMIT,
    AFTER_UNLINK,
    AFTER_FORGET,
    AFTER_SWEEP_BLOBS,
    AFTER_SWEEP,
)

# Of a backup, and of restoring it (`backup.py`, `restore.py`).
AFTER_MARK: Final = "after_mark"  # the folder says that it is one of backups, which holds none
AFTER_SNAPSHOT: Final = "after_snapshot"  # the index is copied, nothing names the copy
AFTER_NEW_BLOB: Final = "after_new_blob"  # one more blob is there, its name perhaps not yet on disk
AFTER_BLOBS: Final = "after_blobs"  # all blobs are, and so are their names
AFTER_MANIFEST: Final = "after_manifest"  # this backup is the one that counts
AFTER_OLD_STATES: Final = "after_old_states"  # the index of the one before is gone
AFTER_OLD_BLOBS: Final = "after_old_blobs"  # and so are the blobs that only it named

ALL_OF_BACKUP: Final = (
    AFTER_MARK,
    AFTER_SNAPSHOT,
    AFTER_NEW_BLOB,
    AFTER_BLOBS,
    AFTER_MANIFEST,
    AFTER_OLD_STATES,
    AFTER_OLD_BLOBS,
)

# Of a repair that makes a sound index of a damaged one, or accepts one that ends too early (`check.py`).
AFTER_OLD_LOG: Final = "after_old_log"  # what is in the log of the damaged index is in it, if SQLite could do that
AFTER_EMPTY_INDEX: Final = "after_empty_index"  # an empty one is beside it
AFTER_ROWS: Final = "after_rows"  # what was found is in that one, and on disk
AFTER_RECORD: Final = "after_record"  # what is about to be told is on disk
AFTER_KEEP: Final = "after_keep"  # one more body that no row names is in DATA/lost, too
AFTER_ASIDE: Final = "after_aside"  # the damaged index has a second name there, and its log, too
AFTER_UNLOG: Final = "after_unlog"  # the log has only that one
AFTER_EXCHANGE: Final = "after_exchange"  # the sound index is in the place of the damaged one
AFTER_ACCEPT: Final = "after_accept"  # the index that ends too early is one that may be opened

ALL_OF_REPAIR: Final = (
    AFTER_OLD_LOG,
    AFTER_EMPTY_INDEX,
    AFTER_ROWS,
    AFTER_RECORD,
    AFTER_KEEP,
    AFTER_ASIDE,
    AFTER_UNLOG,
    AFTER_EXCHANGE,
    AFTER_ACCEPT,
)

BEFORE_FORMAT: Final = "before_format"  # everything is restored, and the folder is no data directory yet


def no_step(_name: str) -> None:
    """What happens at a step in production."""
