"""Large bodies, one at a time, by curl."""

from __future__ import annotations

import os
from typing import Final

from bench import bare
from bench.load import download, metered, upload
from bench.measurement import Sample
from bench.processes import BOTH_CORES, SERVER_CORES
from bench.rows.row import Lane, Row
from bench.stage import Stage

_OURS: Final = ("granian", "uvicorn")
_PEERS: Final = ("nginx", "rclone-webdav", "rclone-s3")


def _down(name: str, *, ranged: bool = False) -> Lane:
    def measure(stage: Stage, _turn: int) -> Sample:
        server, size = stage.server(name), stage.scale.large
        key = stage.holds_large(server)
        span = (size // 4, size // 4 * 3) if ranged else None
        with metered(server) as meter:
            moved = download(server, key, size, span=span)
        return Sample(value=moved.rate, cpu=meter.cpu, peak=meter.peak, command=moved.command)

    return measure


def _up(name: str) -> Lane:
    def measure(stage: Stage, _turn: int) -> Sample:
        server, body = stage.server(name), stage.body(stage.scale.large)
        os.sync()
        server.program.pin(BOTH_CORES)
        try:
            with metered(server) as meter:
                moved = upload(server, f"{stage.seed('big').folder}/put", body, cores=BOTH_CORES)
        finally:
            server.program.pin(SERVER_CORES)
        return Sample(value=moved.rate, cpu=meter.cpu, peak=meter.peak, command=moved.command)

    return measure


ROWS: Final = (
    Row(
        name="get-1g",
        title="GET 1 GiB",
        unit="MB/s",
        how="curl into /dev/null, from the page cache; 256 MiB in a quick run",
        seeds=("big",),
        lanes={name: _down(name) for name in _OURS + _PEERS},
    ),
    Row(
        name="range-1g",
        title="GET the middle half of 1 GiB",
        unit="MB/s",
        how="as GET, with a Range",
        seeds=("big",),
        lanes={name: _down(name, ranged=True) for name in _OURS + _PEERS},
    ),
    Row(
        name="put-1g",
        title="PUT 1 GiB, both cores",
        unit="MB/s",
        how="curl from the page cache, server and curl on both cores; ours is hashed and synced, the others' is not; "
        "beside them hashing alone, and writing with a sync alone",
        seeds=("big",),
        lanes={name: _up(name) for name in _OURS + _PEERS}
        | {"sha-256-alone": bare.large_lane("sha-256"), "sync-alone": bare.large_lane("sync")},
    ),
)
