"""Stores that are kept on a server, while the way there is cut, held up, silent, slow, or wrong by a bit."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import ObjectStoreError, Unavailable
from objectstore.testing import (
    After,
    Before,
    BlackHole,
    Corrupt,
    Cut,
    Delay,
    Pieces,
    Received,
    Reorder,
    Sent,
    Stall,
    Throttle,
)
from objectstore.testing.lines import LineTrouble, Side
from peers.calls import Call, body_of, calls_of
from peers.remote import HURRY, LARGE, REMOTES, SMALL, Remote

pytestmark = pytest.mark.slow

T = TypeVar("T")
ONE_OF_A_KIND = [name for name in REMOTES if name != "rclone"]  # which is an S3 as moto is
MINUTE = 60.0  # seconds: whatever takes longer hangs


@pytest.fixture(scope="module", params=REMOTES)
def remote(request: pytest.FixtureRequest) -> Iterator[Remote]:
    with REMOTES[request.param]() as running:
        yield running


@pytest.fixture(autouse=True)
def calm(remote: Remote) -> Iterator[None]:
    yield
    remote.proxy.calm()


@dataclass
class Trial:
    """Keys of its own for each call, and a look at what the server holds by a way without trouble."""

    store: Backend
    aside: Backend
    base: str = field(default_factory=lambda: os.urandom(6).hex())
    number: int = 0
    etags: dict[str, str] = field(default_factory=dict)

    async def prepare(self, calls: Mapping[str, Call]) -> dict[str, str]:
        """The key of each call, which holds what it is to hold before."""
        self.number += 1
        keys = {name: f"{self.base}/{self.number}/{name}" for name in calls}
        for name, call in calls.items():
            if call.before is not None:
                self.etags[name] = (await self.aside.put(keys[name], call.before)).etag
        return keys

    async def run(self, name: str, call: Call, key: str) -> ObjectStoreError | None:
        """What comes of the call: it does what it says, or it fails; in both cases it tells the truth."""
        try:
            async with asyncio.timeout(MINUTE):
                result = await call.act(self.store, key, self.etags.get(name, ""))
        except ObjectStoreError as error:
            failure: ObjectStoreError | None = error
        else:
            failure = None
            assert call.read is None or result == call.read, name
        if call.writes:
            left = await body_of(self.aside, key)
            allowed = [call.after] if failure is None else [call.before, call.after]
            assert left in allowed, (name, failure, left if left is None else len(left))
        return failure


@asynccontextmanager
async def trying(remote: Remote, **told: Any) -> AsyncIterator[Trial]:
    async with remote.aside() as aside, remote.store(**told) as store:
        if store.capabilities.write:
            await aside.put("small", SMALL)
            await aside.put("large", LARGE)
        yield Trial(store, aside)
    remote.proxy.calm()
    # What a stalled connection still had to send goes out now, while there is a loop to close it.
    assert await asyncio.to_thread(remote.proxy.wait_idle)


async def in_the_end(call: Callable[[], Awaitable[T]]) -> T:
    """What it gives when the trouble is over; a busy machine may take longer than a hurried store waits."""
    async with asyncio.timeout(MINUTE):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Afterwards nothing of it is left: no task, and no file or socket."""

    async def alone() -> None:
        before = asyncio.all_tasks()
        await scenario
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    asyncio.run(alone())


