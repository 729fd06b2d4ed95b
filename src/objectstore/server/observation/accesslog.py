"""A line for every request that was answered.

It has the form of the other log records, but is put together here: structlog takes 12 µs for what takes one, and
that is as long as a small object does. For the same reason most of a line is remembered, since much of it is the same
for all that one client does; and many lines are written at once, at most a tenth of a second later. Lines wait, not
requests: those would keep all that they refer to from being used again while it is in the processor's cache.
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
_MOST: Final = 128  # lines that wait
_MOST_KNOWN: Final = 1024  # of what several lines have in common
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
        self._lines: list[str] = []
        self._known: dict[tuple[object, ...], tuple[str, str, str]] = {}
        self._second = 0
        self._stamp = ""

    def note(self, exchange: Exchange, seconds: float) -> None:
        """A request is over."""
        status = exchange.status
        if status < _FAILED and (
            self._failures_only or (exchange.route in _PROBES and status < 400 and not self._probes)
        ):
            return
        lines = self._lines
        lines.append(self._form(exchange, time.time(), seconds))
        if len(lines) == 1:
            asyncio.get_running_loop().call_later(_DELAY, self.flush)
        elif len(lines) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        # A log that cannot be written, as on a full disk, is no reason to stop serving.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write("".join(lines))
            self._stream.flush()

    def _json(self, exchange: Exchange, ended: float, seconds: float) -> str:
        credential = exchange.credential
        name = None if credential is None else credential.name
        peer = exchange.peer if self._client_of is None else self._client_of(exchange)
        same = (exchange.status, exchange.route, exchange.method, name, peer, exchange.error)
        try:
            before_id, before_path, before_bytes = self._known[same]
        except KeyError:
            before_id, before_path, before_bytes = self._learn(same, exchange, name, peer)
        return (
            f'{{"time":"{self._time(ended)}{before_id}{exchange.request_id.decode()}{before_path}{_path(exchange)}'
            f'{before_bytes}{exchange.received},"sent":{exchange.sent},"duration":{seconds:.6f}}}\n'
        )

    def _learn(
        self, same: tuple[object, ...], exchange: Exchange, name: str | None, peer: str | None
    ) -> tuple[str, str, str]:
        """What stands between that which differs from line to line."""
        status = exchange.status or CLIENT_GONE
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        token, client, error = map(_quoted_or_null, (name, peer, exchange.error or None))
        level = "info" if status < _FAILED else "error"
        found = self._known[same] = (
            f'","level":"{level}","logger":"objectstore.access","event":"request","request_id":"',
            f'","token":{token},"client":{client},"method":{quoted(exchange.method)},"path":',
            f',"route":"{exchange.route}","status":{status},"error":{error},"received":',
        )
        return found

    def _human(self, exchange: Exchange, ended: float, seconds: float) -> str:
        status = exchange.status or CLIENT_GONE
        credential = exchange.credential
        peer = exchange.peer if self._client_of is None else self._client_of(exchange)
        shown = f"{_COLORS.get(status // 100, '')}{status}{_PLAIN}" if self._colors else str(status)
        words = [
            self._time(ended),
            "[info     ]" if status < _FAILED else "[error    ]",
            exchange.method,
            _path(exchange)[1:-1],
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
    """In quotes."""
    # Without the query: a signed link has its secret there. In the path a token stands by mistake only.
    return quoted(without_tokens(exchange.raw_path.decode("latin-1")))


def _quoted_or_null(text: str | None) -> str:
    return "null" if text is None else quoted(text)
