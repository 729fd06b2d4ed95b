"""`python broken_engines.py DEFECT serve …`: the command line over an engine with one defect, as engines have had them.

The processes that a server starts are copies of it, or import this file again: so they have the defect, too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from objectstore.backends.engine import operations
from objectstore.backends.engine.blobs import StagedBlob
from objectstore.backends.engine.transaction import Transaction
from objectstore.backends.engine.writer import Writer, _Pending
from objectstore.cli.main import main
from objectstore.testing.torture import zygote
from objectstore.testing.torture.arming import arm

VARIABLE = "BROKEN_ENGINE"
FOR_EVER = 60.0  # seconds; the kill comes in them
LONG_ENOUGH = 0.03  # seconds in which somebody will look, or kill


def condition_checked_outside_the_transaction() -> None:
    # The look that `put` takes before the body comes in is left; the check that counts is not.
    operations.check = lambda conditions, key, row: None  # noqa: ARG005  named as what it stands for


def garbage_unlinked_at_once() -> None:
    flush = Transaction.flush

    def flush_and_unlink(transaction: Transaction) -> None:
        flush(transaction)
        garbage = [blob for blob in transaction._released if not transaction.index.refers_to(blob)]
        for blob in garbage:
            Path(os.environ["DATA_DIR"], "blobs", blob[:2], blob).unlink(missing_ok=True)
        if garbage:
            time.sleep(FOR_EVER)

    _opened(Transaction).flush = flush_and_unlink


def acknowledged_before_the_commit() -> None:
    apply, tell = Writer._apply, Writer._tell

    def apply_and_tell(writer: Writer, group: list[_Pending]) -> Transaction:
        transaction = apply(writer, group)
        tell(writer, group)
        time.sleep(LONG_ENOUGH)
        return transaction

    _opened(Writer)._apply = apply_and_tell
    _opened(Writer)._tell = lambda _writer, _group: None


def row_before_the_blob() -> None:
    finish, keep = StagedBlob.finish, StagedBlob.keep

    def finish_late(blob: StagedBlob) -> None:
        time.sleep(LONG_ENOUGH)
        with suppress(OSError):
            finish(blob)
        keep(blob)

    _opened(StagedBlob).finish = lambda _blob: None
    _opened(StagedBlob).keep = finish_late


def garbage_never_collected() -> None:
    from objectstore.backends.engine.garbage import Collector

    async def collect_nothing(_collector: Collector) -> int:
        return 0

    _opened(Collector).collect = collect_nothing


def locks_of_the_index_ended() -> None:
    # As when a process closes another descriptor of the same files: its locks end with that, and whoever else looks
    # at the index takes himself for the only one, who tidies up when he leaves.
    tell = Writer._tell

    def tell_unlocked(writer: Writer, group: list[_Pending]) -> None:
        for file in writer._directory.root.glob("index.sqlite3*"):
            os.close(os.open(file, os.O_RDONLY))
        tell(writer, group)

    _opened(Writer)._tell = tell_unlocked


def _opened(cls: type) -> Any:
    """The class, for a type checker that rightly does not like what is done to it here."""
    return cls


DEFECTS: dict[str, Callable[[], None]] = {
    "condition checked outside the transaction": condition_checked_outside_the_transaction,
    "garbage unlinked at once": garbage_unlinked_at_once,
    "acknowledged before the commit": acknowledged_before_the_commit,
    "row before the blob": row_before_the_blob,
    "garbage never collected": garbage_never_collected,
    "locks of the index ended": locks_of_the_index_ended,
}

if VARIABLE in os.environ:
    DEFECTS[os.environ[VARIABLE]]()
    arm(os.environ)

if __name__ == "__main__":
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = sys.argv.pop(1)
        DEFECTS[os.environ[VARIABLE]]()
        zygote.forks(sys.argv[1:])
        arm(os.environ)
    main()
