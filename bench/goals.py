"""What is to be reached, and whether it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bench.measurement import Figure, RowResult

Verdict: TypeAlias = Literal["reached", "reached, and then", "missed", "not measured"]
SERVERS: Final = ("granian", "uvicorn")


class Results:
    """The figures of a run, found by row and contestant."""

    def __init__(self, rows: Sequence[RowResult]) -> None:
        self.rows: Final = rows
        self._figures: Mapping[str, Mapping[str, Figure]] = {row.name: row.figures for row in rows}

    def value(self, row: str, contestant: str) -> float | None:
        figure = self._figures.get(row, {}).get(contestant)
        return None if figure is None else figure.median

    def ratio(self, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """The first as a multiple of the second, each named by row and contestant."""
        mine = self._figures.get(one[0], {}).get(one[1])
        theirs = self._figures.get(other[0], {}).get(other[1])
        return None if mine is None or theirs is None else mine.over(theirs)

    def peak(self, contestant: str) -> float | None:
        """MiB that one of its processes held at most, in all rows, with whichever store and number of workers."""
        forms = {contestant, f"{contestant}-2", f"{contestant}-files"}
        peaks = [
            figure.peak
            for row in self.rows
            for name, figure in row.figures.items()
            if name.partition(",")[0].rpartition("→ ")[2] in forms and figure.peak is not None
        ]
        return max(peaks) / 2**20 if peaks else None


Reach: TypeAlias = Callable[[Results, str], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One piece of work and what is wanted of it, for the server named."""

    work: str
    wanted: str
    reach: Reach
    least: float
    then: float | None = None
    most: bool = False  # smaller is better: `least` is the most that is allowed

    def verdict(self, reached: float | None) -> Verdict:
        if reached is None:
            return "not measured"
        if not self._meets(reached, self.least):
            return "missed"
        return "reached, and then" if self.then is not None and self._meets(reached, self.then) else "reached"

    def _meets(self, reached: float, wanted: float) -> bool:
        return reached <= wanted if self.most else reached >= wanted


def _ratio(row: str, peer: str, *, peer_row: str = "") -> Reach:
    """Of a row to a peer in it (or in another row); `{}` in the name stands for the server."""

    def reach(results: Results, server: str) -> float | None:
        return results.ratio((row, server), (peer_row or row, peer.format(server)))

    return reach


def _value(row: str) -> Reach:
    def reach(results: Results, server: str) -> float | None:
        return results.value(row, server)

    return reach


def _client(row: str, client: str) -> Reach:
    def reach(results: Results, server: str) -> float | None:
        return results.value(row, f"{client} → {server}")

    return reach


def _from_nginx(row: str, client: str, *, over: str = "") -> Reach:
    """Told once: it is the client that is measured, against a server that does not hold it up."""

    def reach(results: Results, server: str) -> float | None:
        if server != "granian":
            return None
        mine = f"{client} → nginx-objects"
        return results.ratio((row, mine), (row, f"{over} → nginx-objects")) if over else results.value(row, mine)

    return reach


def _over_curl(row: str, client: str) -> Reach:
    def reach(results: Results, server: str) -> float | None:
        return results.ratio((row, f"{client} → {server}"), (row, f"curl → {server}"))

    return reach


def _over_loop(results: Results, server: str) -> float | None:
    row = "client-many-files"
    return results.ratio((row, f"cp -r → {server}"), (row, f"loop → {server}"))


def _files(row: str, peer: str) -> Reach:
    def reach(results: Results, server: str) -> float | None:
        return results.ratio((row, f"{server}-files"), (row, peer.format(server)))

    return reach


def _two_workers(results: Results, server: str) -> float | None:
    return results.ratio(("workers", f"{server}-2, load on both cores"), ("workers", f"{server}, load on its core"))


def _over_obstore(results: Results, _server: str) -> float | None:
    return results.ratio(("backend-get-256m", "s3"), ("backend-get-256m", "obstore-alone"))


def _beyond_obstore(results: Results, _server: str) -> float | None:
    mine, bare = (results.value("backend-get-1k", name) for name in ("s3", "obstore-alone"))
    return None if mine is None or bare is None else mine - bare


