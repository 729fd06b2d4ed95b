"""What a proxy does while it runs: its thread, its connections, and the bytes that go over them or do not."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import random
import socket
import struct
import termios
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from objectstore.sockets import drop_unsent
from objectstore.testing.lines import Choices, Drop, End, Hold, Line, LineRule, Pass, Queue, Reorder, Side

Address: TypeAlias = tuple[str, int]

_CHUNK: Final = 64 * 1024  # bytes
_AHEAD: Final = 4  # chunks that are read before they go on
_STARTING: Final = 60.0  # seconds; a machine may be very busy
_CONNECTING: Final = 10.0  # seconds
_ARRIVING: Final = 10.0  # seconds that a cut waits for what came before it
_LOOK: Final = 0.005  # seconds between two looks at what other threads do
_SIDES: Final[tuple[Side, Side]] = ("server", "client")


class Relay:
    """The thread, its loop and its socket."""

    def __init__(self, target: Address, port: int, rules: Callable[[], tuple[LineRule, ...]]) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._target = target
        self._wire = _Wire(rules)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._stopping = asyncio.Event()
        self._open: set[_Connection] = set()
        self._thread = threading.Thread(target=self._run, name="objectstore-proxy", daemon=True)
        self._thread.start()
        if not self._ready.wait(_STARTING):
            raise RuntimeError(f"the proxy did not start within {_STARTING:g} s")

    @property
    def connections(self) -> int:
        return sum(not one.client_left for one in tuple(self._open))

    def stop(self) -> None:
        self._soon(self._stopping.set)
        self._thread.join()

    def changed(self) -> None:
        self._soon(self._review)

    def hang_up(self, *, reset: bool) -> None:
        def end() -> None:
            for connection in tuple(self._open):
                connection.end(reset=reset)

        self._soon(end)

    def _review(self) -> None:
        self._wire.review()
        for connection in tuple(self._open):
            connection.review()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        accepting = asyncio.create_task(self._accept())
        self._ready.set()
        await self._stopping.wait()
        accepting.cancel()
        self._listener.close()
        for connection in tuple(self._open):
            connection.end(reset=True)
        if self._wire.tasks:
            await asyncio.wait(self._wire.tasks)
        await asyncio.gather(accepting, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            connection = _Connection(client, self._wire)
            self._open.add(connection)
            self._wire.start(self._carry(connection))

    async def _carry(self, connection: _Connection) -> None:
        try:
            await connection.run(self._target)
        finally:
            self._open.discard(connection)

    def _soon(self, call: Callable[[], object]) -> None:
        """Call it in the loop, and wait until that is done: what follows meets with the new state."""
        done = threading.Event()

        def then() -> None:
            call()
            done.set()

        if self._loop is not None and threading.current_thread() is not self._thread:
            with contextlib.suppress(RuntimeError):  # a loop that has ended has no connections left
                self._loop.call_soon_threadsafe(then)
                while not done.wait(0.1) and self._thread.is_alive():
                    pass


class _Wire:
    """What all connections share."""

    def __init__(self, rules: Callable[[], tuple[LineRule, ...]]) -> None:
        self._rules = rules
        self._orders: dict[LineRule, _Order] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.change = asyncio.Event()  # replaced at each

    @property
    def rules(self) -> tuple[LineRule, ...]:
        return self._rules()

    def review(self) -> None:
        change, self.change = self.change, asyncio.Event()
        change.set()
        for rule in [rule for rule in self._orders if rule.over]:
            self._orders.pop(rule).release()

    def order_of(self, rule: LineRule, trouble: Reorder) -> _Order:
        return self._orders.setdefault(rule, _Order(trouble, self.start))

    def start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class _Order:
    """Who waits to be told after the others."""

    def __init__(self, trouble: Reorder, start: Callable[[Awaitable[None]], None]) -> None:
        self._trouble = trouble
        self._start = start
        self._waiting: list[tuple[asyncio.Event, asyncio.Event]] = []

    async def turn(self, reaction: asyncio.Event) -> None:
        """Return when it is one's turn."""
        mine = asyncio.Event()
        self._waiting.append((mine, reaction))
        if len(self._waiting) >= self._trouble.count:
            self.release()
        try:
            await _set_within(mine, self._trouble.patience)
        finally:
            self._waiting = [one for one in self._waiting if one[0] is not mine]

    def release(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._start(self._released(waiting))

    async def _released(self, waiting: list[tuple[asyncio.Event, asyncio.Event]]) -> None:
        for turn, reaction in reversed(waiting):
            turn.set()
            await _set_within(reaction, self._trouble.patience / self._trouble.count)


@dataclass(eq=False)
class _Direction:
    """Where bytes come from and go to."""

    line: Line
    source: socket.socket
    sink: socket.socket
    arrived: asyncio.Queue[tuple[bytes | None, float]] = field(default_factory=lambda: asyncio.Queue(_AHEAD))
    reaction: asyncio.Event = field(default_factory=asyncio.Event)


class _Connection:
    """A client, and the server for it."""

    def __init__(self, client: socket.socket, wire: _Wire) -> None:
        self.client_left = False
        self._client = client
        self._sockets = [client]
        self._wire = wire
        self._cut = False  # what comes goes nowhere
        self._broken = False  # one side has reset its connection
        self._ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        choices = Choices()
        self._lines = {side: Line(side, choices) for side in _SIDES}
        self._directions: dict[Side, _Direction] = {}

    def end(self, *, reset: bool) -> None:
        """Close both sockets."""
        if not self._ended.done():
            self._ended.set_result(reset)

    def review(self) -> None:
        """The rules have changed."""
        # What has lost bytes is of no use, and nothing that comes might tell so.
        for line in self._lines.values():
            if line.lost and not isinstance(self._step(line, 0, 0.0), Drop):
                self.end(reset=True)

    async def run(self, target: Address) -> None:
        carrying = asyncio.create_task(self._carry(target))
        reset = True
        try:
            both: list[asyncio.Future[Any]] = [self._ended, carrying]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            reset = self._ended.result() if self._ended.done() else carrying.exception() is not None
        finally:
            carrying.cancel()
            # Before Python 3.12 this is how to wait for it whatever it raises.
            await asyncio.wait([carrying])
            if not carrying.cancelled():
                carrying.exception()  # one side has hung up
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    if reset:
                        drop_unsent(one)
                one.close()
            for direction in self._directions.values():
                direction.reaction.set()

    async def _carry(self, target: Address) -> None:
        loop = asyncio.get_running_loop()
        self._client.setblocking(False)
        async with asyncio.timeout(_CONNECTING):
            (family, kind, _, _, address), *_ = await loop.getaddrinfo(*target, type=socket.SOCK_STREAM)
            server = socket.socket(family, kind)
            self._sockets.append(server)
            server.setblocking(False)
            await loop.sock_connect(server, address)
        for one in self._sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._directions = {
            "server": _Direction(self._lines["server"], self._client, server),
            "client": _Direction(self._lines["client"], server, self._client),
        }
        async with asyncio.TaskGroup() as group:
            for direction in self._directions.values():
                group.create_task(self._read(direction))
                group.create_task(self._pass(direction))

    async def _read(self, direction: _Direction) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(direction.source, _CHUNK)
            except OSError:
                self._broken = True
                self.client_left = self.client_left or direction.source is self._client
                await direction.arrived.put((None, time.monotonic()))
                return
            if not data and direction.source is self._client:
                self.client_left = True
            await direction.arrived.put((data, time.monotonic()))
            if not data:
                return

    async def _pass(self, direction: _Direction) -> None:
        while True:
            data, since = await direction.arrived.get()
            direction.line.arrived()
            await self._pass_chunk(direction, data or b"", since)
            if self._cut:
                continue  # it is still seen who leaves
            if data is None:
                self.end(reset=True)
                return
            if not data:
                direction.sink.shutdown(socket.SHUT_WR)
                return

    async def _pass_chunk(self, direction: _Direction, data: bytes, since: float) -> None:
        """Return when all of it has gone on, or the end of the connection may."""
        loop = asyncio.get_running_loop()
        line = direction.line
        at_end = not data
        while data or at_end:
            if self._cut:
                return
            change = self._wire.change
            match self._step(line, len(data), time.monotonic() - since):
                case Pass(size, pause, flips):
                    if pause and await _set_within(change, pause):
                        continue
                    if at_end or self._ended.done():
                        return
                    await loop.sock_sendall(direction.sink, _flipped(data[:size], flips))
                    data = data[size:]
                    await self._note_passed(direction, size)
                case Hold():
                    await change.wait()
                case Drop():
                    data = b""
                    if at_end:
                        await change.wait()
                case Queue(rule, trouble):
                    await self._wire.order_of(rule, trouble).turn(direction.reaction)
                    direction.reaction.clear()
                    line.take_turn()
                case End(reset):
                    await self._end_behind(reset=reset)

    async def _note_passed(self, direction: _Direction, size: int) -> None:
        direction.line.passed(size)
        other = self._directions["client" if direction.line.toward == "server" else "server"]
        other.reaction.set()
        other.line.reacted()
        end = direction.line.is_cut(self._wire.rules)
        if end is not None and not self._cut:
            await self._end_behind(reset=end.reset)

    async def _end_behind(self, *, reset: bool) -> None:
        """End it when all that went on has arrived: a reset throws away what has not."""
        self._cut = True
        deadline = time.monotonic() + _ARRIVING  # who does not read is waited for no longer
        while (  # noqa: ASYNC110  the system tells only who asks
            not self._broken and any(map(_on_its_way, self._sockets)) and time.monotonic() < deadline
        ):
            await asyncio.sleep(_LOOK)
        self.end(reset=reset)

    def _step(self, line: Line, size: int, age: float) -> Pass | Hold | Drop | Queue | End:
        return line.step(size, self._wire.rules, age=age, draw=random.random)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _on_its_way(one: socket.socket) -> int:
    """How many bytes the other side has not acknowledged; 0 where the system does not tell that of a socket."""
    try:
        (size,) = struct.unpack("i", fcntl.ioctl(one, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(size)


def _flipped(data: bytes, flips: tuple[tuple[int, int], ...]) -> bytes:
    if not flips:
        return data
    changed = bytearray(data)
    for at, mask in flips:
        changed[at] ^= mask
    return bytes(changed)
