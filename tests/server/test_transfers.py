"""Bodies on real sockets: cut short, chunked, abandoned, enormous."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from peer import Server, running

MIB = 1024 * 1024


def head(server: Server, method: str, path: str, *lines: str) -> bytes:
    fields = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {server.token}", *lines]
    return ("\r\n".join(fields) + "\r\n\r\n").encode()


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def files_in(server: Server) -> set[Path]:
    """What lies in the data folder beside the index and the markers of batches, which last as long as the server."""
    data = server.folder / "data"
    found = {path for part in ("blobs", "staging") for path in (data / part).rglob("*") if path.is_file()}
    return {path for path in found if path.suffix != ".batch"}


def absent(server: Server, key: str) -> bool:
    return server.ask("HEAD", f"/objects/{key}").status == 404


@pytest.mark.parametrize(("size", "sent"), [(4 * MIB, 0), (4 * MIB, 100), (4 * MIB, 3 * MIB), (1024, 0), (1024, 1023)])
def test_a_body_cut_short_stores_nothing_and_leaves_nothing(server: Server, base: str, size: int, sent: int) -> None:
    before = files_in(server)
    key = f"{base}{sent}"
    with server.connect() as connection:
        connection.sendall(head(server, "PUT", f"/objects/{key}", f"Content-Length: {size}"))
        connection.sendall(bytes(sent))
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert not answer.startswith(b"HTTP/1.1 2")
    assert absent(server, key)
    while files_in(server) != before:
        pass  # what the server had begun is taken away; the suite's time limit says if it is not


def test_a_small_body_in_pieces_is_stored_whole_and_the_next_request_is_heard(server: Server, base: str) -> None:
    body = bytes(range(256)) * 100
    with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
        for number in range(3):
            connection.putrequest("PUT", f"/objects/{base}{number}")
            connection.putheader("Authorization", f"Bearer {server.token}")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            for at in range(0, len(body), 5000):
                connection.send(body[at : at + 5000])
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
    for number in range(3):
        assert server.ask("GET", f"/objects/{base}{number}").body == body


def test_a_chunked_body_cut_short_stores_nothing(server: Server, base: str) -> None:
    with server.connect() as connection:
        connection.sendall(head(server, "PUT", f"/objects/{base}k", "Transfer-Encoding: chunked"))
        connection.sendall(b"5\r\nhello\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert not answer.startswith(b"HTTP/1.1 2")
    assert absent(server, base + "k")


def test_a_chunked_body_of_unknown_length_is_stored(server: Server, base: str) -> None:
    chunks = [b"a" * MIB, b"", b"b" * 5, b"c" * MIB]
    answer = server.ask("PUT", f"/objects/{base}k", iter(chunk for chunk in chunks if chunk))
    assert answer.json["size"] == 2 * MIB + 5
    assert server.ask("GET", f"/objects/{base}k").body == b"".join(chunks)


def test_a_client_that_leaves_mid_download_harms_nobody(server: Server, base: str) -> None:
    body = bytes(range(256)) * 4096 * 64
    server.ask("PUT", f"/objects/{base}k", body)
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(head(server, "GET", f"/objects/{base}k"))
            connection.recv(1000)
    assert server.ask("GET", f"/objects/{base}k").body == body


def test_an_empty_put_without_length_is_an_empty_object(server: Server, base: str) -> None:
    with server.connect() as connection:
        connection.sendall(head(server, "PUT", f"/objects/{base}k", "Connection: close"))
        assert read_all(connection).startswith(b"HTTP/1.1 200")
    assert server.ask("GET", f"/objects/{base}k").body == b""


def test_a_connection_serves_many_requests_of_every_outcome(server: Server, base: str) -> None:
    requests = [
        ("PUT", f"/objects/{base}k", b"abc", 200),
        ("GET", f"/objects/{base}k", None, 200),
        ("GET", f"/objects/{base}none", None, 404),
        ("HEAD", f"/objects/{base}none", None, 404),
        ("PUT", "/objects/%00", b"abc", 400),
        ("GET", "/health", None, 200),
        ("DELETE", f"/objects/{base}k", None, 204),
    ]
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    with closing(connection):
        connection.connect()
        first = connection.sock
        for method, path, body, status in requests * 3:
            connection.request(method, path, body, {"Authorization": f"Bearer {server.token}"})
            response = connection.getresponse()
            response.read()
            assert response.status == status
        assert connection.sock is first


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def small_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("small")
    with running(folder, request.param, environment={"MAX_OBJECT_SIZE": "1000000"}) as server:
        yield server


def test_more_than_the_largest_object_is_refused(small_server: Server) -> None:
    path = "/objects/k"
    assert small_server.ask("PUT", path, bytes(1_000_000)).status == 200
    announced = small_server.ask("PUT", "/objects/announced", bytes(1_000_001))
    assert (announced.status, announced.code) == (413, "too_large")
    chunked = small_server.ask("PUT", "/objects/chunked", iter([bytes(500_000)] * 3))
    assert (chunked.status, chunked.code) == (413, "too_large")
    assert small_server.ask("GET", "/objects").json["keys"] == ["k"]


def test_parts_that_are_too_large_together_make_no_object(small_server: Server) -> None:
    upload = small_server.json("POST", "/uploads", {"key": "whole"}).json["upload_id"]
    parts = [small_server.ask("PUT", f"/uploads/{upload}/parts/{n}", bytes(600_000)).json for n in (1, 2)]
    names = [{"n": part["n"], "etag": part["etag"]} for part in parts]
    refused = small_server.json("POST", f"/uploads/{upload}/complete", {"parts": names})
    assert (refused.status, refused.code) == (413, "too_large")
    assert small_server.ask("HEAD", "/objects/whole").status == 404
    assert small_server.json("POST", f"/uploads/{upload}/complete", {"parts": names[:1]}).status == 200
    assert small_server.ask("DELETE", "/objects/whole").status == 204


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("PUT", "/objects/refused", "os_wrong", 401),
        ("PUT", "/objects/%00", "", 400),
        ("PUT", "/uploads/none/parts/1", "", 404),
        ("PUT", "/uploads/none/parts/1", "os_wrong", 401),
        ("POST", "/objects/delete", "", 413),
    ],
)
def test_who_sends_all_before_listening_still_gets_the_answer(
    server: Server, method: str, path: str, token: str, status: int
) -> None:
    answer = server.ask(method, path, bytes(32 * MIB), token=token)
    assert answer.status == status


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def fresh_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("fresh"), request.param) as server:
        yield server


@pytest.mark.slow
def test_memory_stays_flat_for_two_gibibytes_both_ways(fresh_server: Server) -> None:
    blocks, block = 2048, bytes(range(256)) * 4096
    length = {"Content-Length": str(blocks * MIB)}
    stored = fresh_server.ask("PUT", "/objects/big", (block for _ in range(blocks)), length)
    expected = hashlib.sha256()
    for _ in range(blocks):
        expected.update(block)
    assert stored.json["size"] == blocks * MIB
    assert base64.b64decode(stored.json["digest"]["sha-256"]) == expected.digest()
    received = hashlib.sha256()
    with fresh_server.connect() as connection, connection.makefile("rb") as answer:
        connection.sendall(head(fresh_server, "GET", "/objects/big", "Connection: close"))
        while answer.readline().strip():
            pass
        while chunk := answer.read(MIB):
            received.update(chunk)
    assert received.digest() == expected.digest()
    assert fresh_server.peak_memory() < 150 * MIB
