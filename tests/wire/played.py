"""A flow played by hand, the object that is spoken of, and what may happen to a request."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TypeVar

from objectstore.values import Attributes, ObjectInfo
from objectstore.wire.flows import Close, Flow, Step
from objectstore.wire.retries import ConnectionFailed, Pause

T = TypeVar("T")
NOW = datetime(2024, 5, 6, tzinfo=UTC)
DATA = b"0123456789"
INFO = ObjectInfo(
    key="k",
    size=len(DATA),
    etag="e",
    created=NOW,
    modified=NOW,
    digests={"sha-256": hashlib.sha256(DATA).digest()},
    attributes=Attributes(content_type="text/plain"),
)
LOST = ConnectionFailed("the connection was lost", sent=True)
UNSENT = ConnectionFailed("cannot connect", sent=False)


def play(flow: Flow[T], *results: object) -> tuple[list[Step], T]:
    """The steps that the flow asked for, and what it returned; pauses and closings need no result."""
    steps: list[Step] = []
    given = iter(results)
    try:
        step = next(flow)
        while True:
            steps.append(step)
            result = None if isinstance(step, Pause | Close) else next(given)
            step = flow.throw(result) if isinstance(result, Exception) else flow.send(result)
    except StopIteration as done:
        assert not list(given), "not all results were asked for"
        return steps, done.value
