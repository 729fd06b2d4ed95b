"""Small objects, many requests: wrk on the load's core, the server on the other."""

from __future__ import annotations

import os
from typing import Final

from bench import bare
from bench.load import Method, rate
from bench.measurement import Sample
from bench.rows.row import Lane, Row
from bench.seeding import KIB, Seed
from bench.stage import SeedName, Stage

_OURS: Final = ("granian", "uvicorn")
_FILES: Final = ("granian-files", "uvicorn-files")
_HELLO: Final = ("hello-granian", "hello-uvicorn")
_PEERS: Final = ("nginx", "rclone-webdav", "rclone-s3")
_EVERYBODY: Final = _OURS + _PEERS + _HELLO
_NEW_KEYS: Final = 10_000_000  # more than a turn can write


def _reading(name: str, seed: SeedName, connections: int, method: Method = "GET") -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        keys, server = stage.seed(seed), stage.server(name)
        if stage.warms_up(turn):
            # Each once: else how much a server has seen before would depend on how fast it is.
            return rate(server, method, keys, mode="all", connections=connections, seconds=60)
        return rate(server, method, keys, connections=connections, seconds=stage.seconds(turn))

    return measure


def _writing(name: str, seed: SeedName, connections: int) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server = stage.server(name)
        # What others left unwritten must not be paid for by whoever syncs next.
        os.sync()
        return rate(
            server,
            "PUT",
            stage.seed(seed),
            first=(turn * 2 + (connections > 1)) * _NEW_KEYS,
            mode="sequence",
            connections=connections,
            seconds=stage.seconds(turn),
        )

    return measure


def _deleting(name: str) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server, count, doomed = stage.server(name), stage.scale.deletes, stage.seed("doomed")
        os.sync()
        keys = Seed(folder=doomed.folder, count=count, size=0)
        first, spare = turn * count, doomed.count - 1
        return rate(server, "DELETE", keys, first=first, mode="all", spare=spare, connections=32, seconds=60)

    return measure


ROWS: Final = (
    Row(
        name="get-1k",
        title="GET 1 KiB, 32 connections",
        unit="/s",
        how="wrk, random keys among those that are there; the hello answers with 1 KiB",
        seeds=("small",),
        lanes={name: _reading(name, "small", 32) for name in _EVERYBODY + _FILES}
        | {"application-alone": bare.lane("application-get", KIB, 32), "engine-alone": bare.lane("engine-get", KIB)},
    ),
    Row(
        name="get-1k-alone",
        title="GET 1 KiB, 1 connection",
        unit="/s",
        how="wrk, random keys",
        seeds=("small",),
        lanes={name: _reading(name, "small", 1) for name in _EVERYBODY},
    ),
    Row(
        name="head",
        title="HEAD, 32 connections",
        unit="/s",
        how="wrk, random keys of empty objects, since wrk waits for the body that a HEAD announces",
        seeds=("empty",),
        lanes={name: _reading(name, "empty", 32, "HEAD") for name in _OURS + _PEERS},
    ),
    Row(
        name="get-64k",
        title="GET 64 KiB, 32 connections",
        unit="/s",
        how="wrk, random keys among those that are there",
        seeds=("middle",),
        lanes={name: _reading(name, "middle", 32) for name in _OURS + _PEERS},
    ),
    Row(
        name="put-1k",
        title="PUT 1 KiB, 32 connections",
        unit="/s",
        how="wrk, a new key and other random bytes each time; ours is on disk before it answers, the others' is not; "
        "everything is synced before each turn",
        seeds=("written",),
        lanes={name: _writing(name, "written", 32) for name in _EVERYBODY}
        | {
            "application-alone": bare.lane("application-put", KIB, 32),
            "engine-alone": bare.lane("engine-put", KIB, 32),
        }
        # What a sync takes changes from one moment to the next, so these have their turns one after the other.
        | {name: _writing(name, "written", 32) for name in _FILES}
        | {"files-alone": bare.lane("files", KIB, 32)},
    ),
    Row(
        name="put-1k-alone",
        title="PUT 1 KiB, 1 connection",
        unit="/s",
        how="as with 32; SQLite alone commits one such row after the other",
        seeds=("written",),
        # As above: each that is compared with a bare disk is beside it.
        lanes={name: _writing(name, "written", 1) for name in _PEERS + _OURS}
        | {"sqlite-alone": bare.lane("sqlite", KIB)}
        | {name: _writing(name, "written", 1) for name in _FILES}
        | {"files-alone": bare.lane("files", KIB, 1)},
    ),
    Row(
        name="put-64k",
        title="PUT 64 KiB, 32 connections",
        unit="/s",
        how="as of 1 KiB; the engine alone is called by 32 tasks in process",
        seeds=("written-64k",),
        lanes={name: _writing(name, "written-64k", 32) for name in _OURS + _PEERS}
        | {
            "application-alone": bare.lane("application-put", 64 * KIB, 32),
            "engine-alone": bare.lane("engine-put", 64 * KIB, 32),
        },
    ),
    Row(
        name="delete",
        title="DELETE, 32 connections",
        unit="/s",
        how="wrk, each of a number of objects of 1 KiB once, timed from the first request to the last answer",
        seeds=("doomed",),
        lanes={name: _deleting(name) for name in _OURS + _PEERS},
    ),
)
