"""A TCP proxy before any server, with troubles that begin and end while it runs."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import urlsplit

from objectstore.testing.lines import LineRule, LineTrouble, Side
from objectstore.testing.relay import Address, Relay
from objectstore.testing.running import Running

_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
_LOOK: Final = 0.005  # seconds between two looks at what other threads do


class Proxy(Running):
    """Stands before a server, on a free port of 127.0.0.1; `with` or `async with` starts and ends it.

    It passes bytes on as they come and knows nothing of what they mean. `proxied` makes it.
    """

    def __init__(self, server: str) -> None:
        self._scheme, self._user, self._target, self._path = _parsed(server)
        self._rules: tuple[LineRule, ...] = ()
        self._running: Relay | None = None
        self._port = 0

    def __repr__(self) -> str:
        return f"<Proxy {self._port or 'not started'} before {self._target[0]}:{self._target[1]}>"

    def start(self) -> None:
        """Take connections from now on; after `stop`, on the same port again."""
        if self._running is not None:
            raise RuntimeError("this proxy is running already")
        self._running = Relay(self._target, self._port, lambda: self._rules)
        self._port = self._running.port

    def stop(self) -> None:
        """Reset all connections, and refuse new ones: nobody listens on the port. Troubles stay."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        if not self._port:
            raise RuntimeError("this proxy was not started: say `with proxied(…) as proxy:`")
        return self._port

    @property
    def url(self) -> str:
        """That of the server, by way of this proxy."""
        return f"{self._scheme}{self._user}127.0.0.1:{self.port}{self._path}"

    def disturb(
        self,
        trouble: LineTrouble,
        *,
        toward: Side | None = None,
        skip: int = 0,
        every: int = 1,
        times: int | None = None,
    ) -> LineRule:
        """From now on let `trouble` happen to connections, those that are open included.

        Bytes are counted from now on, of each connection and direction by itself. `hits` of what is given back counts
        the connections that it happened to, each when its next bytes come; `cancel()` ends it, and so does a `with`.

        Args:
            trouble: as in `Delay(0.2, jitter=0.1)`, `Stall()` or `Cut(Sent(1000))`.
            toward: only what goes to the "server" or to the "client"; a `Cut` says so by itself.
            skip: leave the first connections alone.
            every: of those that follow only every second, third, …
            times: connections, then it is over; None: until `calm`, or the end of a `with` around this.
        """
        rule = LineRule(trouble, toward, self._changed, skip=skip, every=every, times=times)
        self._rules = (*(one for one in self._rules if not one.over), rule)
        self._changed()
        return rule

    def calm(self) -> None:
        """End all troubles."""
        rules, self._rules = self._rules, ()
        for rule in rules:
            rule.cancel()

    def hang_up(self, *, reset: bool = False) -> None:
        """End every connection that is open now, with `reset` by RST; new ones are taken."""
        if self._running is not None:
            self._running.hang_up(reset=reset)

    @property
    def connections(self) -> int:
        """Connections that clients have open now."""
        return 0 if self._running is None else self._running.connections

    def wait_idle(self, seconds: float = 10.0) -> bool:
        """Whether clients have closed all their connections, or do so within that time."""
        deadline = time.monotonic() + seconds
        while self.connections:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK)
        return True

    def _changed(self) -> None:
        if self._running is not None:
            self._running.changed()


def proxied(server: str) -> Proxy:
    """A TCP proxy before a server: `HOST:PORT`, or a URL as in `redis://127.0.0.1:6379/3`.

        with proxied("redis://127.0.0.1:6379") as proxy:
            proxy.disturb(Delay(0.1, jitter=0.05), toward="client")
            client = redis.Redis.from_url(proxy.url)

    It runs in a thread of this process, and ends with the block. The server may be away, and come and go.
    """
    return Proxy(server)


def _parsed(server: str) -> tuple[str, str, Address, str]:
    """What stands in front of user and host, the user with an @, the address, and what follows."""
    scheme, mark, rest = server.rpartition("://")
    parts = urlsplit(server if mark else f"//{server}")
    port = parts.port or _PORTS.get(scheme)
    if not parts.hostname or port is None:
        raise ValueError("a server is HOST:PORT, or a URL with a host and a port")
    place, slash, path = rest.partition("/")
    user, at, _ = place.rpartition("@")
    return scheme + mark, user + at, (parts.hostname, port), slash + path
