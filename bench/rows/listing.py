"""Pages of keys, and deleting by the thousand, measured by a client on one connection."""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from bench import bare
from bench.connection import Connection
from bench.contestants import Server
from bench.load import metered
from bench.measurement import LoadError, Sample
from bench.rows.row import Lane, Row
from bench.stage import Stage, Store

_OURS: Final = ("granian", "uvicorn")
_PAGE: Final = 1000  # keys
_PAGES: Final = 200  # for a sample
_NEXT: Final = b'"next_cursor":'


def _page(name: str, store: Store, *, details: bool = False) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server, count = stage.server(name, store), stage.count(store)
        choose = random.Random(turn)
        pages = max(10, _PAGES // 4) if details else _PAGES
        more = {"details": "true"} if details else {}
        queries = [
            {"limit": str(_PAGE), "start_after": f"many/{choose.randrange(count - _PAGE):07}", **more}
            for _ in range(pages)
        ]
        return _timed(server, "/objects?", queries, b'"many/', _PAGE)

    return measure


def _s3_page(name: str) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server, small = stage.server(name), stage.seed("small")
        choose = random.Random(turn)
        queries = [
            {
                "list-type": "2",
                "prefix": f"{small.folder}/",
                "max-keys": str(_PAGE),
                "start-after": f"{small.folder}/{choose.randrange(max(1, small.count - _PAGE)):09}",
            }
            for _ in range(10)
        ]
        return _timed(server, "/bucket?", queries, b"<Key>", min(_PAGE, small.count - 1))

    return measure


def _timed(server: Server, path: str, queries: Sequence[dict[str, str]], mark: bytes, keys: int) -> Sample:
    """Milliseconds for one of the pages, the median. Each has so many keys or more; `mark` is once in each."""
    took = []
    with Connection(server.port, server.headers) as connection, metered(server) as meter:
        for query in queries:
            began = time.perf_counter()
            status, body = connection.ask("GET", path + urlencode(query))
            took.append(time.perf_counter() - began)
            if status != 200 or body.count(mark) < keys:
                raise LoadError(f"{server.name} answered a listing with {status}: {body[:300]!r}")
    return Sample(
        value=statistics.median(took) * 1000,
        cpu=meter.cpu / len(queries),
        peak=meter.peak,
        command=f"GET {path}{urlencode(queries[0])}",
    )


def _walk(name: str) -> Lane:
    def measure(stage: Stage, _turn: int) -> Sample:
        server, count = stage.server(name, "many"), stage.count("many")
        path = f"/objects?limit={_PAGE}&prefix=many%2F"
        keys = 0
        cursor: str | None = ""
        began = time.perf_counter()
        with Connection(server.port, server.headers) as connection, metered(server) as meter:
            while cursor is not None:
                status, body = connection.ask("GET", f"{path}&cursor={cursor}" if cursor else path)
                if status != 200:
                    raise LoadError(f"{server.name} answered a walk with {status}: {body[:300]!r}")
                keys += body.count(b'"many/')
                # Parsing all of it would measure the parser.
                cursor, _ = json.JSONDecoder().raw_decode(body[body.rindex(_NEXT) + len(_NEXT) :].decode().lstrip())
        took = time.perf_counter() - began
        if keys != count:
            raise LoadError(f"{server.name} listed {keys} of {count} keys")
        return Sample(value=keys / took, cpu=meter.cpu / keys, peak=meter.peak, command=f"GET {path}&cursor=…")

    return measure


def _batches(name: str) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server, count, seed = stage.server(name), stage.scale.deletes, stage.seed("batches")
        numbers = range(turn * count, (turn + 1) * count)
        keys = [f"{seed.folder}/{number:09}" for number in numbers]
        bodies = [json.dumps({"keys": keys[first : first + _PAGE]}).encode() for first in range(0, count, _PAGE)]
        os.sync()
        with Connection(server.port, server.headers) as connection, metered(server) as meter:
            began = time.perf_counter()
            answers = [connection.ask("POST", "/objects/delete", body) for body in bodies]
            took = time.perf_counter() - began
        deleted = sum(len(json.loads(body)["deleted"]) for status, body in answers if status == 200)
        if deleted != count:
            raise LoadError(f"{server.name} deleted {deleted} of {count} keys: {answers[0][1][:300]!r}")
        return Sample(value=count / took, cpu=meter.cpu / count, peak=meter.peak, command="POST /objects/delete")

    return measure


_HOW: Final = "one connection on the load's core, from the first byte sent to the last received, anywhere in the store"

ROWS: Final = (
    Row(
        name="page-10k",
        title="Page of 1000 keys among 10 k",
        unit="ms",
        how=f"{_HOW}; rclone over a folder of as many small objects",
        seeds=("small",),
        lanes={name: _page(name, "few") for name in _OURS}
        | {"rclone-s3": _s3_page("rclone-s3"), "sqlite-alone": bare.lane("page", 0, store="few")},
    ),
    Row(
        name="page-1m",
        title="Page of 1000 keys among 1 M",
        unit="ms",
        how=_HOW,
        lanes={name: _page(name, "many") for name in _OURS} | {"sqlite-alone": bare.lane("page", 0, store="many")},
    ),
    Row(
        name="details-1m",
        title="Page of 1000 records among 1 M",
        unit="ms",
        how=f"{_HOW}, with details=true",
        lanes={name: _page(name, "many", details=True) for name in _OURS},
    ),
    Row(
        name="walk",
        title="Walk of 1 M keys",
        unit="keys/s",
        how="one connection, page after page of 1000 by the cursor, keys counted and not parsed",
        lanes={name: _walk(name) for name in _OURS},
    ),
    Row(
        name="batch-delete",
        title="Batch delete of 1000",
        unit="keys/s",
        how="one connection, POST /objects/delete one after the other, objects of 1 KiB",
        seeds=("batches",),
        lanes={name: _batches(name) for name in _OURS},
    ),
)

# Takes minutes to fill and gigabytes of disk, so only when it is asked for.
MOST: Final = Row(
    name="page-10m",
    title="Page of 1000 keys among 10 M",
    unit="ms",
    how=_HOW,
    lanes={name: _page(name, "most") for name in _OURS} | {"sqlite-alone": bare.lane("page", 0, store="most")},
)
