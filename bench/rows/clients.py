"""What a user of the Python clients gets, beside the bare HTTP library and curl."""

from __future__ import annotations

from typing import Final

from bench.clients import Client, Work, curl_lane, lane
from bench.rows.row import Lane, Row

_WORDS: Final = {
    "sync": "RestStore",
    "async": "AsyncRestStore",
    "httpx2-sync": "httpx2",
    "httpx2-async": "httpx2 async",
}


def _lanes(work: Work, ours: Client, bare: Client) -> dict[str, Lane]:
    pairs: tuple[tuple[Client, str], ...] = ((ours, "granian"), (bare, "granian"), (bare, "nginx"))
    return {f"{_WORDS[client]} → {server}": lane(client, work, server) for client, server in pairs}


def _moving(work: Work) -> dict[str, Lane]:
    return {
        **_lanes(work, "sync", "httpx2-sync"),
        **_lanes(work, "async", "httpx2-async"),
        "curl → granian": curl_lane(work, "granian"),
    }


_HOW: Final = "in a process on the load's core; ours compares the digest of what it moves, httpx2 and curl do not"

ROWS: Final = (
    Row(
        name="client-sync",
        title="Client: GET 1 KiB, one by one",
        unit="/s",
        how=_HOW,
        seeds=("small",),
        lanes=_lanes("gets", "sync", "httpx2-sync"),
    ),
    Row(
        name="client-async",
        title="Client: GET 1 KiB, 32 at once",
        unit="/s",
        how=f"{_HOW}; one asyncio loop",
        seeds=("small",),
        lanes=_lanes("gets", "async", "httpx2-async"),
    ),
    Row(
        name="client-download",
        title="Client: download 256 MiB",
        unit="MB/s",
        how=f"{_HOW}; streamed, the chunks are dropped",
        seeds=("big",),
        lanes=_moving("download"),
    ),
    Row(
        name="client-upload",
        title="Client: upload 256 MiB",
        unit="MB/s",
        how=f"{_HOW}; from chunks of 256 KiB in memory, the server on its core",
        seeds=("big",),
        lanes=_moving("upload"),
    ),
)
