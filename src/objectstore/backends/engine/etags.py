"""Etags: another one for each write, ever."""

from __future__ import annotations

import os
from random import Random


class Etags:
    """A source of etags of 96 random bits. Unguessable they need not be, so the kernel is asked only once."""

    def __init__(self) -> None:
        self._random = Random(os.urandom(32))  # noqa: S311  unique, not secret

    def next(self) -> str:
        return f"{self._random.getrandbits(96):024x}"
