"""The name of a request, by which its answer, its log records and its span are found again."""

from __future__ import annotations

import secrets
from itertools import count
from typing import Final

from objectstore.auth.tokens import MARK

REQUEST_ID: Final = b"x-request-id"
MOST: Final = 128  # bytes

# Nothing that a log, a header or a shell would take for its own.
_SANE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:/+=@,-"
_TOKEN: Final = MARK.encode()
_process: Final = secrets.token_hex(6).encode()
_next: Final = count(1).__next__


def new_request_id() -> bytes:
    """One that no other process has given out, nor this one. It is no secret, and can be guessed."""
    return b"%b-%x" % (_process, _next())


def is_sane(given: bytes) -> bool:
    """Whether a client's own id is used: 1 to 128 letters, digits and a few signs, and not a token."""
    return 0 < len(given) <= MOST and not given.translate(None, _SANE) and _TOKEN not in given
