"""Quotas as their users meet them: over HTTP, by both clients, with two workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstore import RestStore
from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.auth.tokens import Allowance
from objectstore.errors import QuotaExceeded, Unsupported
from objectstore.wire.usage import QuotaUsage
from peer import Answer, Server, free_port, running
from server.test_lifecycle import start_and_fail

LIMIT = 100_000


@dataclass(frozen=True)
class Bounded:
    """A server with two workers, and tokens with quotas that both have known from the start."""

    server: Server
    tokens: Mapping[str, str]


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bounded]:
    folder = tmp_path_factory.mktemp("quotas")
    file = folder / "bounded.json"
    quotas = {name: Allowance(size=LIMIT) for name in ("one", "two", "shared", "client")}
    quotas |= {"small": Allowance(size=10), "many": Allowance(size=LIMIT, objects=7)}
    tokens = {
        name: token_for(file, name, "shared/" if name == "small" else f"{name}/", quotas[name]) for name in quotas
    }
    everything = TokenFile(file).add("all", scopes=SCOPES, now=datetime.now(UTC), ttl=None)
    with running(folder, workers=2, environment={"AUTH_TOKENS_FILE": str(file)}) as running_server:
        yield Bounded(replace(running_server, token=everything), tokens)


@pytest.fixture
def server(bounded: Bounded) -> Server:
    return bounded.server


def token_for(file: Path, name: str, prefix: str, quota: Allowance) -> str:
    return TokenFile(file).add(name, scopes=SCOPES, now=datetime.now(UTC), ttl=None, prefixes=[prefix], quota=quota)


def usage(prefix: str, size: int, objects: int, parts_size: int = 0) -> dict[str, object]:
    limits = {"bytes": LIMIT, "objects": None}
    return {"prefix": prefix, "bytes": size, "parts_bytes": parts_size, "objects": objects, "limits": limits}


def assert_exceeded(answer: Answer, prefix: str, used: int) -> None:
    assert answer.status == 507
    assert answer.headers["X-Error-Code"] == "quota_exceeded"
    error = answer.json["error"]
    del error["message"]
    told = {"prefix": prefix, "resource": "bytes", "limit": LIMIT, "used": used}
    assert error == {"code": "quota_exceeded", **told}


def test_what_exceeds_a_quota_is_refused_and_shown(server: Server, bounded: Bounded) -> None:
    token = bounded.tokens["one"]
    assert server.ask("GET", "/usage", token=token).json == {"usage": [usage("one/", 0, 0)]}
    assert server.ask("PUT", "/objects/one/a", bytes(90_000), token=token).status == 200
    for body in (bytes(10_001), iter([bytes(10_000), b"x"])):
        assert_exceeded(server.ask("PUT", "/objects/one/b", body, token=token), "one/", 90_000)
    assert_exceeded(server.ask("PUT", "/objects/one/b", b"", {"X-Copy-From": "one/a"}, token=token), "one/", 90_000)
    assert server.ask("GET", "/objects/one/b").status == 404
    assert server.ask("PUT", "/objects/one/a", bytes(100_000), token=token).status == 200
    # Whoever writes there counts; whoever has no quota is not bound.
    assert server.ask("PUT", "/objects/one/c", bytes(50)).status == 200
    assert server.ask("GET", "/usage", token=token).json == {"usage": [usage("one/", 100_050, 2)]}
    assert server.ask("DELETE", "/objects/one/a", token=token).status == 204
    assert server.ask("PUT", "/objects/one/b", bytes(99_950), token=token).status == 200
    assert server.ask("GET", "/usage").json == {"usage": []}
    # It is the caller's trouble, not the store's.
    assert "PUT failed" not in (server.folder / "server.log").read_text()


def test_parts_and_links_are_within_the_quota(server: Server, bounded: Bounded) -> None:
    token = bounded.tokens["two"]
    assert_exceeded(server.json("POST", "/uploads", {"key": "two/a", "size": LIMIT + 1}, token=token), "two/", 0)
    begun = server.json("POST", "/uploads", {"key": "two/a"}, token=token).json
    parts = f"/uploads/{begun['upload_id']}/parts"
    first = server.ask("PUT", f"{parts}/1", bytes(60_000), token=token).json
    assert server.ask("GET", "/usage", token=token).json == {"usage": [usage("two/", 0, 0, 60_000)]}
    assert_exceeded(server.ask("PUT", f"{parts}/2", bytes(40_001), token=token), "two/", 60_000)
    link = server.json("POST", "/links", {"key": "two/b", "method": "PUT", "expires_in": 60}, token=token).json
    assert_exceeded(server.ask("PUT", link["path"], bytes(40_001), token=None), "two/", 60_000)
    assert server.ask("PUT", link["path"], bytes(40_000), token=None).status == 200
    asked = {"parts": [{"n": 1, "etag": first["etag"]}]}
    assert server.json("POST", f"/uploads/{begun['upload_id']}/complete", asked, token=token).status == 200
    assert server.ask("GET", "/usage", token=token).json == {"usage": [usage("two/", 100_000, 2)]}


def test_tokens_that_share_a_prefix_share_what_is_used(server: Server, bounded: Bounded) -> None:
    large, small = bounded.tokens["shared"], bounded.tokens["small"]
    assert server.ask("PUT", "/objects/shared/a", bytes(20), token=large).status == 200
    assert server.ask("PUT", "/objects/shared/b", b"x", token=small).code == "quota_exceeded"
    assert server.ask("PUT", "/objects/shared/b", b"x", token=large).status == 200
    assert server.ask("PUT", "/objects/shared/a", bytes(20), token=small).status == 200


def test_many_clients_at_once_do_not_exceed_it(server: Server, bounded: Bounded) -> None:
    token = bounded.tokens["many"]

    def put(number: int) -> int:
        return server.ask("PUT", f"/objects/many/{number}", bytes(1000), token=token).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(put, range(24)))
    assert sorted(statuses) == [200] * 7 + [507] * 17
    (found,) = server.ask("GET", "/usage", token=token).json["usage"]
    assert (found["objects"], found["bytes"], found["limits"]) == (7, 7000, {"bytes": LIMIT, "objects": 7})


def test_a_client_is_told_by_an_error_of_its_own(server: Server, bounded: Bounded) -> None:
    token = bounded.tokens["client"]
    with RestStore.create(server.url, token) as store:
        store.put("client/a", bytes(LIMIT))
        with pytest.raises(QuotaExceeded) as caught:
            store.put("client/b", b"x")
        error = caught.value
        assert (error.prefix, error.resource, error.limit, error.used) == ("client/", "bytes", LIMIT, LIMIT)
        assert store.usage() == (
            QuotaUsage(prefix="client/", size=LIMIT, parts_size=0, objects=1, max_size=LIMIT, max_objects=None),
        )


def test_a_store_that_keeps_no_quotas_does_not_ignore_them(tmp_path: Path) -> None:
    with running(tmp_path, environment={"DATA_DIR": ""}) as server:
        # It starts, as there is none yet.
        token = token_for(tmp_path / "tokens.json", "bound", "a/", Allowance(size=LIMIT))
        deadline = time.monotonic() + 60
        while server.ask("GET", "/uploads/x", token=token).status == 401:
            assert time.monotonic() < deadline
        begin = {"key": "a/k"}
        for answer in (
            server.ask("PUT", "/objects/a/k", b"x", token=token),
            server.ask("PUT", "/objects/a/k", b"", {"X-Copy-From": "a/x"}, token=token),
            server.json("POST", "/uploads", begin, token=token),
            server.ask("GET", "/usage", token=token),
        ):
            assert (answer.status, answer.code) == (501, "unsupported")
        assert server.ask("PUT", "/objects/a/k", b"x").status == 200
        assert server.ask("GET", "/objects/a/k", token=token).body == b"x"
        with RestStore.create(server.url, token) as store, pytest.raises(Unsupported, match="quota"):
            store.put("a/k", b"x")
    # Started anew it says so at once.
    ended = start_and_fail(DATA_DIR="", AUTH_TOKENS_FILE=str(tmp_path / "tokens.json"), PORT=str(free_port()))
    assert ended.returncode != 0
    assert "keeps no quotas, and these tokens have one: 'bound'" in ended.stderr
    assert "Traceback" not in ended.stderr
