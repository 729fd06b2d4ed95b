"""Bodies on their way in: who does not go on sending them is not waited for."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from objectstore.errors import RequestTimeout
from objectstore.server.exchange import Message, Receive

SLOWEST: Final = 500  # bytes a second, on average, that are waited for

_now: Final = time.monotonic


def patience(timeout: float, waited: float, received: int) -> float:
    """Seconds that the next bytes are waited for, after `received` bytes for which it was `waited` in all.

    `timeout` at a time, and in all `timeout` more than the slowest sender needs. Only waiting counts: how long the
    store took to write is not the sender's fault.
    """
    return min(timeout, timeout + received / SLOWEST - waited)


class Sender:
    """The `receive` of a request with a body, which raises RequestTimeout once it was `cut`.

    It keeps no timer, since that would cost more than most bodies: whoever watches cuts it when it is `overdue`.
    """

    __slots__ = ("_cancelling", "_cut", "_ended", "_receive", "_received", "_since", "_task", "_timeout", "_waited")

    def __init__(self, receive: Receive, timeout: float) -> None:
        self._receive = receive
        self._timeout = timeout
        self._received = 0  # bytes
        self._waited = 0.0  # seconds
        self._since: float | None = None  # when the waiting began that is under way
        self._task: asyncio.Task[object] | None = None  # that waits
        self._cancelling = 0
        self._cut = False
        self._ended = False

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()  # of the end of the connection, which may take as long as it likes
        if self._cut:
            raise RequestTimeout
        self._task = task = asyncio.current_task()
        self._cancelling = task.cancelling() if task is not None else 0
        self._since = began = _now()
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            # As asyncio.timeout does it: when somebody else has cancelled the task too, that goes on.
            if self._ours():
                raise RequestTimeout from None
            raise
        finally:
            self._since = None
            # The task has the request in its context, and the request has this: a cycle, which would outlive both.
            self._task = None
        self._waited += _now() - began
        self._received += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message

    def _ours(self) -> bool:
        """Whether the cancellation that has just been met is the one of `cut`, and no other."""
        return self._cut and self._task is not None and self._task.uncancel() <= self._cancelling

    def overdue(self, now: float) -> bool:
        since = self._since
        return since is not None and now - since > patience(self._timeout, self._waited, self._received)

    def cut(self) -> None:
        """Have the waiting that is under way raise RequestTimeout, and any later one."""
        if self._task is not None and self._since is not None and not self._cut:
            self._cut = True
            self._task.cancel()
