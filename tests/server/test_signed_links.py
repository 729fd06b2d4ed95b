"""Signed links over real servers: they do one thing, without a token, as long as their token may."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from objectstore.auth.scopes import SCOPES, Scope
from objectstore.auth.store import TokenFile
from objectstore.core.rates import parse_rate
from peer import Answer, Server, command_for, free_port, running, wait_until_healthy

KEYS = [
    "a",
    "a/b//c",
    "ä ö",
    "%",
    "%2F",
    "?x=1&y",
    "#",
    "+",
    "..",
    "a/../b",
    "/",
    "\\",
    '"',
    "\U0001f600",
    "\r\n",
    "delete",
]


def link(server: Server, key: str, *, token: str = "", **asked: object) -> str:
    """Path and query of a new link."""
    answer = server.json("POST", "/links", {"key": key, **asked}, token=token)
    assert answer.status == 201, answer.body
    path: str = answer.json["path"]
    return path


def follow(server: Server, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """A request without a token."""
    return server.ask(
        method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}, token=None
    )


def refused(answer: Answer, code: str = "invalid_link") -> None:
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["X-Error-Code"] == code


def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def new_token(server: Server, name: str, **options: Any) -> str:
    scopes: Iterable[Scope] = options.pop("scopes", SCOPES)
    token = TokenFile(server.folder / "tokens.json").add(
        name, scopes=scopes, now=datetime.now(UTC), ttl=timedelta(days=1), **options
    )
    until(lambda: server.ask("GET", "/nowhere", token=token).status == 404)
    return token


def test_a_link_reads_with_everything_that_reads_know(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"0123456789", {"Content-Type": "text/x-run", "X-Object-Meta-A": "b"})
    path = link(server, base + "k")
    whole = follow(server, path)
    assert (whole.status, whole.body) == (200, b"0123456789")
    assert whole.headers["Content-Type"] == "text/x-run"
    assert whole.headers["X-Object-Meta-A"] == "b"
    assert whole.headers["Cache-Control"] == "private"
    assert whole.headers["Referrer-Policy"] == "no-referrer"
    head = follow(server, path, "HEAD")
    assert (head.status, head.headers["Content-Length"]) == (200, "10")
    part = follow(server, path, Range="bytes=2-4")
    assert (part.status, part.body) == (206, b"234")
    assert follow(server, path, If_None_Match=whole.headers["ETag"]).status == 304
    assert follow(server, path, If_Match='"other"').status == 412


def test_a_link_says_what_it_is(server: Server, base: str) -> None:
    before = datetime.now(UTC)
    answer = server.json("POST", "/links", {"key": base + "k", "expires_in": 90})
    told = answer.json
    assert set(told) == {"url", "path", "public", "method", "key", "expires_at"}
    assert told["url"] == server.url + told["path"]
    assert (told["public"], told["method"], told["key"]) == (False, "GET", base + "k")
    end = datetime.fromisoformat(told["expires_at"])
    assert timedelta(seconds=88) < end - before <= timedelta(seconds=95)
    proxied = server.ask(
        "POST", "/links", b'{"key": "a"}', {"Host": "data.example.org:8443", "Content-Type": "application/json"}
    )
    assert proxied.json["url"].startswith("http://data.example.org:8443/objects/a?link=")
    for host in ("a b", "a/b", "me@a", "a?b", "[::1", "a:port"):
        bad = server.ask("POST", "/links", b'{"key": "a"}', {"Host": host, "Content-Type": "application/json"})
        assert bad.status == 400, host


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_any_key_can_be_linked_however_it_is_encoded(server: Server, base: str, key: str) -> None:
    key = base + key
    path = link(server, key)
    stored = link(server, key, method="PUT")
    assert follow(server, stored, "PUT", b"found").json["key"] == key
    _, _, query = path.partition("?")
    everything = "".join(f"%{byte:02x}" for byte in key.encode())
    for encoded in (path.partition("?")[0], f"/objects/{quote(key, safe='')}", f"/objects/{everything}"):
        assert follow(server, f"{encoded}?{query}").body == b"found"
        assert follow(server, f"{encoded}?{quote(query, safe='=')}&utm_source=mail").body == b"found"
    for other in (key + "x", key[:-1] or "x", key.upper() + "y"):
        refused(follow(server, f"/objects/{quote(other, safe='')}?{query}"))


def test_a_link_stores_within_its_limits(server: Server, base: str) -> None:
    key = base + "in"
    path = link(server, key, method="PUT", max_bytes=5, content_type="text/csv")
    refused(follow(server, path))
    refused(follow(server, path, "DELETE"))
    refused(follow(server, path, "POST", b""))
    assert follow(server, path, "PUT", b"123456").status == 413
    assert server.ask("PUT", path, iter([b"123", b"456"]), token=None).status == 413
    wrong = follow(server, path, "PUT", b"12", Content_Type="text/html")
    assert (wrong.status, wrong.code) == (403, "forbidden")
    assert server.ask("HEAD", f"/objects/{key}").status == 404
    stored = follow(server, path, "PUT", b"12345", If_None_Match="*", X_Object_Meta_From="outside")
    assert (stored.status, stored.json["content_type"]) == (200, "text/csv")
    assert stored.json["digest"]["sha-256"]
    assert follow(server, path, "PUT", b"1", If_None_Match="*").status == 412
    assert follow(server, path, "PUT", b"1", Content_Type="text/csv").status == 200
    digest = hashlib.sha256(b"2").digest()
    assert follow(server, path, "PUT", b"1", Repr_Digest=f"sha-256=:{digest.hex()}:").status == 400
    copied = follow(server, path, "PUT", b"", X_Copy_From=key)
    assert (copied.status, copied.code) == (403, "forbidden")


def test_a_link_for_reading_changes_nothing(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"kept")
    path = link(server, base + "k")
    for method in ("PUT", "DELETE", "POST", "PATCH", "OPTIONS"):
        refused(follow(server, path, method, b"other" if method in {"PUT", "POST", "PATCH"} else None))
    query = path.partition("?")[2]
    for elsewhere in ("/objects", "/objects/", "/uploads", "/links", "/objects/%00", "/objects/%", "/metrics"):
        assert follow(server, f"{elsewhere}?{query}").status == 401
    assert server.ask("GET", f"/objects/{base}k").body == b"kept"


def test_a_download_is_saved_under_its_name(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"x", {"Content-Disposition": "inline", "Cache-Control": "max-age=5"})
    path = link(server, base + "k", filename="Größe, 50%.csv")
    for answer in (follow(server, path), follow(server, path, "HEAD"), follow(server, path, Range="bytes=0-0")):
        assert answer.headers.get_all("Content-Disposition") == [
            "attachment; filename=\"Gr__e, 50_.csv\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%2C%2050%25.csv"
        ]
        assert answer.headers.get_all("Cache-Control") == ["max-age=5"]
    assert follow(server, link(server, base + "k")).headers["Content-Disposition"] == "inline"


def test_every_refusal_has_the_same_words(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}there", b"x")
    path = link(server, base + "there")
    where, _, value = path.partition("?link=")
    fields = value.split(".")
    changed = [
        f"{where}?link=",
        f"{where}?link=x",
        f"{where}?link={value}x",
        f"{where}?link={value}&link={value}",
        f"{where}?link={'a' * 5000}",
        f"{where}?link=%FF",
        f"{where}?link=" + ".".join([*fields[:3], "AAAAAAAAAAAAAAAA", *fields[4:]]),
        f"{where}?link=" + ".".join([*fields[:2], str(int(fields[2]) + 1), *fields[3:]]),
        f"/objects/{base}absent?link={value}",
        f"/objects/?link={value}",
        f"/objects/%?link={value}",
    ]
    answers = {(answer.status, answer.body) for answer in (follow(server, one) for one in changed)}
    assert len(answers) == 1
    refused(follow(server, changed[0]))
    # Not even a token makes more of it than it says.
    refused(server.ask("GET", changed[1]))
    refused(server.ask("DELETE", path))


@pytest.mark.parametrize(
    ("asked", "status", "word"),
    [
        ({"key": ""}, 422, "key"),
        ({"key": "a\0"}, 400, "NUL"),
        ({"key": "a", "method": "DELETE"}, 422, "method"),
        ({"key": "a", "expires_in": 0}, 422, "expires_in"),
        ({"key": "a", "expires_in": 7 * 86400 + 1}, 422, "LINK_MAX_TTL"),
        ({"key": "a", "expires_in": 10**30}, 422, "expires_in"),
        ({"key": "a", "max_bytes": 1}, 422, "max_bytes"),
        ({"key": "a", "method": "PUT", "max_bytes": -1}, 422, "max_bytes"),
        ({"key": "a", "method": "PUT", "filename": "a"}, 422, "filename"),
        ({"key": "a", "filename": "a\r\nSet-Cookie: b=c"}, 422, "filename"),
        ({"key": "a", "filename": "../a"}, 422, "filename"),
        ({"key": "a", "method": "PUT", "content_type": "a\nb"}, 422, "content_type"),
        ({"key": "a", "other": 1}, 422, "other"),
    ],
)
def test_what_no_link_can_be_is_refused_with_what_is_wrong(
    server: Server, asked: dict[str, object], status: int, word: str
) -> None:
    answer = server.json("POST", "/links", asked)
    assert answer.status == status
    assert word in answer.json["error"]["message"]


def test_a_token_makes_links_of_what_it_may_itself(server: Server, base: str) -> None:
    reader = new_token(server, base + "r", scopes=["read"], prefixes=[base + "mine/"])
    writer = new_token(server, base + "w", scopes=["write"])
    for token, key, method, status in (
        (reader, base + "mine/a", "GET", 201),
        (reader, base + "mine/a", "PUT", 403),
        (reader, base + "other", "GET", 403),
        (writer, base + "other", "PUT", 201),
        (writer, base + "other", "GET", 403),
    ):
        assert server.json("POST", "/links", {"key": key, "method": method}, token=token).status == status
    assert server.json("POST", "/links", {"key": "a"}, token=None).status == 401


def test_a_link_ends_when_its_token_does(server: Server, base: str) -> None:
    token = new_token(server, base + "t")  # for a day
    answer = server.json("POST", "/links", {"key": base + "k", "expires_in": 7 * 86400}, token=token)
    end = datetime.fromisoformat(answer.json["expires_at"])
    assert end <= datetime.now(UTC) + timedelta(days=1)


def test_a_link_is_taken_back_with_its_token(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"x")
    file = TokenFile(server.folder / "tokens.json")
    now = datetime.now(UTC)

    def gone(path: str, method: str = "GET", code: str = "invalid_link") -> bool:
        answer = follow(server, path, method, b"y" if method == "PUT" else None)
        return answer.status == 401 and answer.headers["X-Error-Code"] == code

    token = new_token(server, base + "t")
    reading = link(server, base + "k", token=token)
    writing = link(server, base + "k", token=token, method="PUT")
    assert follow(server, reading).status == 200
    # A scope less, and back.
    file.refresh(base + "t", now=now, ttl=timedelta(days=1), scopes=["write"])
    until(lambda: gone(reading))
    assert follow(server, writing, "PUT", b"y").status == 200
    file.refresh(base + "t", now=now, ttl=timedelta(days=1), scopes=["read"])
    until(lambda: gone(writing, "PUT"))
    assert follow(server, reading).status == 200
    # Expired, and back.
    file.refresh(base + "t", now=now - timedelta(days=2), ttl=timedelta(days=1))
    until(lambda: gone(reading, code="link_expired"))
    file.refresh(base + "t", now=now, ttl=timedelta(days=1))
    until(lambda: follow(server, reading).status == 200)
    # Deleted, and not back with another secret of that name.
    file.delete(base + "t")
    until(lambda: gone(reading))
    new_token(server, base + "t")
    assert gone(reading)


def test_a_link_counts_against_the_rate_of_its_token(server: Server, base: str) -> None:
    server.ask("PUT", f"/objects/{base}k", b"x")
    token = new_token(server, base + "slow", rate=parse_rate("6/day"))
    path = link(server, base + "k", token=token)
    until(lambda: follow(server, path).headers["X-Error-Code"] == "rate_limited")
    # The token that it was made with has nothing left either, and others are not held up.
    assert server.ask("GET", f"/objects/{base}k", token=token).code == "rate_limited"
    assert server.ask("GET", f"/objects/{base}k").status == 200


def test_no_file_of_the_server_holds_a_link(server: Server, base: str) -> None:
    path = link(server, base + "k", method="PUT")
    follow(server, path, "PUT", b"x" * 100_000)
    signature = path.rpartition(".")[2].encode()
    for file in server.folder.rglob("*"):
        if file.is_file():
            assert signature not in file.read_bytes(), file


def test_no_log_has_a_signature_under_uvicorn_as_it_comes(tmp_path: Path) -> None:
    port = free_port()
    tokens = tmp_path / "tokens.json"
    token = TokenFile(tokens).add("all", scopes=SCOPES, now=datetime.now(UTC), ttl=None)
    command = [word for word in command_for("uvicorn", port) if word not in {"--log-level", "warning"}]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | {"AUTH_TOKENS_FILE": str(tokens)}, stdout=log, stderr=log)
    server = Server(port, token, process, tmp_path)
    try:
        wait_until_healthy(process, port)
        path = link(server, "a b")
        follow(server, path)
        follow(server, f"{path}&{path.partition('?')[2]}")
        follow(server, f"/docs?{path.partition('?')[2]}")
    finally:
        process.terminate()
        process.wait(20)
    told = (tmp_path / "log").read_text()
    assert told.count('"path":"/objects/a%20b"') == 2
    assert '"path":"/docs"' in told
    assert path.rpartition(".")[2] not in told


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers behind one public URL."""
    folder: Path = tmp_path_factory.mktemp("several")
    settings = {"PUBLIC_URL": "https://data.example.org/store/", "LINK_MAX_TTL": "30d", "DOCS_PUBLIC": "false"}
    with running(folder, "uvicorn", workers=2, environment=settings) as running_server:
        yield running_server


