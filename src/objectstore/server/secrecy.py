"""What must not be in a log that is not ours to write."""

from __future__ import annotations

import logging
from typing import Final

from objectstore.auth.links import redacted


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redacted(one) if isinstance(one, str) else one for one in record.args)
        return True


_REDACTING: Final = _Redacting()


def hide_links() -> None:
    """Keep signed links out of the lines that uvicorn logs of each request when it is not told otherwise."""
    logging.getLogger("uvicorn.access").addFilter(_REDACTING)
