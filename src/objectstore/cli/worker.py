"""A worker process of Granian, which ends when it is told to: at any moment, and however often it is told."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVarTuple

import uvloop
from granian import loops
from granian.server import Server

from objectstore.cli.forking import hear_the_end
from objectstore.server.leaving import leave

_Arguments = TypeVarTuple("_Arguments")


class Loop(uvloop.Loop):
    """A loop that calls what is to end the process once, whether it is running or not.

    uvloop's own way loses a signal that comes between two runs of the loop, and Granian has two: the application's
    start and the serving. Python's way loses none, and uvloop wakes for it.
    To be called again would stop the worker dead: Granian puts each call into a queue of one that is read once,
    and waits for room with the interpreter locked.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.Lock()  # taken once and kept: a handler may interrupt itself

    def add_signal_handler(self, sig: int, callback: Callable[[*_Arguments], object], *args: *_Arguments) -> None:
        def call(_signal: int, _frame: FrameType | None) -> None:
            if self._told.acquire(blocking=False):
                self.call_soon_threadsafe(self._leave, callback, args)

        signal.signal(sig, call)

    def _leave(self, callback: Callable[[*_Arguments], object], args: tuple[*_Arguments]) -> None:
        # What Granian does then ends the connections on which it has read no request.
        self._leaving = self.create_task(leave())
        self._leaving.add_done_callback(lambda _: callback(*args))


def work(*arguments: Any) -> None:
    """What Granian runs in the process, with our loop."""
    hear_the_end()
    loops.register("uvloop")(_build_loop)
    Server._spawn_asgi_lifespan_worker(*arguments)  # noqa: SLF001  what Granian runs when it is not given another


def load() -> Callable[..., Any]:
    """The application. Granian's own loader would put the current folder in front of the import path."""
    from objectstore.app import app

    return app


def _build_loop() -> asyncio.AbstractEventLoop:
    loop = Loop()
    asyncio.set_event_loop(loop)
    return loop
