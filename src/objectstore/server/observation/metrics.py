"""What is told at `/metrics`."""

from __future__ import annotations

import asyncio
import platform
from typing import Final

from objectstore import __version__
from objectstore.backends.contract import Backend
from objectstore.ratelimit.limiter import Limiter
from objectstore.server.observation import families, process
from objectstore.server.observation.exposition import expose
from objectstore.server.observation.tally import COUNTER, GAUGE, Series, Tally

_INTERVAL: Final = 1.0  # seconds after which other workers tell what this one has not counted itself


class Metrics:
    """The figures of a server. Those that are not counted as they happen are noted once a second, and when asked."""

    def __init__(self, tally: Tally, backend: Backend, limiter: Limiter) -> None:
        self._tally = tally
        self._backend = backend
        self._limiter = limiter

    async def run(self) -> None:
        """Note figures for the other workers, until cancelled."""
        while True:
            self.note()
            await asyncio.sleep(_INTERVAL)

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Everything that is known of all workers, and its content type."""
        self.note()
        return await asyncio.to_thread(self._expose, accept)

    def note(self) -> None:
        """Write down what this process knows of itself now."""
        cells, cell = self._tally.cells, self._tally.cell
        cells[cell(COUNTER, (families.CPU.name,))] = process.cpu_seconds()
        for name, value in process.levels().items():
            cells[cell(GAUGE, (name,))] = value
        cells[cell(GAUGE, (families.STORAGE_AWAY.name,))] = float(self._limiter.away)

    def _expose(self, accept: str) -> tuple[bytes, str]:
        totals, workers = self._tally.totals()
        return expose({**totals, **self._own(workers)}, accept)

    def _own(self, workers: int) -> dict[Series, float]:
        build = (__version__, platform.python_version(), platform.python_implementation())
        return {
            (families.START.name,): process.STARTED,
            (families.WORKERS.name,): float(workers),
            (families.BUILD.name, *build, self._backend.capabilities.name): 1.0,
        }
