from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from backends.foreign_classes import AsyncReversing, AsyncShelf, Either, Reversing, Shelf
from objectstore.backends.adapter import AdaptedBackend
from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import (
    ConfigurationError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    ObjectStoreError,
    StorageFull,
    Unavailable,
    Unsupported,
)
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.machine import machine
from objectstore.testing.suite.concurrency import ConcurrencyTests
from objectstore.testing.suite.conditions import ConditionTests
from objectstore.testing.suite.harness import keys, read
from objectstore.testing.suite.objects import ObjectTests
from objectstore.values import ONLY_IF_ABSENT, ListQuery, PutOptions

# The same steps at every run: a failure is one of the change at hand, not of chance.
SETTINGS: Final = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)


def adapted(kind: Callable[..., object], *bases: Backend) -> AdaptedBackend:
    def make(stores: Sequence[object]) -> object:
        return kind(*stores)

    return AdaptedBackend(f"elsewhere:{kind.__name__}", kind, make, bases)


class TestBlockingClass(BackendConformance):
    def backend(self, folder: Path) -> AbstractAsyncContextManager[Backend]:  # noqa: ARG002  it keeps nothing
        return adapted(Shelf)


class TestAwaitingClass(ObjectTests, ConditionTests, ConcurrencyTests):
    """What does not depend on how the class is called is shown once, above."""

    def backend(self, folder: Path) -> AbstractAsyncContextManager[Backend]:  # noqa: ARG002  it keeps nothing
        return adapted(AsyncShelf)


@pytest.mark.parametrize("kind", [Shelf, AsyncShelf])
def test_a_class_from_elsewhere_does_as_the_model(kind: type) -> None:
    run_state_machine_as_test(machine(lambda _: adapted(kind)), settings=SETTINGS)


@pytest.mark.parametrize("wrapper", [Reversing, AsyncReversing])
def test_a_wrapper_from_elsewhere_has_our_store_inside(wrapper: type) -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with adapted(wrapper, inner) as backend:
            for key in ("b", "a", "c/d"):
                await backend.put(key, key.encode() + b"123")
            assert await read(backend, "c/d") == b"c/d123"
            assert await keys(backend) == ["a", "b", "c/d"]
            await backend.delete("a")
            with pytest.raises(NotFound) as raised:
                await backend.head("a")
            assert raised.value.key == "a"
            (inside,) = (await inner.list(ListQuery(prefix="b"))).keys
            assert await read(inner, inside) == b"321b"

    asyncio.run(scenario())


def test_wrappers_from_elsewhere_wrap_each_other() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with adapted(Reversing, adapted(AsyncReversing, adapted(Reversing, inner))) as backend:
            await asyncio.gather(*(backend.put(f"{number}", b"ab") for number in range(100)))
            assert await read(inner, "7.rev.rev") == b"ba"
            assert len(await keys(backend)) == 100

    asyncio.run(scenario())


def test_what_a_class_has_not_is_not_declared_and_refused() -> None:
    async def scenario() -> None:
        async with adapted(_both, MemoryBackend({"a": b"1"}), MemoryBackend({"a": b"2", "b": b"2"})) as backend:
            assert await read(backend, "b") == b"2"
        reading = adapted(Either)
        declared = reading.capabilities
        assert (declared.write, declared.delete, declared.listing) == (False, False, False)
        for refused in (reading.put("a", b""), reading.copy("a", "b"), reading.delete("a")):
            with pytest.raises(MethodNotAllowed):
                await refused
        with pytest.raises(Unsupported):
            await reading.list(ListQuery())

    asyncio.run(scenario())


def _both(*stores: object) -> Either:
    return Either(list(stores))


