"""A server on a raw socket that answers as a script tells, rightly or wrongly, and notes what it was asked."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from queue import SimpleQueue

from objectstore.core.digests import digests_of
from objectstore.values import Attributes, ObjectInfo
from objectstore.wire.headers import format_info
from objectstore.wire.ranges import format_content_range
from objectstore.wire.records import dump, parse_time, record

TIME = parse_time("2024-05-06T07:08:09Z")


@dataclass(frozen=True)
class Seen:
    """A request as it came over the wire; `connection` counts from 0."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True)
class Act:
    """What to do about one request. `sends` goes out as it is; then the connection is kept, or cut."""

    sends: bytes = b""
    keep: bool = True
    reads_body: bool = True
    meanwhile: Callable[[], object] = lambda: None  # before anything is sent


@dataclass
class Scripted:
    """Acts are taken in the order in which requests come, whatever the connection."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    arrivals: SimpleQueue[Seen] = field(default_factory=SimpleQueue)
    acts: list[Act] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def plays(self, *acts: Act) -> None:
        self.acts.extend(acts)

    def next_seen(self) -> Seen:
        """The next request, once all that will come of it has come."""
        return self.arrivals.get(timeout=20)

    @property
    def methods(self) -> list[str]:
        return [one.method for one in self.seen]


def answer(
    status: int,
    body: bytes = b"",
    fields: Iterable[tuple[str, str]] = (),
    *,
    length: int | None = None,
    keep: bool = True,
) -> Act:
    """A response; `length` may lie about the body."""
    head = [f"HTTP/1.1 {status} Scripted", f"content-length: {len(body) if length is None else length}"]
    head += [f"{name}: {value}" for name, value in fields]
    return Act("\r\n".join([*head, "", ""]).encode() + body, keep=keep)


def failure(status: int, code: str, *fields: tuple[str, str]) -> Act:
    body = json.dumps({"error": {"code": code, "message": f"the server says {code}"}}).encode()
    return answer(status, body, [("content-type", "application/json"), *fields])


def cut(sends: bytes = b"") -> Act:
    """Send this much, then close the connection."""
    return Act(sends, keep=False)


def info(data: bytes, key: str = "k", *, etag: str = "e1") -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=len(data),
        etag=etag,
        created=TIME,
        modified=TIME,
        digests=digests_of(data),
        attributes=Attributes(content_type="text/plain"),
    )


def stored(data: bytes, key: str = "k", *, etag: str = "e1") -> Act:
    """The answer to a put of `data`."""
    return answer(200, dump(record(info(data, key, etag=etag))), [("content-type", "application/json")])


def content(
    data: bytes,
    *,
    start: int = 0,
    stop: int | None = None,
    etag: str = "e1",
    ends: int | None = None,
    damage: bool = False,
) -> Act:
    """The answer to a get of `data`, or of a part of it; it ends after `ends` bytes of those announced."""
    whole = start == 0 and stop is None
    stop = len(data) if stop is None else stop
    fields = [(name.decode(), value.decode()) for name, value in format_info(info(data, etag=etag))]
    if not whole:
        fields.append(("content-range", format_content_range(start, stop, len(data)).decode()))
    body = data[start:stop]
    if damage:
        body = body[:-1] + bytes([body[-1] ^ 1])
    cut_short = ends is not None
    return answer(200 if whole else 206, body[:ends], fields, length=len(body), keep=not cut_short)


@contextlib.contextmanager
def scripted() -> Iterator[Scripted]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threads: list[threading.Thread] = []
        connections: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if server.stopping.is_set():
                    connection.close()
                    return
                connections.append(connection)
                number = len(connections) - 1
                thread = threading.Thread(target=_converse, args=(server, connection, number))
                threads.append(thread)
                thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            server.stopping.set()
            with contextlib.suppress(OSError):
                socket.create_connection(listener.getsockname(), timeout=5).close()
            accepting.join()
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _converse(server: Scripted, connection: socket.socket, number: int) -> None:
    with connection, connection.makefile("rb") as incoming, contextlib.suppress(OSError):
        while (line := incoming.readline()).strip():
            method, target, _ = line.decode("latin-1").split(" ")
            fields = dict(_fields(incoming))
            act = server.acts[0] if server.acts else answer(599, b"the script has ended")
            del server.acts[:1]
            try:
                body = _body(incoming, fields) if act.reads_body else b""
            except (ValueError, OSError):
                body = b"cut"
            server.seen.append(Seen(method, target, fields, body, number))
            server.arrivals.put(server.seen[-1])
            act.meanwhile()
            # The answer to a HEAD is that to a GET without its body.
            connection.sendall(act.sends if method != "HEAD" else act.sends.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            if body == b"cut" or not act.keep:
                return


def _fields(incoming: BufferedReader) -> Iterator[tuple[str, str]]:
    while line := incoming.readline().decode("utf-8").strip("\r\n"):
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _body(incoming: BufferedReader, fields: dict[str, str]) -> bytes:
    """Raises ValueError: it was cut short."""
    if fields.get("transfer-encoding") == "chunked":
        return b"".join(_chunks(incoming))
    return _exactly(incoming, int(fields.get("content-length", 0)))


def _chunks(incoming: BufferedReader) -> Iterator[bytes]:
    while size := int(incoming.readline(), 16):
        yield _exactly(incoming, size)
        incoming.readline()
    incoming.readline()


def _exactly(incoming: BufferedReader, size: int) -> bytes:
    body = incoming.read(size)
    if len(body) < size:
        raise ValueError("cut short")
    return body
