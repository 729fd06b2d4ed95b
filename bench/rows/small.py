"""Small objects, many requests: wrk on the load's core, the server on the other."""

from __future__ import annotations

import os
from typing import Final

from bench.load import Method, rate
from bench.measurement import Sample
from bench.rows.row import Lane, Row
from bench.seeding import KIB, Seed
from bench.stage import Stage

_OURS: Final = ("granian", "uvicorn")
_FILES: Final = ("granian-files", "uvicorn-files")
_HELLO: Final = ("hello-granian", "hello-uvicorn")
_PEERS: Final = ("nginx", "rclone-webdav", "rclone-s3")
_EVERYBODY: Final = _OURS + _PEERS + _HELLO
_NEW_KEYS: Final = 10_000_000  # more than a turn can write


def _reading(name: str, seed: str, connections: int, method: Method = "GET") -> Lane:
    def measure(stage: Stage, _turn: int) -> Sample:
        keys: Seed = getattr(stage, seed)
        return rate(stage.server(name), method, keys, connections=connections, seconds=stage.scale.seconds)

    return measure


def _writing(name: str, size: int, connections: int) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server = stage.server(name)
        # What others left unwritten must not be paid for by whoever syncs next.
        os.sync()
        return rate(
            server,
            "PUT",
            Seed(folder=f"p{size // KIB}", count=0, size=size),
            first=(turn * 2 + (connections > 1)) * _NEW_KEYS,
            mode="sequence",
            connections=connections,
            seconds=stage.scale.seconds,
        )

    return measure


def _deleting(name: str) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server, count = stage.server(name), stage.scale.deletes
        os.sync()
        keys = Seed(folder=stage.doomed.folder, count=count, size=0)
        return rate(
            server,
            "DELETE",
            keys,
            first=turn * count,
            mode="all",
            spare=stage.doomed.count - 1,
            connections=32,
            seconds=60,
        )

    return measure


ROWS: Final = (
    Row(
        name="get-1k",
        title="GET 1 KiB, 32 connections",
        unit="/s",
        how="wrk, random keys among those that are there; the hello answers with 1 KiB",
        lanes={name: _reading(name, "small", 32) for name in _EVERYBODY + _FILES},
    ),
    Row(
        name="get-1k-alone",
        title="GET 1 KiB, 1 connection",
        unit="/s",
        how="wrk, random keys",
        lanes={name: _reading(name, "small", 1) for name in _EVERYBODY},
    ),
    Row(
        name="head",
        title="HEAD, 32 connections",
        unit="/s",
        how="wrk, random keys of empty objects, since wrk waits for the body that a HEAD announces",
        lanes={name: _reading(name, "empty", 32, "HEAD") for name in _OURS + _PEERS},
    ),
    Row(
        name="get-64k",
        title="GET 64 KiB, 32 connections",
        unit="/s",
        how="wrk, random keys among those that are there",
        lanes={name: _reading(name, "middle", 32) for name in _OURS + _PEERS},
    ),
    Row(
        name="put-1k",
        title="PUT 1 KiB, 32 connections",
        unit="/s",
        how="wrk, a new key and other random bytes each time; ours is on disk before it answers, "
        "the others' is not; the disk is synced before each turn",
        lanes={name: _writing(name, KIB, 32) for name in _EVERYBODY + _FILES},
    ),
    Row(
        name="put-1k-alone",
        title="PUT 1 KiB, 1 connection",
        unit="/s",
        how="as with 32",
        lanes={name: _writing(name, KIB, 1) for name in _OURS + _PEERS},
    ),
    Row(
        name="put-64k",
        title="PUT 64 KiB, 32 connections",
        unit="/s",
        how="as of 1 KiB",
        lanes={name: _writing(name, 64 * KIB, 32) for name in _OURS + _PEERS},
    ),
    Row(
        name="delete",
        title="DELETE, 32 connections",
        unit="/s",
        how="wrk, each of a number of objects of 1 KiB once, timed from the first request to the last answer",
        lanes={name: _deleting(name) for name in _OURS + _PEERS},
    ),
)