def test_what_others_have_written_is_found_and_has_an_etag_that_lasts() -> None:
    async def scenario() -> None:
        times = iter(datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 30))

        class Found(Shelf):
            def __enter__(self) -> Self:
                self.books = {"a": b"1"}
                return self

        made: list[Found] = []

        def make(_: Sequence[object]) -> Found:
            made.append(Found())
            return made[-1]

        async with AdaptedBackend("elsewhere:Found", Found, make, clock=lambda: next(times)) as backend:
            first = await backend.head("a")
            assert await backend.head("a") == first
            books = made[0].books
            assert books is not None
            books["a"] = b"changed by another program"
            second = await backend.head("a")
            assert second.etag != first.etag
            assert second.modified > first.modified
        async with AdaptedBackend("elsewhere:Found", Found, make) as backend:
            assert (await backend.head("a")).etag == first.etag

    asyncio.run(scenario())


class Raising(Shelf):
    error: Exception = RuntimeError("bad")

    def _opened(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected", "told"),
    [
        (KeyError("k"), NotFound, "no object under the key 'k'"),
        (FileNotFoundError(2, "gone"), NotFound, "no object under the key 'k'"),
        (ConnectionRefusedError(111, "refused"), Unavailable, "elsewhere:Raising: ConnectionRefusedError: [Errno 111]"),
        (TimeoutError(), Unavailable, "elsewhere:Raising: TimeoutError"),
        (OSError(28, "full"), StorageFull, "elsewhere:Raising: OSError: [Errno 28] full"),
        (NotImplementedError(), Unsupported, "elsewhere:Raising cannot do that: NotImplementedError"),
        (ZeroDivisionError("by zero"), InternalError, "elsewhere:Raising failed: ZeroDivisionError: by zero"),
        (StopIteration(), InternalError, "elsewhere:Raising failed: RuntimeError: StopIteration"),
        (Unavailable("ours"), Unavailable, "ours"),
    ],
)
def test_an_error_of_the_class_becomes_one_of_ours(
    error: Exception, expected: type[ObjectStoreError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Raising, "error", error)

    async def scenario() -> None:
        async with adapted(Raising) as backend:
            with pytest.raises(expected) as raised:
                await backend.head("k")
            assert str(raised.value).startswith(told)
            if raised.value is not error and not isinstance(error, StopIteration):
                assert type(raised.value.__cause__) is type(error)
            with pytest.raises(ObjectStoreError) as raised:
                await backend.put("k", b"")
            assert not isinstance(raised.value, NotFound)
            if expected is Unavailable:
                with pytest.raises(Unavailable):
                    await backend.check()
            else:
                await backend.check()

    asyncio.run(scenario())


class Odd(Shelf):
    def get(self, key: str) -> Any:
        return bytearray(b"bytes") if key == "bytes" else "text"

    def keys(self) -> Any:
        return ["b", "a", "b", "", 7, "nul\0"]


def test_what_a_class_gives_is_looked_at() -> None:
    async def scenario() -> None:
        async with adapted(Odd) as backend:
            assert await read(backend, "bytes") == b"bytes"
            with pytest.raises(InternalError, match=r"elsewhere:Odd\.get gave a str where bytes are stored"):
                await backend.head("text")
            assert await keys(backend) == ["a", "b"]

    asyncio.run(scenario())


class Broken(Shelf):
    def __enter__(self) -> Self:
        raise PermissionError("not for you")


def test_one_that_cannot_be_opened_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        told = "elsewhere:Broken cannot be opened: PermissionError: not for you"
        with pytest.raises(ConfigurationError, match=told) as raised:
            await adapted(Broken).__aenter__()
        # What the error still refers to has no thread either.
        assert raised.value.__cause__ is not None
        assert not [one for one in threading.enumerate() if one.name.startswith("elsewhere:Broken")]

    asyncio.run(scenario())


class NoStore:
    def get(self, key: str) -> bytes:
        return key.encode()


def test_what_is_no_store_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match="elsewhere:NoStore is no store: it has no exists"):
        adapted(NoStore)


def test_of_many_creations_at_once_one_wins() -> None:
    async def scenario() -> None:
        for kind in (Shelf, AsyncShelf):
            async with adapted(kind) as backend:
                create = PutOptions(conditions=ONLY_IF_ABSENT)
                done = await asyncio.gather(
                    *(backend.put("key", b"%d" % number, create) for number in range(20)), return_exceptions=True
                )
                assert sum(not isinstance(one, BaseException) for one in done) == 1

    asyncio.run(scenario())
