"""Every metric that a server shows: its name, kind, meaning and labels. `docs/monitoring.md` has them in a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from objectstore.backends.engine.blobs import SYNCS
from objectstore.backends.engine.writer import GROUPS
from objectstore.backends.engine.writer import SECONDS as SECONDS_OF_COMMITS

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = tuple[str, ...]  # values, in the order of the family's names


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A counter is shown with `_total` after its name, a histogram as `_bucket`, `_sum` and `_count`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()  # of a histogram: the upper ends of its buckets, the last one (infinity) excepted

    @property
    def parts(self) -> tuple[str, ...]:
        """What is kept apart of a histogram: the count of each bucket, each value in one only, and the sum."""
        return (*map(str, range(len(self.bounds) + 1)), "sum")

    @property
    def sample(self) -> str:
        """The name as queries have it, but for the suffixes of a histogram."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


# From a small object in memory to a large one over a slow line.
LATENCIES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

REQUESTS: Final = Family(
    "objectstore_requests",
    "counter",
    "Requests answered, by template of the path, method and status; 499: the client went away before",
    ("route", "method", "status"),
)
SECONDS: Final = Family(
    "objectstore_request_duration_seconds",
    "histogram",
    "From the first byte of a request known to the last of its answer handed to the server",
    ("route", "method"),
    LATENCIES,
)
RECEIVED: Final = Family(
    "objectstore_received_bytes", "counter", "Bytes of the bodies of requests", ("route", "method")
)
SENT: Final = Family("objectstore_sent_bytes", "counter", "Bytes of the bodies of answers", ("route", "method"))
IN_FLIGHT: Final = Family("objectstore_requests_in_flight", "gauge", "Requests being answered")
ERRORS: Final = Family("objectstore_errors", "counter", "Errors told to clients, by their code", ("code",))
BACKEND_ERRORS: Final = Family(
    "objectstore_backend_errors",
    "counter",
    "Requests that failed for the store's sake: away, full, damaged, or in a way not foreseen",
    ("error", "route", "method"),
)
REFUSALS: Final = Family(
    "objectstore_limit_refusals", "counter", "Requests that a limit refused or cut, by the limit", ("limit",)
)
STORAGE_AWAY: Final = Family(
    "objectstore_rate_limit_storage_away", "gauge", "Workers that cannot reach the storage of the rate limits"
)
OPERATIONS: Final = (
    Family("objectstore_engine_commits", "counter", "Commits of the index"),
    Family("objectstore_engine_operations", "counter", "Changes committed; several share a commit"),
    Family("objectstore_engine_group_size", "histogram", "Changes that shared a commit", (), GROUPS),
    Family(
        "objectstore_engine_commit_seconds",
        "histogram",
        "What a commit took: to append it to the log of the index, and to sync that",
        (),
        SECONDS_OF_COMMITS,
    ),
    Family("objectstore_engine_sync_seconds", "histogram", "What it took to sync the file of a large body", (), SYNCS),
    Family("objectstore_engine_garbage_collected", "counter", "Files of overwritten and deleted bodies unlinked"),
)
LEVELS: Final = (
    Family("objectstore_objects", "gauge", "Objects in the engine, as of a while ago when there are many"),
    Family("objectstore_object_bytes", "gauge", "Bytes of these objects"),
    Family("objectstore_uploads_open", "gauge", "Uploads in parts begun and neither completed nor aborted"),
    Family("objectstore_engine_garbage_files", "gauge", "Files that wait to be unlinked"),
    Family("objectstore_engine_garbage_bytes", "gauge", "About how many bytes these have"),
    Family("objectstore_engine_index_bytes", "gauge", "Size of the index"),
    Family("objectstore_engine_log_bytes", "gauge", "Size of the log of the index (WAL)"),
    Family("objectstore_scrub_verified_bodies", "gauge", "Bodies that scrubbing has verified, over all passes"),
    Family("objectstore_scrub_verified_bytes", "gauge", "Bytes of these bodies"),
    Family(
        "objectstore_scrub_damaged_bodies",
        "gauge",
        "Bodies found damaged by the last whole pass, or by the one under way if those are more",
    ),
    Family("objectstore_scrub_running", "gauge", "1 while a pass is under way, else 0"),
    Family("objectstore_scrub_oldest_seconds", "gauge", "How long ago what was verified longest ago was, at most"),
    Family(
        "objectstore_scrub_last_pass_timestamp_seconds",
        "gauge",
        "When the last whole pass ended, since 1970; 0: none did",
    ),
    Family("objectstore_disk_free_bytes", "gauge", "Room left on the disk of the data folder"),
    Family("objectstore_disk_bytes", "gauge", "Size of the disk of the data folder"),
)
READY: Final = Family("objectstore_ready", "gauge", "1 when /health/ready is of success, else 0")
CPU: Final = Family("process_cpu_seconds", "counter", "CPU time of all workers, user and system")
MEMORY: Final = Family("process_resident_memory_bytes", "gauge", "Resident memory of all workers")
VIRTUAL: Final = Family("process_virtual_memory_bytes", "gauge", "Virtual memory of all workers")
OPEN_FILES: Final = Family("process_open_fds", "gauge", "Open file descriptors of all workers")
MOST_FILES: Final = Family("process_max_fds", "gauge", "File descriptors that all workers may open")
THREADS: Final = Family("process_threads", "gauge", "Threads of all workers")
START: Final = Family("process_start_time_seconds", "gauge", "When the worker that answers started, since 1970")
TASKS: Final = Family("objectstore_tasks", "gauge", "Tasks of the event loops of all workers")
WORKERS: Final = Family("objectstore_workers", "gauge", "Worker processes that live")
BUILD: Final = Family(
    "objectstore_build_info", "gauge", "What runs; always 1", ("version", "python", "implementation", "backend")
)

FAMILIES: Final[tuple[Family, ...]] = (
    REQUESTS,
    SECONDS,
    RECEIVED,
    SENT,
    IN_FLIGHT,
    ERRORS,
    BACKEND_ERRORS,
    REFUSALS,
    STORAGE_AWAY,
    READY,
    *OPERATIONS,
    *LEVELS,
    CPU,
    MEMORY,
    VIRTUAL,
    OPEN_FILES,
    MOST_FILES,
    THREADS,
    START,
    TASKS,
    WORKERS,
    BUILD,
)
BY_NAME: Final[Mapping[str, Family]] = {family.name: family for family in FAMILIES}
