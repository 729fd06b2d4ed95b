from __future__ import annotations

import asyncio
from pathlib import Path

from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.statistics import Counted, Distribution, Spread, levels_of, measured_of
from objectstore.values import PutOptions
from objectstore.wrappers.mirroring import Mirroring
from objectstore.wrappers.prefix import Prefixed


def counts(backend: object) -> dict[str, float]:
    """Values of counts; of a spread, how often something was measured."""
    return {one.name: one.value if isinstance(one, Counted) else sum(one.counts) for one in measured_of([backend])}


async def levels(backend: object) -> dict[str, float]:
    return {level.name: level.value for level in await levels_of([backend])}


def test_a_distribution_counts_each_value_once_in_the_bucket_that_it_ends() -> None:
    found = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        found.add(value)
    assert found.spread("x") == Spread("x", (1.0, 2.0), (2, 1, 1), 12.0)


def test_the_engine_tells_what_it_did_and_what_it_holds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with EngineBackend(tmp_path / "data") as engine:
            assert (await levels(engine))["objects"] == 0
            await engine.put("small", b"x" * 10)
            before = counts(engine)
            await engine.put("large", b"x" * 100_000)
            after = counts(engine)
            assert after["engine_commits"] == before["engine_commits"] + 1
            assert after["engine_commit_seconds"] == after["engine_commits"] == after["engine_group_size"]
            assert after["engine_sync_seconds"] == before["engine_sync_seconds"] + 1
            await engine.delete("large")
            await engine.uploads.begin("later", PutOptions())
            found = await levels(engine)
            assert (found["engine_garbage_files"], found["engine_garbage_bytes"]) == (1, 100_000)
            assert found["uploads_open"] == 1
            assert found["engine_index_bytes"] > 0
            assert 0 < found["disk_free_bytes"] < found["disk_bytes"]
        async with EngineBackend(tmp_path / "data") as engine:
            found = await levels(engine)
            assert (found["objects"], found["object_bytes"]) == (1, 10)

    asyncio.run(scenario())


def test_wrappers_tell_of_all_that_they_wrap(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = EngineBackend(tmp_path / "a"), EngineBackend(tmp_path / "b")
        async with Mirroring([Prefixed(first, "p/"), second, MemoryBackend()]) as mirror:
            await mirror.put("k", b"x")
            told = [
                one.value for one in measured_of([mirror]) if isinstance(one, Counted) and one.name == "engine_commits"
            ]
            assert told == [first.stats.commits, second.stats.commits]
            assert [level.value for level in await levels_of([mirror]) if level.name == "objects"] == [1, 1]

    asyncio.run(scenario())


def test_a_backend_that_tells_nothing_is_asked_nothing() -> None:
    assert measured_of([MemoryBackend()]) == []
