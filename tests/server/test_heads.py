"""The head of a request, and what else comes with a body, is bounded: nobody needs a token to send one."""

from __future__ import annotations

import pytest

from objectstore.core.attributes import MAX_ENTRIES
from peer import Server

MIB = 1024 * 1024
SIZE = 30 * MIB
PUT = b"PUT /objects/heads HTTP/1.1\r\nHost: x\r\n"
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /objects/heads HTTP/1.1\r\nHost: x\r\n"
# Before, between and after what is to fill the memory of the server.
FLOODS = {
    "target": (b"GET /objects/", b"a", b" HTTP/1.1\r\n\r\n"),
    "query": (b"GET /objects?prefix=", b"a", b" HTTP/1.1\r\n\r\n"),
    "method": (b"", b"G", b" / HTTP/1.1\r\n\r\n"),
    "name of a field": (GET, b"a", b": a\r\n\r\n"),
    "value of a field": (GET + b"A: ", b"a", b"\r\n\r\n"),
    "different fields": (GET, b"".join(b"X-%04d: a\r\n" % number for number in range(10_000)), b"\r\n"),
    "fields of one name": (GET, b"A: a\r\n", b"\r\n"),
    "metadata": (PUT, b"X-Object-Meta-A: a\r\n", b"\r\n"),
    "tokens": (GET, b"Authorization: Bearer os_aaaa\r\n", b"\r\n"),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\n", b"A: a\r\n", b"\r\n"),
    "extension of a chunk": (CHUNKED + b"3;", b"a", b"\r\nabc\r\n0\r\n\r\n"),
}


def flood(server: Server, before: bytes, piece: bytes, after: bytes) -> bytes:
    """What is answered until the connection is closed."""
    block = piece * (256 * 1024 // len(piece))
    answer = b""
    with server.connect() as connection:
        try:
            connection.sendall(before)
            for _ in range(SIZE // len(block)):
                connection.sendall(block)
            connection.sendall(after)
        except OSError:
            pass  # the server has closed it, and what it has said before is there to be read
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    return answer


@pytest.mark.parametrize("kind", FLOODS)
def test_a_head_without_end_is_cut_and_takes_no_memory(server: Server, kind: str) -> None:
    before = server.peak_memory()
    answer = flood(server, *FLOODS[kind])
    # The system may take the answer back with the connection, when there was more to read.
    assert not answer or answer.split()[1] in {b"400", b"401", b"431"}
    assert server.peak_memory() - before < 10 * MIB
    assert server.ask("GET", "/objects/heads").status == 404


def test_a_head_that_many_need_is_taken(server: Server, base: str) -> None:
    kept = {f"X-Object-Meta-{number}": "a" * 80 for number in range(MAX_ENTRIES)}
    passed_over = {f"X-{number}": "a" for number in range(80 - MAX_ENTRIES)}
    assert server.ask("PUT", f"/objects/{base}k", b"abc", kept | passed_over).status == 200
    answer = server.ask("HEAD", f"/objects/{base}k", headers={"X-A": "a" * 30_000})
    assert answer.headers[f"X-Object-Meta-{MAX_ENTRIES - 1}"]
    # Each character of a key may take three bytes, or nine.
    assert server.ask("GET", f"/objects?prefix={'%F0%9F%98%80' * 250}&start_after={'%41' * 1000}").status == 200


def test_more_fields_than_a_request_has_are_refused(server: Server, base: str) -> None:
    answer = server.ask("PUT", f"/objects/{base}k", b"abc", {f"X-{number}": "a" for number in range(101)})
    assert answer.status == 431
    assert server.ask("GET", f"/objects/{base}k").status == 404
