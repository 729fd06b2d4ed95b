"""What must not be in a log or a span, whatever the reason why it would be."""

from __future__ import annotations

import re
from typing import Final

from objectstore.auth.links import redacted
from objectstore.auth.tokens import ENTROPY, MARK

_TOKEN: Final = re.compile(rf"\b{MARK}[A-Za-z0-9_-]{{{ENTROPY * 4 // 3},}}")


def without_tokens(text: str) -> str:
    """The text with what looks like a token made unusable."""
    return _TOKEN.sub(f"{MARK}…", text) if MARK in text else text


def without_secrets(text: str) -> str:
    """The same, of links too."""
    return redacted(without_tokens(text))
