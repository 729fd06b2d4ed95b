"""Files for their owner alone, of which others than we make the contents."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600


def make_private(path: Path) -> None:
    """Make an empty file there with mode 0600, whatever the umask; one that is there is left as it is.

    SQLite gives its log and its journal the mode of the database. Why no file could be made it tells itself. A file
    that is there is not even opened: closing it would end the locks that SQLite has on it in this process.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
