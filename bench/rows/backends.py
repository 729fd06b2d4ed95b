"""What each backend costs in process, beside the bare medium that it keeps objects in."""

from __future__ import annotations

from typing import Final

from bench.backends import lanes
from bench.rows.row import Row

_HOW: Final = (
    "in a process on the load's core, with the server that it needs on the server's; memory is that process's; "
    "what is read is in memory or, for the cache, in the cache"
)

ROWS: Final = (
    Row(
        name="backend-get-1k",
        title="Backends: GET 1 KiB, one by one",
        unit="ms",
        how=_HOW,
        lanes=lanes("get-small"),
    ),
    Row(
        name="backend-put-1k",
        title="Backends: PUT 1 KiB, one by one",
        unit="ms",
        how=f"{_HOW}; rclone and Redis acknowledge what is not yet on disk",
        lanes=lanes("put-small"),
    ),
    Row(
        name="backend-get-256m",
        title="Backends: GET 256 MiB",
        unit="MB/s",
        how=f"{_HOW}; streamed, the chunks are dropped",
        lanes=lanes("get-large"),
        warms_up=False,
    ),
    Row(
        name="backend-put-256m",
        title="Backends: PUT 256 MiB",
        unit="MB/s",
        how=f"{_HOW}; from chunks of 1 MiB in memory",
        lanes=lanes("put-large"),
        warms_up=False,
    ),
)
