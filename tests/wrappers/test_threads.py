"""Short work is done at once, long work in a thread that is waited for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from objectstore.wrappers.threads import work


def test_short_work_changes_no_threads() -> None:
    assert asyncio.run(work(1, threading.get_ident)) == threading.get_ident()
    assert asyncio.run(work(1_000_000, threading.get_ident)) != threading.get_ident()


@pytest.mark.parametrize("failing", [True, False])
def test_who_is_cancelled_is_told_when_the_thread_is_done(failing: bool) -> None:
    begun, leave = threading.Event(), threading.Event()
    done = []

    def slow() -> None:
        begun.set()
        leave.wait()
        done.append(True)
        if failing:
            raise ValueError

    async def scenario() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        task = asyncio.create_task(work(1_000_000, slow))
        await asyncio.to_thread(begun.wait)
        try:
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert not task.done()
        finally:
            leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [True]
        assert complaints == []

    asyncio.run(scenario())
