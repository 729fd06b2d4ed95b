from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser

from cli.served import environment, serving
from objectstore import __version__
from objectstore.auth.scopes import SCOPES
from peer import Answer, Server, add_token, ask_url, running
from server.scraped import Scrape, scrape

OBJECT = "/objects/{key}"


def difference(server: Server, name: str, act: Callable[[], object], **labels: str) -> float:
    before = scrape(server).value(name, **labels)
    act()
    return scrape(server).value(name, **labels) - before


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/objects/metrics/none", OBJECT, "404"),
        ("GET", "/objects", "/objects", "200"),
        ("GET", "/uploads/none", "/uploads/{upload_id}", "404"),
        ("GET", "/health", "/health", "200"),
        ("GET", "/elsewhere", "unmatched", "404"),
        ("PROPFIND", "/objects/a", OBJECT, "405"),
    ],
)
def test_requests_are_counted_by_template_method_and_status(
    server: Server, method: str, path: str, route: str, status: str
) -> None:
    labels = {"route": route, "method": method if method == "GET" else "other", "status": status}
    assert difference(server, "objectstore_requests_total", lambda: server.ask(method, path), **labels) == 1


def test_durations_and_bytes_are_counted(server: Server) -> None:
    before = scrape(server)
    server.ask("PUT", "/objects/metrics/large", bytes(300_000))
    assert len(server.ask("GET", "/objects/metrics/large").body) == 300_000
    server.ask("GET", "/objects/metrics/large", headers={"Range": "bytes=0-99999"})
    server.ask("PUT", "/objects/metrics/small", bytes(100))
    server.ask("HEAD", "/objects/metrics/small")
    after = scrape(server)

    def grown(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert grown("objectstore_received_bytes_total", route=OBJECT, method="PUT") == 300_100
    assert grown("objectstore_sent_bytes_total", route=OBJECT, method="GET") == 400_000
    assert grown("objectstore_sent_bytes_total", route=OBJECT, method="HEAD") == 0
    assert grown("objectstore_request_duration_seconds_count", route=OBJECT, method="GET") == 2
    assert grown("objectstore_request_duration_seconds_bucket", route=OBJECT, method="GET", le="+Inf") == 2
    assert 0 < grown("objectstore_request_duration_seconds_sum", route=OBJECT, method="GET") < 60
    assert after.value("objectstore_requests_in_flight") == 1  # the scrape itself


def test_errors_are_counted_by_code(server: Server) -> None:
    for path, token, code in (("/objects/metrics/none", "", "not_found"), ("/uploads", None, "unauthenticated")):

        def ask(path: str = path, token: str | None = token) -> Answer:
            return server.ask("GET", path, token=token)

        assert difference(server, "objectstore_errors_total", ask, code=code) == 1


def test_what_the_engine_does_and_holds_is_told(server: Server) -> None:
    before = scrape(server)
    server.ask("PUT", "/objects/metrics/engine", bytes(100_000))
    server.ask("PUT", "/objects/metrics/engine", bytes(100_001))
    after = scrape(server)

    def grown(name: str) -> float:
        return after.value(name) - before.value(name)

    assert grown("objectstore_engine_operations_total") >= 2
    assert grown("objectstore_engine_commit_seconds_count") == grown("objectstore_engine_commits_total") >= 2
    assert grown("objectstore_engine_group_size_sum") == grown("objectstore_engine_operations_total")
    assert grown("objectstore_engine_sync_seconds_count") == 2
    assert after.value("objectstore_engine_garbage_bytes") >= 100_000
    assert after.value("objectstore_ready") == 1
    assert after.value("objectstore_disk_free_bytes") > 0


def test_no_key_and_no_token_is_in_a_scrape(server: Server) -> None:
    server.ask("PUT", "/objects/metrics/very-own-key", b"x")
    text = server.ask("GET", "/metrics").body.decode()
    assert "very-own-key" not in text
    assert server.token not in text


def test_the_build_and_the_process_are_told(server: Server) -> None:
    found = scrape(server)
    assert found.total("objectstore_build_info", version=__version__, backend="EngineStore") == 1
    assert found.value("objectstore_workers") == 1
    assert found.value("process_cpu_seconds_total") > 0
    assert found.value("process_resident_memory_bytes") > 1_000_000
    assert 0 < found.value("process_start_time_seconds") < time.time()
    assert 0 < found.value("process_open_fds") < found.value("process_max_fds")
    assert 1 < found.value("process_threads") < 100
    assert 0 < found.value("objectstore_tasks") < 100


def test_openmetrics_is_spoken_with_who_asks_for_it(server: Server) -> None:
    answer = server.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = parser.text_string_to_metric_families(answer.body.decode())  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert "objectstore_requests" in names
    assert server.ask("GET", "/metrics").headers["Content-Type"].startswith("text/plain; version=")


def test_a_scrape_takes_a_token_with_the_scope(server: Server) -> None:
    reader = add_token(server.folder / "tokens.json", f"no-metrics-{server.port}", scopes=set(SCOPES) - {"metrics"})
    watcher = add_token(server.folder / "tokens.json", f"metrics-{server.port}", scopes=["metrics"])
    deadline = time.monotonic() + 60
    while server.ask("GET", "/metrics", token=watcher).status != 200:
        assert time.monotonic() < deadline
    assert server.ask("GET", "/metrics", token=reader).code == "forbidden"
    assert server.ask("GET", "/metrics", token=None).code == "unauthenticated"


def test_a_scrape_may_be_public(tmp_path: Path) -> None:
    with running(tmp_path, environment={"METRICS_PUBLIC": "true", "DATA_DIR": ""}) as server:
        assert server.ask("GET", "/metrics", token=None).status == 200
        operation = server.ask("GET", "/openapi.json").json["paths"]["/metrics"]["get"]
        assert "security" not in operation
        assert "401" not in operation["responses"]


@pytest.mark.parametrize("kind", ["uvicorn", "granian"])
def test_each_worker_tells_of_all_also_of_those_that_died(tmp_path: Path, kind: str) -> None:
    tallies = tmp_path / "tallies"
    options = ("--workers", "2", "--server", kind)
    env = environment(PROMETHEUS_MULTIPROC_DIR=str(tallies))
    gets = {"route": OBJECT, "method": "GET", "status": "404"}
    with (tmp_path / "log").open("wb") as log, serving(*options, cwd=tmp_path, env=env, stderr=log) as served:

        def ask(path: str) -> Answer:
            return ask_url(served.url + path, served.token)

        def settled(count: int) -> Scrape:
            deadline = time.monotonic() + 60
            while True:
                found = Scrape(ask("/metrics").body.decode())
                alone = found.value("objectstore_requests_in_flight") == 1
                if alone and found.value("objectstore_workers") == 2:
                    assert found.value("objectstore_requests_total", **gets) == count
                    return found
                assert time.monotonic() < deadline
                time.sleep(0.05)

        def wait_for(true: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 60
            while not true():
                assert time.monotonic() < deadline
                time.sleep(0.05)

        wait_for(lambda: len(list(tallies.glob("*.cells"))) == 2)
        for _ in range(40):
            ask("/objects/none")
        settled(40)
        victim = int(next(tallies.glob("*.cells")).name.partition("-")[0])
        os.kill(victim, signal.SIGKILL)
        # Until the next worker has taken its figures over.
        wait_for(lambda: not any(path.name.startswith(f"{victim}-") for path in tallies.iterdir()))
        for _ in range(20):
            ask("/objects/none")
        assert settled(60).value("process_resident_memory_bytes") > 0
    assert tallies.is_dir()  # it is the user's


def test_serving_leaves_no_folder_behind(tmp_path: Path) -> None:
    with serving(cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL) as served:
        files = Path(f"/proc/{served.process.pid}/environ")
        assert b"PROMETHEUS_MULTIPROC_DIR" not in files.read_bytes()  # it makes one of its own
        locks = [Path(path) for path in map(os.readlink, Path(f"/proc/{served.process.pid}/fd").iterdir())]
        folder = next(path.parent for path in locks if path.name == "server.lock")
        assert list(folder.glob("*.cells"))
        served.stop()
    assert not folder.exists()


def test_refusals_of_limits_are_counted_and_no_failures_of_the_store(tmp_path: Path) -> None:
    with running(tmp_path, environment={"RATE_LIMIT": "2/day", "DATA_DIR": "", "METRICS_PUBLIC": "true"}) as server:
        assert [server.ask("GET", "/objects").status for _ in range(5)] == [200, 200, 429, 429, 429]
        found = scrape(server)
    assert found.value("objectstore_limit_refusals_total", limit="token_rate") == 3
    assert found.value("objectstore_errors_total", code="rate_limited") == 3
    assert found.value("objectstore_rate_limit_storage_away") == 0
    assert found.total("objectstore_backend_errors_total") == 0
    log = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    assert [one["token"] for one in log if one.get("status") == 429] == ["all"] * 3
