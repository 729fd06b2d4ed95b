"""An event loop for the length of one command."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeVar

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_THREADS: Final = 32  # that wait for disks, and for other servers


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    """What comes of the work.

    A signal that ends the program cancels the work first, and waits for its end: what its handler raises comes then,
    and not in the midst of anything.
    """
    # What was imported and planned stays: the collector is not to look at it again and again.
    gc.freeze()
    try:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.set_default_executor(ThreadPoolExecutor(_THREADS, "objectstore"))
            task = loop.create_task(work)
            with _cancelled_by_signals(loop, task) as raised:
                try:
                    result = loop.run_until_complete(task)
                except asyncio.CancelledError:
                    if not raised:
                        raise
    finally:
        gc.unfreeze()
    if raised:
        raise raised[0]
    return result


@contextmanager
def _cancelled_by_signals(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Iterator[list[BaseException]]:
    raised: list[BaseException] = []
    before = {one: handler for one in _SIGNALS if callable(handler := signal.getsignal(one))}

    def came(number: int, frame: FrameType | None) -> None:
        try:
            before[signal.Signals(number)](number, frame)
        except BaseException as error:  # noqa: BLE001  raised when the work has ended
            raised.append(error)
            loop.call_soon_threadsafe(task.cancel)

    for one in before:
        signal.signal(one, came)
    try:
        yield raised
    finally:
        for one, handler in before.items():
            # Not where the handler has seen to it that the next signal ends all at once.
            if signal.getsignal(one) is came:
                signal.signal(one, handler)