TROUBLES: dict[str, tuple[LineTrouble, Side | None]] = {
    "reset before the request": (Cut(Before(), reset=True), None),
    "cut after the request": (Cut(After()), None),
    "cut in the request": (Cut(Received(30)), None),
    "reset in the body": (Cut(Received(100_000), reset=True), None),
    "cut in the answer": (Cut(Sent(20)), None),
    "reset in the body of the answer": (Cut(Sent(100_000), reset=True), None),
    "silent": (Stall(), "client"),
    "silent after a while": (Stall(100_000), "client"),
    "black hole": (BlackHole(), None),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_told_in_time_and_passes(remote: Remote, trouble: str) -> None:
    async def scenario() -> None:
        async with trying(remote, patience=HURRY) as trial:
            calls = calls_of(trial.store)
            keys = await trial.prepare(calls)
            what, toward = TROUBLES[trouble]
            with remote.proxy.disturb(what, toward=toward):
                failures = await asyncio.gather(*(trial.run(name, call, keys[name]) for name, call in calls.items()))
            assert {type(failure) for failure in failures} <= {Unavailable, type(None)}
            # Nothing much is sent to a store that is only read.
            assert any(failures) or not trial.store.capabilities.write
            await in_the_end(trial.store.check)
            await in_the_end(lambda: trial.store.head("small"))

    run(scenario())


def test_a_server_that_is_away_is_told_at_once_and_found_again(remote: Remote) -> None:
    async def scenario() -> None:
        async with trying(remote) as trial:
            calls = calls_of(trial.store)
            keys = await trial.prepare(calls)
            remote.proxy.stop()
            try:
                failures = await asyncio.gather(*(trial.run(name, call, keys[name]) for name, call in calls.items()))
            finally:
                remote.proxy.start()
            assert {type(failure) for failure in failures} == {Unavailable}
            for name, call in calls.items():
                assert await trial.run(name, call, keys[name]) is None, name

    run(scenario())


@pytest.mark.parametrize("reset", [False, True])
def test_connections_that_ended_while_they_were_idle_are_not_noticed(remote: Remote, *, reset: bool) -> None:
    async def scenario() -> None:
        async with trying(remote, retries=2) as trial:
            calls = calls_of(trial.store)
            keys = await trial.prepare(calls)
            for name, call in calls.items():
                await trial.store.head("small")
                remote.proxy.hang_up(reset=reset)
                assert await asyncio.to_thread(remote.proxy.wait_idle)
                assert await trial.run(name, call, keys[name]) is None, name

    run(scenario())


@pytest.mark.parametrize("remote", ONE_OF_A_KIND, indirect=True)
@pytest.mark.parametrize("at", [Before(), Received(300), After(), Sent(700)])
def test_what_is_sent_again_is_not_done_wrongly(remote: Remote, at: Before | Received | After | Sent) -> None:
    """One connection is cut. Nobody else is there, so no condition fails and no object is absent."""

    async def scenario() -> None:
        async with trying(remote, retries=3) as trial:
            calls = calls_of(trial.store)
            keys = await trial.prepare(calls)
            for name, call in calls.items():
                with remote.proxy.disturb(Cut(at), times=1):
                    failure = await trial.run(name, call, keys[name])
                assert isinstance(failure, Unavailable | None), name

    run(scenario())


SHAPES: dict[str, list[LineTrouble]] = {
    "slow": [Throttle(50_000_000)],
    "late, in pieces, in another order": [Delay(0.001, jitter=0.001), Pieces(20_011), Reorder(2, patience=0.02)],
}


@pytest.mark.parametrize("remote", ONE_OF_A_KIND, indirect=True)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_bad_line_changes_nothing(remote: Remote, shape: str) -> None:
    async def scenario() -> None:
        async with trying(remote) as trial:
            calls = calls_of(trial.store)
            keys = await trial.prepare(calls)
            for trouble in SHAPES[shape]:
                remote.proxy.disturb(trouble)
            failures = await asyncio.gather(*(trial.run(name, call, keys[name]) for name, call in calls.items()))
            assert not any(failures), dict(zip(calls, failures, strict=True))

    run(scenario())


@pytest.mark.parametrize("remote", ONE_OF_A_KIND, indirect=True)
def test_a_wrong_bit_is_an_error_of_ours_at_most(remote: Remote) -> None:
    """Wherever it is. Whether bytes of a body are right is for digests to tell, which go along with them."""

    async def scenario() -> None:
        async with trying(remote, patience=HURRY) as trial:
            for name, call in calls_of(trial.store).items():
                for at in range(7, 300, 61):
                    key = (await trial.prepare({name: call}))[name]
                    with remote.proxy.disturb(Corrupt(at, at % 8), toward="client", times=1):
                        try:
                            async with asyncio.timeout(MINUTE):
                                await call.act(trial.store, key, trial.etags.get(name, ""))
                        except ObjectStoreError:
                            pass
                await in_the_end(lambda: trial.store.head("small"))
                # What came for another request is not taken for the answer to this one.
                assert await in_the_end(lambda: body_of(trial.store, "small")) == SMALL

    run(scenario())


@pytest.mark.parametrize("remote", ONE_OF_A_KIND, indirect=True)
def test_no_connection_and_no_file_is_left(remote: Remote) -> None:
    async def scenario() -> None:
        # All calls at once: long enough for a busy machine to connect in for each of them.
        async with trying(remote, patience=1.0) as trial:
            calls = calls_of(trial.store)
            for trouble in (Cut(Sent(100_000)), Stall(100_000)):
                keys = await trial.prepare(calls)
                with remote.proxy.disturb(trouble):
                    await asyncio.gather(*(trial.run(name, call, keys[name]) for name, call in calls.items()))

    run(scenario())
    assert remote.proxy.wait_idle()
    before = open_files()
    run(scenario())
    assert remote.proxy.wait_idle()
    deadline = time.monotonic() + 60
    while open_files() > before:  # the proxy's own go a moment later
        assert time.monotonic() < deadline


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
