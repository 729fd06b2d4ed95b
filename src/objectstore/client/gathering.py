"""Works side by side: by threads for who blocks, by tasks for who awaits.

Workers take one work after the other from a common iterator, so that ten thousand works cost no more memory than
those under way. Outcomes come in the order of the works or as they come; never are more than `WINDOW` times `limit`
begun and not yet taken.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from objectstore.client.stopping import Stop, Stopped

T = TypeVar("T")
R = TypeVar("R")
WINDOW: Final = 4


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What came of the work that was the `index`th."""

    index: int
    result: R | None
    error: BaseException | None

    def get(self) -> R:
        """Raises what the work raised."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # None is one only for an R that it is one of


class _Ended:
    """A worker has no more to do."""


class _Order(Generic[R]):
    """Holds back outcomes until it is their turn."""

    def __init__(self) -> None:
        self._next = 0
        self._early: dict[int, Outcome[R]] = {}

    def add(self, outcome: Outcome[R]) -> Iterator[Outcome[R]]:
        self._early[outcome.index] = outcome
        while (found := self._early.pop(self._next, None)) is not None:
            self._next += 1
            yield found


class _Labour(Generic[T, R]):
    """What the threads of one `by_threads` share: works to take, and where the outcomes go."""

    def __init__(
        self, run: Callable[[T, Stop], R], works: Iterable[T], permits: threading.Semaphore, stop: Stop
    ) -> None:
        self.outcomes: SimpleQueue[Outcome[R] | BaseException | _Ended] = SimpleQueue()
        self._run = run
        self._left = enumerate(works)
        self._taking = threading.Lock()
        self._permits = permits
        self._stop = stop

    def work(self) -> None:
        """One after the other, until there are none left or it is to stop."""
        try:
            while (taken := self._take()) is not None:
                number, work = taken
                try:
                    outcome = Outcome(number, self._run(work, self._stop), None)
                except BaseException as error:  # noqa: BLE001  raised again where it is taken
                    outcome = Outcome(number, None, error)
                self.outcomes.put(outcome)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  of the iterator; raised again by who waits
            self.outcomes.put(error)
        finally:
            self.outcomes.put(_Ended())

    def _take(self) -> tuple[int, T] | None:
        self._permits.acquire()
        self._stop.check()
        with self._taking:
            return next(self._left, None)


def by_threads(
    run: Callable[[T, Stop], R], works: Iterable[T], limit: int, stop: Stop, *, ordered: bool = False
) -> Generator[Outcome[R]]:
    """What came of `run(work, stop)` for each. Closed early, or when reading the works fails, it stops the threads."""
    permits = threading.Semaphore(WINDOW * limit)
    own = stop.derive()
    labour = _Labour(run, works, permits, own)
    threads = [threading.Thread(target=labour.work, name=f"objectstore-{n}", daemon=True) for n in range(limit)]
    try:
        order: _Order[R] = _Order()
        for thread in threads:
            thread.start()
        ended = 0
        while ended < len(threads):
            found = labour.outcomes.get()
            if isinstance(found, _Ended):
                ended += 1
                permits.release()
            elif isinstance(found, BaseException):
                raise found
            else:
                for one in order.add(found) if ordered else (found,):
                    yield one
                    permits.release()
    finally:
        own.set()
        for _ in threads:
            permits.release()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        stop.forget(own)


async def by_tasks(
    run: Callable[[T], Awaitable[R]], works: Iterable[T], limit: int, *, ordered: bool = False
) -> AsyncGenerator[Outcome[R], None]:
    """As `by_threads`; tasks are cancelled, and waited for."""
    left = enumerate(works)
    permits = asyncio.Semaphore(WINDOW * limit)
    outcomes: asyncio.Queue[Outcome[R] | BaseException | _Ended] = asyncio.Queue()

    async def labour() -> None:
        try:
            while True:
                await permits.acquire()
                number, work = next(left, (0, _Ended))
                if work is _Ended:
                    break
                try:
                    outcome = Outcome(number, await run(work), None)  # type: ignore[arg-type]  # no work is that
                except Exception as error:  # noqa: BLE001  raised again where it is taken
                    outcome = Outcome(number, None, error)
                outcomes.put_nowait(outcome)
        except Exception as error:  # noqa: BLE001  of the iterator; raised again by who waits
            outcomes.put_nowait(error)
        finally:
            outcomes.put_nowait(_Ended())

    order: _Order[R] = _Order()
    tasks = [asyncio.create_task(labour()) for _ in range(limit)]
    try:
        ended = 0
        while ended < len(tasks):
            found = await outcomes.get()
            if isinstance(found, _Ended):
                ended += 1
                permits.release()
            elif isinstance(found, BaseException):
                raise found
            else:
                for one in order.add(found) if ordered else (found,):
                    yield one
                    permits.release()
    finally:
        for task in tasks:
            task.cancel()
        await _ended(tasks)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    # Cancelled once more while waiting, it still waits: what the tasks hold open is closed by their end.
    waiting = asyncio.gather(*tasks, return_exceptions=True)
    cancelled: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def in_thread(call: Callable[[], R]) -> R:
    """What `call` returns, called in a thread. Cancelled, it waits for its end: what it uses may then be closed."""
    running = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                continue
        if not running.cancelled():
            running.exception()
        raise