def test_workers_agree_from_the_first_link_on(several: Server) -> None:
    several.ask("PUT", "/objects/k", b"x")
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: link(several, "k"), range(8)))
        for path in paths:
            assert {answer.status for answer in pool.map(lambda path: follow(several, path), [path] * 6)} == {200}


def test_a_server_with_a_public_url_says_it(several: Server) -> None:
    told = several.json("POST", "/links", {"key": "a", "expires_in": 30 * 86400}).json
    assert told["public"]
    assert told["url"] == "https://data.example.org/store" + told["path"]
    assert urlsplit(told["url"]).query == urlsplit(told["path"]).query


def test_removing_the_secret_takes_every_link_back(several: Server) -> None:
    several.ask("PUT", "/objects/k", b"x")
    path = link(several, "k")
    assert follow(several, path).status == 200
    (several.folder / "data" / "links.key").unlink()
    until(lambda: all(follow(several, path).status == 401 for _ in range(6)))
    fresh = link(several, "k")
    until(lambda: all(follow(several, fresh).status == 200 for _ in range(6)))
    refused(follow(several, path))


def test_the_description_may_be_kept_from_strangers(several: Server) -> None:
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert several.ask("GET", path, token=None).status == 401
        assert several.ask("GET", path).status == 200
    assert several.ask("GET", "/health", token=None).status == 200
