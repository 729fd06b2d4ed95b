"""What is noted of every request: in the metrics, and in the access log."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Final, TypeAlias

from objectstore.server.exchange import Exchange
from objectstore.server.observation import families
from objectstore.server.observation.families import LATENCIES
from objectstore.server.observation.tally import COUNTER, GAUGE, Tally

CURRENT: Final[ContextVar[Exchange | None]] = ContextVar("objectstore_request", default=None)
"""The request that the running task answers."""

CLIENT_GONE: Final = 499  # the status, as nginx writes it, of a request whose client did not wait for one
UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})
# What the store, not the client, is to blame for, when it happens in an operation.
_OF_STORES: Final = frozenset({"unavailable", "storage_full", "corrupted", "internal_error", "configuration_error"})

Note: TypeAlias = Callable[[Exchange, float], None]


class Observer:
    """Notes requests. Used from the event loop only."""

    def __init__(self, tally: Tally, access: Note | None = None) -> None:
        self._tally = tally
        self._cells = tally.cells
        self._access = access
        self._in_flight = tally.cell(GAUGE, (families.IN_FLIGHT.name,))
        # By route, method and status: the cells of the count, of the first bucket, of seconds and of bytes.
        self._known: dict[tuple[str, str, int], tuple[int, int, int, int, int]] = {}

    def begin(self, exchange: Exchange) -> float:
        """A request has come; what to give to `end`."""
        CURRENT.set(exchange)
        self._cells[self._in_flight] += 1.0
        return perf_counter()

    def end(self, exchange: Exchange, began: float) -> None:
        """Its answer is out, or never will be."""
        seconds = perf_counter() - began
        cells = self._cells
        cells[self._in_flight] -= 1.0
        try:
            found = self._known[exchange.route, exchange.method, exchange.status]
        except KeyError:
            found = self._learn(exchange)
        count, bucket, duration, received, sent = found
        cells[count] += 1.0
        cells[bucket + bisect_left(LATENCIES, seconds)] += 1.0
        cells[duration] += seconds
        if exchange.sent:
            cells[sent] += exchange.sent
        if exchange.received:
            cells[received] += exchange.received
        if exchange.error:
            self._blame(exchange)
        if self._access is not None:
            self._access(exchange, seconds)

    def refused(self, limit: str) -> None:
        """A limit refused or cut a request."""
        self._cells[self._tally.cell(COUNTER, (families.REFUSALS.name, limit))] += 1.0

    def _learn(self, exchange: Exchange) -> tuple[int, int, int, int, int]:
        cell = self._tally.cell
        # A client may send any word for a method: that is no name for a series.
        method = exchange.method if exchange.method in _METHODS else "other"
        labels = (exchange.route or UNMATCHED, method)
        histogram = [(families.SECONDS.name, *labels, part) for part in families.SECONDS.parts]
        buckets = self._tally.block(COUNTER, histogram)
        found = (
            cell(COUNTER, (families.REQUESTS.name, *labels, str(exchange.status or CLIENT_GONE))),
            buckets,
            buckets + len(histogram) - 1,
            cell(COUNTER, (families.RECEIVED.name, *labels)),
            cell(COUNTER, (families.SENT.name, *labels)),
        )
        if method == exchange.method:
            self._known[exchange.route, exchange.method, exchange.status] = found
        return found

    def _blame(self, exchange: Exchange) -> None:
        cell = self._tally.cell
        self._cells[cell(COUNTER, (families.ERRORS.name, exchange.error))] += 1.0
        # Before it was admitted the store was not asked anything.
        if exchange.admitted and exchange.error in _OF_STORES:
            series = (families.BACKEND_ERRORS.name, exchange.error, exchange.route or UNMATCHED, exchange.method)
            self._cells[cell(COUNTER, series)] += 1.0
