"""The rules of `objectstore soak`: bodies, sizes, what was seen, how memory goes."""

from __future__ import annotations

import json
import random
from itertools import islice

import pytest

from objectstore.testing.soak.bodies import PIECE, Bodies, Version
from objectstore.testing.soak.record import Record, from_json, merged, to_json
from objectstore.testing.soak.vitals import Vitals, growth
from objectstore.testing.soak.workload import DEFAULT_SIZES, KEYS, parse_sizes, tasks

MIB = 1024 * 1024
BODIES = Bodies(7)


def body(version: Version) -> bytes:
    return b"".join(BODIES.pieces(version))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, MIB + 6, MIB + 7, MIB + 8, 3 * MIB])
def test_a_body_is_found_to_be_itself_however_it_is_cut(size: int) -> None:
    version = Version("k", 3, size)
    data = body(version)
    assert len(data) == size
    chance = random.Random(size)  # noqa: S311  to be repeated
    comparison, at = BODIES.comparison(version), 0
    while at < size:
        step = chance.randint(1, 2 * PIECE)
        comparison.feed(data[at : at + step])
        at += step
    assert comparison.whole(0)
    start = size // 3
    part = BODIES.comparison(version, start)
    part.feed(data[start : size - start])
    assert part.whole(start)


def test_what_is_not_the_body_is_told_from_it() -> None:
    version = Version("k", 3, 2 * MIB)
    data = body(version)
    for other in (
        body(Version("k", 4, 2 * MIB)),
        body(Version("l", 3, 2 * MIB)),
        b"".join(Bodies(8).pieces(version)),
        data[:-1],
        data + b"x",
        data[:-1] + bytes([data[-1] ^ 1]),
        data[PIECE : 2 * PIECE] + data[:PIECE] + data[2 * PIECE :],
    ):
        comparison = BODIES.comparison(version)
        comparison.feed(other)
        assert not comparison.whole(0)


def test_sizes_are_read_and_kept_to() -> None:
    sizes = parse_sizes("0:1,1KiB,1MiB:0")
    assert (sizes.limits, sizes.shares) == ((0, 1024, MIB), (1.0, 1.0, 0.0))
    chance = random.Random(1)  # noqa: S311  to be repeated
    picked = {sizes.pick(chance) for _ in range(2000)}
    assert {0, 1024} <= picked
    assert max(picked) == 1024
    assert max(parse_sizes(DEFAULT_SIZES).limits) == 64 * MIB


@pytest.mark.parametrize("text", ["", "much", "1KiB:x", "2,1", "1,1", "1:-1", "1:0", "1:nan", "1:inf"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_sizes(text)


def test_the_seed_decides_what_a_client_does() -> None:
    sizes = parse_sizes("0,1KiB")
    first, again, other = (list(islice(tasks(1, client, sizes), 500)) for client in (0, 0, 1))
    assert first == again != other
    assert {task.kind for task in first} == {
        *("put", "create", "replace", "replace stale", "delete", "get", "get range", "head", "list")
    }
    assert {task.key for task in first} == set(range(KEYS))


def test_what_several_saw_is_added_up_also_by_way_of_json() -> None:
    one, other = Record(refused=1), Record(refused=2, sent=5)
    for milliseconds in range(1, 101):
        one.answered("get", 200, milliseconds / 1000)
    other.complain("lost", "k")
    whole = merged(from_json(json.loads(json.dumps(to_json(record)))) for record in (one, other))
    assert (whole.refused, whole.sent) == (3, 5)
    assert (whole.requests, whole.statuses, whole.wrong) == ({"get": 100}, {"200": 100}, {"lost": 1})
    assert whole.complaints == ["lost: k"]
    assert whole.percentile(0.5) == pytest.approx(0.050, rel=0.06)
    assert whole.percentile(1.0) == pytest.approx(0.100, rel=0.06)
    assert Record().percentile(0.5) == 0


def vitals(at: float, size: float) -> Vitals:
    return Vitals(at=at, resident=0, proportional=round(size), files=0, threads=0)


def test_growth_is_that_after_the_server_was_warm() -> None:
    life = [vitals(at, 100 * MIB + (at * MIB if at < 100 else 100 * MIB + (at - 100) * MIB / 100)) for at in range(500)]
    found = growth(life, 100)
    assert found is not None
    assert found.tells
    assert found.per_hour == pytest.approx(36 * MIB, rel=0.01)
    assert found.grown == pytest.approx(399 / 100 * MIB, rel=0.01)
    assert growth(life[:2], 0) is None
