"""What a user of the Python clients gets, beside other HTTP libraries and curl."""

from __future__ import annotations

from typing import Final

from bench.clients import Work, curl_lane, lane
from bench.libraries import AWAITING, BLOCKING
from bench.many import lane as many_lane
from bench.rows.row import Lane, Row

_PEERS: Final = ("nginx-objects", "granian")
_OURS: Final = ("RestStore", "AsyncRestStore")


def _lanes(work: Work, clients: tuple[str, ...], *, large: bool = False) -> dict[str, Lane]:
    # nginx has no digest of a large body, and does not take an upload as ours does.
    peers = _PEERS if work == "gets" else ("granian",)
    return {f"{client} → {peer}": lane(client, work, peer, large=large) for peer in peers for client in clients}


def _moving(work: Work, clients: tuple[str, ...], *, large: bool = False) -> dict[str, Lane]:
    return {**_lanes(work, clients, large=large), "curl → granian": curl_lane(work, "granian", large=large)}


_HOW: Final = "CPU is that of the client; ours compares the digest of what it moves, the others do not"
_ALONE: Final = f"in a process on the load's core; {_HOW}"
_DOWN: Final = f"in a process on both cores, the server on its core; {_HOW}; streamed, the chunks are dropped"
_UP: Final = f"both on both cores; {_HOW}; from chunks of 256 KiB in memory, curl from a file"

ROWS: Final = (
    Row(
        name="client-sync",
        title="Client: GET 1 KiB, one by one",
        unit="/s",
        how=_ALONE,
        seeds=("small",),
        lanes=_lanes("gets", tuple(BLOCKING)),
    ),
    Row(
        name="client-async",
        title="Client: GET 1 KiB, 32 at once",
        unit="/s",
        how=f"{_ALONE}; one asyncio loop",
        seeds=("small",),
        lanes=_lanes("gets", tuple(AWAITING)),
    ),
    Row(
        name="client-download",
        title="Client: download 256 MiB",
        unit="MB/s",
        how=_DOWN,
        seeds=("big",),
        lanes=_moving("download", (*BLOCKING, *AWAITING)),
        warms_up=False,
    ),
    Row(
        name="client-upload",
        title="Client: upload 256 MiB",
        unit="MB/s",
        how=f"{_UP}; obstore holds all of it first",
        seeds=("big",),
        lanes=_moving("upload", (*BLOCKING, *AWAITING)),
        warms_up=False,
    ),
    Row(
        name="client-download-1g",
        title="Client: download 1 GiB",
        unit="MB/s",
        how=_DOWN,
        seeds=("big",),
        lanes=_moving("download", _OURS, large=True),
        warms_up=False,
    ),
    Row(
        name="client-upload-1g",
        title="Client: upload 1 GiB",
        unit="MB/s",
        how=_UP,
        seeds=("big",),
        lanes=_moving("upload", _OURS, large=True),
        warms_up=False,
    ),
    Row(
        name="client-many-files",
        title="Client: store many files of 4 KiB",
        unit="/s",
        how="in a process on the load's core, its start included; CPU is that of the client for one file; "
        "`cp -r` beside a loop of `RestStore.put`; each file is on the disk of the server before it answers",
        seeds=("written",),
        lanes={f"{way} → granian": many_lane(way, "granian") for way in ("loop", "cp -r")},
    ),
)
