"""Clients that end in the middle of what they say, lie about its length, or say much at once, over raw sockets."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from objectstore.sockets import drop_unsent
from peer import Server, running

KIB = 1024
LARGE = bytes(range(256)) * 1200  # becomes a file of its own


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Granian does not always tell that a client is gone who broke off in the middle of a body: then this time counts.
    folder: Path = tmp_path_factory.mktemp(request.param)
    with running(folder, request.param, environment={"REQUEST_TIMEOUT": "3"}) as running_server:
        yield running_server


def head(server: Server, line: str, *fields: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: x", f"Authorization: Bearer {server.token}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def with_length(server: Server, line: str, body: bytes, *fields: str) -> bytes:
    return head(server, line, f"Content-Length: {len(body)}", *fields) + body


def in_chunks(server: Server, line: str, *chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return head(server, line, "Transfer-Encoding: chunked") + body


def processes(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from processes(int(child))


def descriptors(server: Server) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in processes(server.process.pid))


def unfinished(server: Server) -> list[Path]:
    """What lies where bodies wait that are on their way."""
    staging = server.folder / "data" / "staging"
    return [path for path in staging.rglob("*") if path.is_file() and path.stat().st_size and path.suffix != ".batch"]


def wait_until_nothing_is_left(server: Server, before: int) -> None:
    deadline = time.monotonic() + 30
    while (now := descriptors(server)) > before or unfinished(server):
        assert time.monotonic() < deadline, (before, now, unfinished(server))
        time.sleep(0.01)


def vanish(server: Server, said: bytes, *, reset: bool, hears: int = 0) -> None:
    with server.connect() as connection:
        connection.sendall(said)
        if hears:
            connection.recv(hears)
        if reset:
            drop_unsent(connection)


def begin_upload(server: Server, key: str) -> tuple[str, str]:
    """The id of an upload that has its first part, and the etag of that."""
    upload_id: str = server.json("POST", "/uploads", {"key": key}).json["upload_id"]
    etag: str = server.ask("PUT", f"/uploads/{upload_id}/parts/1", LARGE).json["etag"]
    return upload_id, etag


@pytest.mark.parametrize("reset", [False, True])
def test_who_vanishes_leaves_nothing_behind(server: Server, base: str, *, reset: bool) -> None:
    server.ask("PUT", f"/objects/{base}there", LARGE * 20)
    upload_id, etag = begin_upload(server, f"{base}upload")
    completed = json.dumps({"parts": [{"n": 1, "etag": etag}]}).encode()
    keys = json.dumps({"keys": [f"{base}none"]}).encode()
    typed = "Content-Type: application/json"
    requests = {
        "small": with_length(server, f"PUT /objects/{base}small", b"s" * 1000),
        "large": with_length(server, f"PUT /objects/{base}large", LARGE),
        "chunks": in_chunks(server, f"PUT /objects/{base}chunks", LARGE, b"x", LARGE),
        "part": with_length(server, f"PUT /uploads/{upload_id}/parts/2", LARGE),
        "complete": with_length(server, f"POST /uploads/{upload_id}/complete", completed, typed),
        "delete many": with_length(server, "POST /objects/delete", keys, typed),
        "begin": with_length(server, "POST /uploads", json.dumps({"key": f"{base}begun"}).encode(), typed),
        "copy": head(server, f"PUT /objects/{base}copy", f"X-Copy-From: {base}there"),
        "get": head(server, f"GET /objects/{base}there"),
        "range": head(server, f"GET /objects/{base}there", "Range: bytes=1-"),
        "list": head(server, f"GET /objects?prefix={base}&details=true"),
        "delete": head(server, f"DELETE /objects/{base}none"),
    }
    assert server.ask("GET", "/health", token=None).status == 200
    before = descriptors(server)
    for request in requests.values():
        end_of_head = request.index(b"\r\n\r\n") + 4
        half = (end_of_head + len(request)) // 2
        for cut in sorted({1, end_of_head // 2, end_of_head, end_of_head + 1, half, len(request) - 1, len(request)}):
            vanish(server, request[:cut], reset=reset)
    vanish(server, requests["get"], reset=reset, hears=100)
    vanish(server, requests["range"], reset=reset, hears=100 * KIB)
    # Completed by the one who heard no answer, or not yet. The second part may have come whole: then the server has
    # begun to put the body together, and keeps what it has of it until the upload is over.
    answer = server.json("POST", f"/uploads/{upload_id}/complete", {"parts": [{"n": 1, "etag": etag}]})
    assert (answer.status, answer.json["size"]) == (200, len(LARGE))
    wait_until_nothing_is_left(server, before)
    whole = {"small": b"s" * 1000, "large": LARGE, "chunks": LARGE + b"x" + LARGE, "copy": LARGE * 20, "upload": LARGE}
    for key, body in whole.items():
        answer = server.ask("GET", f"/objects/{base}{key}")
        assert answer.status == 404 or answer.body == body, key
    assert server.ask("GET", f"/objects/{base}there").body == LARGE * 20
    assert "failed unforeseen" not in (server.folder / "server.log").read_text()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "said",
    [b"5", b"5\r\n", b"5\r\nhe", b"5\r\nhello", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0\r\nA: b"],
)
def test_half_a_chunk_is_no_object(server: Server, base: str, said: bytes, *, reset: bool) -> None:
    before = descriptors(server)
    request = head(server, f"PUT /objects/{base}k", "Transfer-Encoding: chunked") + said
    vanish(server, request, reset=reset)
    wait_until_nothing_is_left(server, before)
    assert server.ask("GET", f"/objects/{base}k").status == 404


@dataclass(frozen=True)
class Asked:
    method: str
    request: bytes
    status: int
    body: bytes | None = None  # None: whatever it is


def answers_to(connection: socket.socket, asked: list[Asked]) -> list[tuple[int, bytes]]:
    """Status and body of each answer, in their order, until the connection ends."""
    stream = connection.makefile("rb")
    answers = []
    for one in asked:
        line = stream.readline()
        if not line:
            break
        fields = b"".join(iter(stream.readline, b"\r\n"))
        length = re.search(rb"(?im)^content-length: *(\d+)", fields)
        size = int(length[1]) if length is not None and one.method != "HEAD" else 0
        answers.append((int(line.split()[1]), stream.read(size)))
    assert stream.read() == b""
    return answers


def a_pipeline(server: Server, base: str) -> list[Asked]:
    asked = []
    for number in range(8):
        path, body = f"/objects/{base}{number}", b"%d " % number * (10 ** (number % 6))
        wrong = "Content-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        asked += [
            Asked("PUT", with_length(server, f"PUT {path}", body), 200),
            Asked("GET", head(server, f"GET {path}"), 200, body),
            Asked("PUT", in_chunks(server, f"PUT {path}", b"other", body), 200),
            Asked("HEAD", head(server, f"HEAD {path}"), 200),
            Asked("GET", head(server, f"GET {path}"), 200, b"other" + body),
            Asked("PUT", with_length(server, f"PUT {path}", body, wrong), 400),
            Asked("GET", head(server, f"GET {path}none"), 404),
            Asked("PUT", with_length(server, f"PUT {path}", body, "If-None-Match: *"), 412),
            Asked("GET", head(server, f"GET {path}", "Range: bytes=1-3"), 206, b"the"),
            Asked("DELETE", head(server, f"DELETE {path}"), 204),
            Asked("GET", head(server, f"GET {path}"), 404),
        ]
    return [*asked, Asked("GET", head(server, "GET /health", "Connection: close"), 200)]


@pytest.mark.parametrize("size", [10**9, 997], ids=["at once", "in pieces"])
def test_the_answers_to_requests_at_once_are_in_their_order(server: Server, base: str, size: int) -> None:
    asked = a_pipeline(server, base)
    said = b"".join(one.request for one in asked)
    with server.connect() as connection:
        for at in range(0, len(said), size):
            connection.sendall(said[at : at + size])
        answers = answers_to(connection, asked)
    assert [status for status, _ in answers] == [one.status for one in asked]
    for one, (_, body) in zip(asked, answers, strict=True):
        assert one.body in {None, body}


def test_what_follows_a_body_that_is_longer_than_it_says_is_no_part_of_it(server: Server, base: str) -> None:
    put = head(server, f"PUT /objects/{base}k", "Content-Length: 3")
    with server.connect() as connection:
        connection.sendall(put + b"abcdef" + head(server, f"DELETE /objects/{base}k", "Connection: close"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    # What remains is a request with the method "defDELETE", to who takes any word for a method.
    assert [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3})", answer)] in ([200], [200, 400], [200, 405])
    assert server.ask("GET", f"/objects/{base}k").body == b"abc"


def test_many_who_vanish_at_once_leave_the_server_as_it_was(server: Server, base: str) -> None:
    before, memory = descriptors(server), server.peak_memory()
    request = with_length(server, f"PUT /objects/{base}k", bytes(2_000_000))
    for _ in range(3):
        connections = [server.connect() for _ in range(60)]
        for number, connection in enumerate(connections):
            connection.sendall(request[: 1_000 + 4_000 * number])
        for number, connection in enumerate(connections):
            if number % 2:
                drop_unsent(connection)
            connection.close()
    wait_until_nothing_is_left(server, before)
    assert server.ask("GET", f"/objects/{base}k").status == 404
    assert server.peak_memory() - memory < 60 * 1024 * KIB
