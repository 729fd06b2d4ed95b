"""A line for every request that was answered.

It has the form of the other log records, but is put together here: structlog takes 12 µs for what takes three, and
that is as long as a small object does. For the same reason requests are only remembered when they are over, and many
are put into lines at a time, at most a tenth of a second later: by code that is then in the processor's cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quoted
from typing import Final, TextIO

from objectstore.server.exchange import Exchange
from objectstore.server.observation.logs import Form, colored
from objectstore.server.observation.observer import CLIENT_GONE
from objectstore.server.observation.secrecy import without_tokens

_DELAY: Final = 0.1  # seconds
_MOST: Final = 128  # requests that wait
_PROBES: Final = frozenset({"/health", "/health/ready", "/metrics"})
_FAILED: Final = 500
_COLORS: Final = {2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"


class AccessLog:
    """Writes to `stream` about requests from `level` on: "error" is only what failed here, "debug" also probes."""

    def __init__(
        self, stream: TextIO, form: Form, level: str, *, client_of: Callable[[Exchange], str | None] | None = None
    ) -> None:
        self._stream = stream
        self._form = self._json if form == "json" else self._human
        self._failures_only = level not in {"debug", "info"}
        self._probes = level == "debug"
        self._client_of = client_of
        self._colors = colored(stream)
        self._noted: list[tuple[Exchange, float, float]] = []
        self._second = 0
        self._stamp = ""

    def note(self, exchange: Exchange, seconds: float) -> None:
        """A request is over."""
        status = exchange.status
        if status < _FAILED and (
            self._failures_only or (exchange.route in _PROBES and status < 400 and not self._probes)
        ):
            return
        noted = self._noted
        noted.append((exchange, time.time(), seconds))
        if len(noted) == 1:
            asyncio.get_running_loop().call_later(_DELAY, self.flush)
        elif len(noted) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        noted, self._noted = self._noted, []
        lines = [self._form(*one) for one in noted]
        # A log that cannot be written, as on a full disk, is no reason to stop serving.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write("".join(lines))
            self._stream.flush()

    def _json(self, exchange: Exchange, ended: float, seconds: float) -> str:
        status = exchange.status or CLIENT_GONE
        credential = exchange.credential
        peer = exchange.peer if self._client_of is None else self._client_of(exchange)
        return (
            f'{{"time":"{self._time(ended)}","level":"{"info" if status < _FAILED else "error"}",'
            f'"logger":"objectstore.access","event":"request","request_id":"{exchange.request_id.decode()}",'
            f'"token":{"null" if credential is None else quoted(credential.name)},'
            f'"client":{"null" if peer is None else quoted(peer)},'
            f'"method":{quoted(exchange.method)},"path":{quoted(_path(exchange))},'
            f'"route":"{exchange.route}","status":{status},'
            f'"error":{quoted(exchange.error) if exchange.error else "null"},'
            f'"received":{exchange.received},"sent":{exchange.sent},"duration":{seconds:.6f}}}\n'
        )

    def _human(self, exchange: Exchange, ended: float, seconds: float) -> str:
        status = exchange.status or CLIENT_GONE
        credential = exchange.credential
        peer = exchange.peer if self._client_of is None else self._client_of(exchange)
        shown = f"{_COLORS.get(status // 100, '')}{status}{_PLAIN}" if self._colors else str(status)
        words = [
            self._time(ended),
            "[info     ]" if status < _FAILED else "[error    ]",
            exchange.method,
            quoted(_path(exchange))[1:-1],
            shown,
            exchange.error,
            f"received={exchange.received} sent={exchange.sent} {seconds * 1000:.1f} ms",
            "" if credential is None else f"token={quoted(credential.name)}",
            f"client={peer} request_id={exchange.request_id.decode()}\n",
        ]
        return " ".join(word for word in words if word)

    def _time(self, ended: float) -> str:
        second = int(ended)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((ended - second) * 1e6):06d}Z"


def _path(exchange: Exchange) -> str:
    # Without the query: a signed link has its secret there. In the path a token stands by mistake only.
    return without_tokens(exchange.raw_path.decode("latin-1"))
