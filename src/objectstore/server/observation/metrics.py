"""What is told at `/metrics`."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from objectstore import __version__
from objectstore.backends.contract import Backend
from objectstore.backends.statistics import Counted, Measured, levels_of, measured_of
from objectstore.errors import ObjectStoreError
from objectstore.ratelimit.limiter import Limiter
from objectstore.server.observation import families, process
from objectstore.server.observation.tally import COUNTER, GAUGE, Series, Tally

_log: Final = logging.getLogger("objectstore.server")

_PREFIX: Final = "objectstore_"
_PATIENCE: Final = 5.0  # seconds for the store to tell of itself
_INTERVAL: Final = 1.0  # seconds after which other workers tell what this one has not counted itself


class Metrics:
    """The figures of a server. Those that are not counted as they happen are noted once a second, and when asked."""

    def __init__(self, tally: Tally, backend: Backend, limiter: Limiter, ready: Callable[[], Awaitable[bool]]) -> None:
        self._tally = tally
        self._backend = backend
        self._ready = ready
        self._limiter = limiter

    async def run(self) -> None:
        """Note figures for the other workers, until cancelled."""
        while True:
            self.note()
            await asyncio.sleep(_INTERVAL)

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Everything that is known of all workers, and its content type."""
        self.note()
        levels: dict[Series, float] = {(f"{_PREFIX}{name}",): value for name, value in (await self._levels()).items()}
        levels[families.READY.name,] = float(await self._ready())
        return await asyncio.to_thread(self._expose, accept, levels)

    def note(self) -> None:
        """Write down what this process knows of itself now."""
        cells, cell = self._tally.cells, self._tally.cell
        cells[cell(COUNTER, (families.CPU.name,))] = process.cpu_seconds()
        for name, value in process.levels().items():
            cells[cell(GAUGE, (name,))] = value
        cells[cell(GAUGE, (families.TASKS.name,))] = float(len(asyncio.all_tasks()))
        sums: defaultdict[int, float] = defaultdict(float)
        for measured in measured_of([self._backend]):
            for index, value in self._cells_of(measured):
                sums[index] += value
        for index, value in sums.items():
            cells[index] = value
        cells[cell(GAUGE, (families.STORAGE_AWAY.name,))] = float(self._limiter.away)

    def _cells_of(self, measured: Measured) -> Iterator[tuple[int, float]]:
        name = f"{_PREFIX}{measured.name}"
        family = families.BY_NAME.get(name)
        if family is None:
            return
        if isinstance(measured, Counted):
            yield self._tally.cell(COUNTER, (name,)), measured.value
        elif measured.bounds == family.bounds:
            first = self._tally.block(COUNTER, [(name, part) for part in family.parts])
            yield from enumerate((*measured.counts, measured.total), first)

    async def _levels(self) -> dict[str, float]:
        found: defaultdict[str, float] = defaultdict(float)
        try:
            async with asyncio.timeout(_PATIENCE):
                for level in await levels_of([self._backend]):
                    found[level.name] += level.value
        except (ObjectStoreError, TimeoutError) as error:
            # What the server counted itself is still worth telling, just then.
            _log.warning("the store tells nothing of itself: %s", str(error) or "it takes too long")
        return found

    def _expose(self, accept: str, levels: Mapping[Series, float]) -> tuple[bytes, str]:
        # Of the library for Prometheus nothing is needed before somebody asks.
        from objectstore.server.observation.exposition import expose

        totals, workers = self._tally.totals()
        return expose({**totals, **levels, **self._own(workers)}, accept)

    def _own(self, workers: int) -> dict[Series, float]:
        build = (__version__, platform.python_version(), platform.python_implementation())
        return {
            (families.START.name,): process.STARTED,
            (families.WORKERS.name,): float(workers),
            (families.BUILD.name, *build, self._backend.capabilities.name): 1.0,
        }