GOALS: Final = (
    Goal(
        work="GET 1 KiB, 32 connections",
        wanted="0.40 of the raw ASGI hello of the same server, then 0.55",
        reach=_ratio("get-1k", "hello-{}"),
        least=0.40,
        then=0.55,
    ),
    Goal(
        work="GET 1 KiB, 32 connections",
        wanted="1.0 of rclone webdav",
        reach=_ratio("get-1k", "rclone-webdav"),
        least=1.0,
    ),
    Goal(
        work="GET 64 KiB, 32 connections",
        wanted="1.0 of rclone webdav",
        reach=_ratio("get-64k", "rclone-webdav"),
        least=1.0,
    ),
    Goal(
        work="HEAD, 32 connections",
        wanted="1.1 of our GET 1 KiB",
        reach=_ratio("head", "{}", peer_row="get-1k"),
        least=1.1,
    ),
    Goal(
        work="PUT 1 KiB, 32 connections, on disk before each answer",
        wanted="2.0 of nginx DAV, which does not sync",
        reach=_ratio("put-1k", "nginx"),
        least=2.0,
    ),
    Goal(
        work="PUT 1 KiB, 32 connections, on disk before each answer",
        wanted="10 000/s, then 15 000/s",
        reach=_value("put-1k"),
        least=10_000,
        then=15_000,
    ),
    Goal(
        work="PUT 1 KiB, 1 connection",
        wanted="0.5 of the bare SQLite commit rate",
        reach=_ratio("put-1k-alone", "sqlite-alone"),
        least=0.5,
    ),
    Goal(
        work="PUT 64 KiB, 32 connections",
        wanted="0.7 of the bare engine",
        reach=_ratio("put-64k", "engine-alone"),
        least=0.7,
    ),
    Goal(
        work="GET 1 GiB",
        wanted="0.8 of nginx sendfile, then 0.95",
        reach=_ratio("get-1g", "nginx"),
        least=0.8,
        then=0.95,
    ),
    Goal(
        work="GET a range of 1 GiB",
        wanted="0.8 of nginx sendfile, then 0.95",
        reach=_ratio("range-1g", "nginx"),
        least=0.8,
        then=0.95,
    ),
    Goal(
        work="PUT 1 GiB, both cores, hashed and synced",
        wanted="0.45 of nginx DAV without either, then 0.6",
        reach=_ratio("put-1g", "nginx"),
        least=0.45,
        then=0.6,
    ),
    Goal(
        work="GET 1 KiB, 99th percentile while one client uploads",
        wanted="under 10 × the quiet one",
        reach=_ratio("p99-upload", "{}", peer_row="p99-quiet"),
        least=10,
        most=True,
    ),
    Goal(
        work="Page of 1000 keys anywhere among 1 M",
        wanted="5 ms, then 2 ms",
        reach=_value("page-1m"),
        least=5,
        then=2,
        most=True,
    ),
    Goal(
        work="Page of 1000 keys among 1 M",
        wanted="the same as among 10 k (within a quarter)",
        reach=_ratio("page-1m", "{}", peer_row="page-10k"),
        least=1.25,
        most=True,
    ),
    Goal(work="Walk of 1 M keys", wanted="300 000 keys/s", reach=_value("walk"), least=300_000),
    Goal(
        work="DELETE, 32 connections",
        wanted="1.0 of our PUT 1 KiB",
        reach=_ratio("delete", "{}", peer_row="put-1k"),
        least=1.0,
    ),
    Goal(work="Batch delete of 1000", wanted="50 000 keys/s", reach=_value("batch-delete"), least=50_000),
    Goal(work="GET 1 KiB, 2 workers on 2 cores", wanted="1.7 of one", reach=_two_workers, least=1.7),
    Goal(
        work="Memory of a worker, the most of all rows",
        wanted="under 150 MiB",
        reach=Results.peak,
        least=150,
        most=True,
    ),
    Goal(
        work="Cold start to first answer, 1 M objects",
        wanted="under 1 s",
        reach=_value("cold-start"),
        least=1,
        most=True,
    ),
    Goal(
        work="Filesystem backend: GET 1 KiB",
        wanted="0.7 of the engine's",
        reach=_files("get-1k", "{}"),
        least=0.7,
    ),
    Goal(
        work="Filesystem backend: PUT 1 KiB",
        wanted="0.8 of write, sync and rename alone",
        reach=_files("put-1k", "files-alone"),
        least=0.8,
    ),
    Goal(
        work="Client, sync: GET 1 KiB, one by one, from nginx",
        wanted="6 500/s",
        reach=_from_nginx("client-sync", "RestStore"),
        least=6_500,
    ),
    Goal(
        work="Client, sync: GET 1 KiB, one by one, from nginx",
        wanted="1.0 of http.client",
        reach=_from_nginx("client-sync", "RestStore", over="http.client"),
        least=1.0,
    ),
    Goal(
        work="Client, async: GET 1 KiB, 32 at once, from nginx",
        wanted="12 700/s",
        reach=_from_nginx("client-async", "AsyncRestStore"),
        least=12_700,
    ),
    Goal(
        work="Client, async: GET 1 KiB, 32 at once, from nginx",
        wanted="1.0 of aiohttp",
        reach=_from_nginx("client-async", "AsyncRestStore", over="aiohttp"),
        least=1.0,
    ),
    Goal(
        work="Client, sync: download 256 MiB, verified",
        wanted="1 100 MB/s",
        reach=_client("client-download", "RestStore"),
        least=1_100,
    ),
    Goal(
        work="Client, async: download 256 MiB, verified",
        wanted="1 100 MB/s",
        reach=_client("client-download", "AsyncRestStore"),
        least=1_100,
    ),
    *(
        Goal(
            work=f"Client, {kind}: {work} 1 GiB, verified",
            wanted="0.8 of curl",
            reach=_over_curl(f"client-{work}-1g", client),
            least=0.8,
        )
        for work in ("download", "upload")
        for kind, client in (("sync", "RestStore"), ("async", "AsyncRestStore"))
    ),
    Goal(
        work="Client: `cp -r` of 10 000 files of 4 KiB",
        wanted="5 of a loop of put",
        reach=_over_loop,
        least=5,
    ),
    Goal(
        work="Backend of S3: GET 256 MiB",
        wanted="0.85 of obstore alone",
        reach=_over_obstore,
        least=0.85,
    ),
    Goal(
        work="Backend of S3: GET 1 KiB",
        wanted="within 0.5 ms of obstore alone",
        reach=_beyond_obstore,
        least=0.5,
        most=True,
    ),
)
