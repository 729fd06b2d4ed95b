"""The event loop of a command, and signals that come meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from objectstore.cli.looping import in_loop


class Pressed(Exception):
    """What the handler of a signal raises here."""


@pytest.fixture
def handler() -> Iterator[object]:
    def came(_number: int, _frame: FrameType | None) -> None:
        raise Pressed

    before = signal.signal(signal.SIGINT, came)
    yield came
    signal.signal(signal.SIGINT, before)


def test_a_signal_lets_the_work_end_in_good_order_first(handler: object) -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("in good order")
            raise

    with pytest.raises(Pressed):
        in_loop(work())
    assert seen == ["in good order"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_signal_at_the_very_end_is_not_lost(handler: object) -> None:
    async def work() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return 1

    with pytest.raises(Pressed):
        in_loop(work())
    assert signal.getsignal(signal.SIGINT) is handler


def test_what_the_work_gives_or_raises_is_handed_on(handler: object) -> None:
    async def work() -> int:
        return 1

    async def fail() -> int:
        raise KeyError

    assert in_loop(work()) == 1
    with pytest.raises(KeyError):
        in_loop(fail())
    assert signal.getsignal(signal.SIGINT) is handler
