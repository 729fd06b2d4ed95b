"""Moving objects from one store to another: `await copy_store(source, target, Options(delete=True))`."""

from __future__ import annotations

from objectstore.transfer.copying import copy_store
from objectstore.transfer.options import Options
from objectstore.transfer.report import (
    Copied,
    Deleted,
    Event,
    Failed,
    Progress,
    Silent,
    Skipped,
    Stopped,
    Summary,
    Tally,
    Warned,
)

__all__ = [
    "Copied",
    "Deleted",
    "Event",
    "Failed",
    "Options",
    "Progress",
    "Silent",
    "Skipped",
    "Stopped",
    "Summary",
    "Tally",
    "Warned",
    "copy_store",
]
