"""What the log is told when the store, and not the client, is to blame."""

from __future__ import annotations

import logging
from typing import Final

from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InternalError,
    ObjectStoreError,
    QuotaExceeded,
    StorageFull,
    Unavailable,
)

_log: Final = logging.getLogger("objectstore.server")


def log_trouble(method: str, error: ObjectStoreError) -> None:
    """Log the store's trouble, which the client is told of only in a word: why, and for a defect, where."""
    if isinstance(error, InternalError | Corrupted | ConfigurationError):
        _log.error("%s failed: %s", method, error, exc_info=error)
    elif isinstance(error, Unavailable | StorageFull) and not isinstance(error, QuotaExceeded):
        _log.warning("%s failed: %s", method, error)
