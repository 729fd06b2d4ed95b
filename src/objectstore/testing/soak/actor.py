"""An active client: does its tasks over a connection of its own, and knows of each answer what it has to be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from objectstore.client.transport.http1 import Answer, Malformed
from objectstore.testing.soak.bodies import Comparison, Version
from objectstore.testing.soak.connection import Connection, Lost
from objectstore.testing.soak.patience import patience
from objectstore.testing.soak.workload import KEYS, Task, tasks
from objectstore.testing.soak.world import World
from objectstore.wire.headers import FieldList

_PAUSE: Final = 1.0  # seconds after a refusal for there being too many at once, which is what the server says
_SAID: Final = 1024  # bytes of an answer that are kept, in case it is an error
_AGAIN: Final = 0.2  # seconds after a connection was lost that should not have been


class Unanswered(Exception):
    """No answer came."""


class Refused(Exception):
    """There were too many requests at once; nothing was done."""


@dataclass(slots=True)
class Held:
    """What a key may hold: one thing, or one of several after writes that were not answered."""

    versions: tuple[Version | None, ...] = (None,)
    etag: bytes | None = None  # of the one version, when it is known

    @property
    def settled(self) -> bool:
        return len(self.versions) == 1 and (self.versions[0] is None or self.etag is not None)


class Actor:
    """One client. No key of it is used by another."""

    def __init__(self, number: int, world: World) -> None:
        self._number = number
        self._world = world
        self._record = world.record
        self._held = {f"soak/{number:05}/{one}": Held() for one in range(KEYS)}
        self._keys = list(self._held)
        self._given_up: set[str] = set()
        self._written = 0
        self._connection: Connection | None = None
        self._watched = False  # the request under way was so when the server was told to end

    async def run(self) -> None:
        """Do tasks until all is over, then look at every key."""
        share = self._world.share
        for task in tasks(share.seed, self._number, share.sizes):
            if self._world.over:
                break
            await self._attempt(lambda task=task: self._do(task))  # type: ignore[misc]  # mypy knows no default here
        for place in range(KEYS):
            while not await self._attempt(lambda place=place: self._get(self._keys[place])):  # type: ignore[misc]  # as above
                pass
            self._record.verified += 1
        while not await self._attempt(self._list):
            pass
        if self._connection is not None:
            self._connection.close()

    def watch(self) -> None:
        """The server is told to end: what is under way now is to be answered all the same."""
        self._watched = self._connection is not None and self._connection.waiting
        self._record.under_way += self._watched

    async def _attempt(self, act: Callable[[], object]) -> bool:
        """Whether it was done, well or not."""
        try:
            await act()  # type: ignore[misc]  # every act is awaited
        except Refused:
            self._record.refused += 1
            await asyncio.sleep(_PAUSE)
            return False
        except Unanswered:
            return False
        return True

    async def _do(self, task: Task) -> None:
        key = self._keys[task.key]
        if task.kind not in {"put", "get", "list"} and not self._held[key].settled:
            await self._get(key)
        match task.kind:
            case "put":
                await self._put(key, task.size)
            case "create":
                await self._put(key, task.size, (b"if-none-match", b"*"), self._held[key].versions[0] is None)
            case "replace":
                etag = self._held[key].etag
                await self._put(key, task.size, (b"if-match", etag or b"*"), etag is not None)
            case "replace stale":
                await self._put(key, task.size, (b"if-match", b'"of-nothing"'), applies=False)
            case "delete":
                await self._delete(key)
            case "get":
                await self._get(key)
            case "get range":
                await self._get_range(key, task.cut)
            case "head":
                await self._head(key)
            case "list":
                await self._list()

    async def _put(
        self, key: str, size: int, condition: tuple[bytes, bytes] | None = None, applies: bool = True
    ) -> None:
        held = self._held[key]
        before = (held.versions, held.etag)
        self._written += 1
        version = Version(key, self._written, size)
        fields = [(b"content-length", b"%d" % size), *([condition] if condition else [])]
        if applies:
            held.versions, held.etag = (*held.versions, version), None
        try:
            answer, _ = await self._ask("put", "PUT", key, fields, self._world.bodies.pieces(version))
        except Refused:
            held.versions, held.etag = before
            raise
        wanted = 200 if applies else 412
        if not self._expect(answer, wanted, f"PUT {key} of {size} bytes, condition {condition}"):
            return
        if applies:
            held.versions, held.etag = (version,), answer.fields.get(b"etag")
            self._record.sent += size

    async def _delete(self, key: str) -> None:
        held = self._held[key]
        before = (held.versions, held.etag)
        there = held.versions[0] is not None
        held.versions, held.etag = (*held.versions, None) if there else (None,), None
        try:
            answer, _ = await self._ask("delete", "DELETE", key)
        except Refused:
            held.versions, held.etag = before
            raise
        if self._expect(answer, 204 if there else 404, f"DELETE {key}"):
            held.versions = (None,)

    async def _get(self, key: str) -> None:
        """The whole object, which has to be one of those that may be there, and settles which."""
        held = self._held[key]
        candidates = {
            version: self._world.bodies.comparison(version) for version in held.versions if version is not None
        }
        answer, length = await self._ask("get", "GET", key, take=_feeding(candidates.values()))
        if answer.status == 404 and None in held.versions:
            held.versions, held.etag = (None,), None
            return
        if not self._expect(answer, 200, f"GET {key}, which may hold {held.versions}"):
            held.versions, held.etag = (None,) if answer.status == 404 else held.versions, None
            return
        self._record.received += length
        etag = answer.fields.get(b"etag")
        for version, comparison in candidates.items():
            if comparison.whole(0) and length == version.size and held.etag in {None, etag}:
                held.versions, held.etag = (version,), etag
                return
        self._record.complain("wrong body", f"GET {key}: {length} bytes, etag {etag!r}: not {held.versions}")

    async def _get_range(self, key: str, cut: tuple[float, float]) -> None:
        version = self._held[key].versions[0]
        if version is None or not version.size:
            await self._head(key)
            return
        start, last = sorted(int(share * version.size) for share in cut)
        comparison = self._world.bodies.comparison(version, start)
        field = (b"range", b"bytes=%d-%d" % (start, last))
        answer, length = await self._ask("get range", "GET", key, [field], take=_feeding([comparison]))
        if not self._expect(answer, 206, f"GET {key}, range {start}-{last} of {version.size}"):
            return
        self._record.received += length
        told = answer.fields.get(b"content-range")
        if told != b"bytes %d-%d/%d" % (start, last, version.size) or length != last - start + 1:
            self._record.complain("wrong range", f"GET {key}, range {start}-{last}: {length} bytes, {told!r}")
        elif not comparison.whole(version.size - last - 1):
            self._record.complain("wrong body", f"GET {key}, range {start}-{last}: not of {version}")

    async def _head(self, key: str) -> None:
        held = self._held[key]
        version = held.versions[0]
        answer, _ = await self._ask("head", "HEAD", key)
        if self._expect(answer, 404 if version is None else 200, f"HEAD {key}") and version is not None:
            told = (answer.fields.get(b"content-length"), answer.fields.get(b"etag"))
            if told != (b"%d" % version.size, held.etag):
                self._record.complain("wrong head", f"HEAD {key}: {told}, not {version.size} and {held.etag!r}")

    async def _list(self) -> None:
        for key in self._keys:
            if not self._held[key].settled:
                await self._get(key)
        body = bytearray()
        answer, _ = await self._ask("list", "GET", "", take=body.extend)
        wanted = [key for key in self._keys if self._held[key].versions != (None,)]
        if self._expect(answer, 200, f"list of client {self._number}"):
            found = [key for key in json.loads(body)["keys"] if key not in self._given_up]
            if found != wanted:
                self._record.complain("wrong list", f"of client {self._number}: {found}, not {wanted}")

    def _expect(self, answer: Answer, status: int, what: str) -> bool:
        if answer.status == status:
            return True
        # That something is not there which was acknowledged is the one thing that must never be.
        kind = "lost" if (answer.status, status) in {(404, 200), (404, 204)} else "wrong status"
        self._record.complain(kind, f"{what}: {answer.status}, not {status}")
        return False

    async def _ask(
        self,
        kind: str,
        method: str,
        key: str,
        fields: FieldList | None = None,
        body: Iterable[bytes] = (),
        take: Callable[[bytes], None] | None = None,
    ) -> tuple[Answer, int]:
        """The answer, and how many bytes its body had. Raises Unanswered, Refused."""
        target = f"/objects/{key}" if key else f"/objects?prefix=soak/{self._number:05}/&limit=1000"
        world, loop = self._world, asyncio.get_running_loop()
        length, said = 0, bytearray()

        def count(data: bytes) -> None:
            nonlocal length
            length += len(data)
            if take is not None:
                take(data)
            if len(said) < _SAID:
                said.extend(data[:_SAID])

        epoch = world.epoch
        try:
            connection = await self._connected()
            epoch = connection.epoch
            began = loop.time()
            authorization = (b"authorization", f"Bearer {world.token}".encode())
            async with patience(connection, world.share.port):
                answer = await connection.ask(method, target, [authorization, *(fields or [])], body, count)
        except (Lost, Malformed, TimeoutError) as error:
            await self._unanswered(epoch, f"{method} {target}", error)
            if key and not world.excuses(epoch) and method in {"PUT", "DELETE"}:
                self._give_up(key)
            raise Unanswered from error
        self._watched = False
        if answer.status == 503 and world.share.limited and (b'"overloaded"' in said or method == "HEAD"):
            raise Refused
        self._record.answered(kind, answer.status, loop.time() - began)
        return answer, length

    def _give_up(self, key: str) -> None:
        """It may still be written to, at any moment, so that nothing is known of it: another takes its place."""
        self._given_up.add(key)
        del self._held[key]
        place = self._keys.index(key)
        self._keys[place] = f"{key}+"
        self._held[self._keys[place]] = Held()

    async def _connected(self) -> Connection:
        """The connection, or a new one, as a client has to that knows that servers close those that are idle."""
        idle = self._world.share.idle_timeout
        if self._connection is not None and idle and self._connection.silence > idle / 2:
            self._connection.close()
            self._connection = None
        if self._connection is None or self._connection.ended:
            self._connection = await self._world.connect()
        return self._connection

    async def _unanswered(self, epoch: int, what: str, error: Exception) -> None:
        if self._connection is not None:
            what = (
                f"{what} ({self._connection.silence:.1f} s after the last answer on its connection, or its beginning)"
            )
            self._connection.close()
            self._connection = None
        if self._world.excuses(epoch):
            self._record.unanswered += 1
            if self._watched:
                self._watched = False
                self._record.complain("cut short", f"{what} was under way when the server was told to end: {error}")
            return
        kind = "no answer in time" if isinstance(error, TimeoutError) else "lost connection"
        self._record.complain(kind, f"{what}: {type(error).__name__} {error}")
        await asyncio.sleep(_AGAIN)


def _feeding(comparisons: Iterable[Comparison]) -> Callable[[bytes], None]:
    fed: Sequence[Comparison] = list(comparisons)

    def feed(data: bytes) -> None:
        for one in fed:
            one.feed(data)

    return feed
