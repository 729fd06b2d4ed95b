"""A sign to threads that nobody wants their work any more."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The work was given up because other work failed, or the caller left; never seen by callers."""


class Stop:
    """Set once, for all that was derived from it too."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._derived: set[Stop] = set()

    def derive(self) -> Stop:
        """One for a part of the work; `forget` it at the end."""
        derived = Stop()
        with self._lock:
            self._derived.add(derived)
        if self._event.is_set():
            derived.set()
        return derived

    def forget(self, derived: Stop) -> None:
        with self._lock:
            self._derived.discard(derived)

    def set(self) -> None:
        self._event.set()
        with self._lock:
            derived = list(self._derived)
        for one in derived:
            one.set()

    def check(self) -> None:
        """Raises Stopped."""
        if self._event.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Raises Stopped, as soon as it is."""
        if self._event.wait(seconds):
            raise Stopped

    def watched(self, chunks: Iterable[T]) -> Iterator[T]:
        for chunk in chunks:
            self.check()
            yield chunk
