from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from objectstore.auth.scopes import SCOPES, Credential
from objectstore.backends.memory import MemoryBackend
from objectstore.server.application import Application
from objectstore.server.collector import UNTIL, spare
from objectstore.server.exchange import Exchange, Message
from objectstore.server.limits import Limits
from objectstore.server.service import Service


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_requests_under_way_are_not_looked_through() -> None:
    runs: list[str] = []

    def note(phase: str, _: object) -> None:
        runs.append(phase)

    gc.set_threshold(700, 10, 10)
    spare()
    gc.callbacks.append(note)
    try:
        held = [[number] for number in range(UNTIL // 2)]
    finally:
        gc.callbacks.remove(note)
    assert len(held) == UNTIL // 2
    assert runs == []


def test_cycles_are_found_all_the_same() -> None:
    spare()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == UNTIL


@pytest.mark.parametrize("chosen", [0, 50_000])
def test_what_somebody_has_chosen_is_kept(chosen: int) -> None:
    gc.set_threshold(chosen, 5, 5)
    spare()
    assert gc.get_threshold() == (chosen, 5, 5)


class Anybody:
    """Lets anybody do anything."""

    complaint = ""

    def load(self) -> None: ...

    def authenticate(self, _authorization: bytes | None, _now: datetime) -> Credential:
        return Credential(name="anybody", scopes=frozenset(SCOPES))

    def why_not(self, _authorization: bytes) -> str:
        return ""

    def bounded(self) -> list[str]:
        return []


@pytest.mark.parametrize(
    ("method", "key", "status"), [("PUT", b"k", 200), ("GET", b"k", 200), ("HEAD", b"k", 200), ("GET", b"none", 404)]
)
def test_a_request_leaves_no_cycle_behind(method: str, key: bytes, status: int) -> None:
    statuses: list[int] = []

    async def run() -> None:
        limits = Limits(request_timeout=30)
        async with MemoryBackend() as backend:
            service = Service(
                backend=backend, tokens=Anybody(), max_object_size=100, upload_ttl=timedelta(days=1), limits=limits
            )
            application = Application(service)
            await backend.put("k", b"abc")

            async def receive() -> Message:
                await asyncio.sleep(0)
                return {"type": "http.request", "body": b"abc", "more_body": False}

            async def send(message: Message) -> None:
                await asyncio.sleep(0)
                if "status" in message:
                    statuses.append(message["status"])

            scope = {"type": "http", "method": method, "path": "/objects/k", "raw_path": b"/objects/" + key}
            scope |= {"query_string": b"", "headers": [(b"content-length", b"3")]}
            # As servers do: each in a task, which has the request in its context.
            await asyncio.create_task(application(scope, receive, send))

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        asyncio.run(run())
        gc.collect()
        left = [one for one in gc.garbage if isinstance(one, Exchange)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert statuses == [status]
    assert left == []
