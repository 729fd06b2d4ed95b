"""What no HTTP library sends: requests on which two servers might disagree, over real sockets.

Whatever is made of a request, those that follow on its connection are neither swallowed nor made up: each is answered
by itself, or the connection is closed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from peer import Server

MARKER = b"the marker"
PUT = b"PUT /objects/raw/smuggled HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /objects/raw/marker HTTP/1.1\r\nHost: x\r\n"
CHUNKS = b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

# One is refused, with all that follows, and stores nothing.
REFUSED = {
    "two lengths": PUT + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": PUT + b"Content-Length: 3, 3\r\n\r\nabc",
    "a length with a sign": PUT + b"Content-Length: +3\r\n\r\nabc",
    "a negative length": PUT + b"Content-Length: -3\r\n\r\nabc",
    "a hexadecimal length": PUT + b"Content-Length: 0x3\r\n\r\nabc",
    "a length with an underscore": PUT + b"Content-Length: 1_0\r\n\r\n0123456789",
    "a length with a space": PUT + b"Content-Length: 1 0\r\n\r\n0123456789",
    "a length without digits": PUT + b"Content-Length: \r\n\r\n",
    "a length beyond 2^64": PUT + b"Content-Length: 18446744073709551619\r\n\r\nabc",
    "an unknown coding": PUT + b"Transfer-Encoding: xchunked" + CHUNKS,
    "chunks that are not the last coding": PUT + b"Transfer-Encoding: chunked, identity" + CHUNKS,
    "no coding": PUT + b"Transfer-Encoding: identity" + CHUNKS,
    "a coding in quotes": PUT + b'Transfer-Encoding: "chunked"' + CHUNKS,
    "a coding with a parameter": PUT + b"Transfer-Encoding: chunked;x=1" + CHUNKS,
    "an empty coding": PUT + b"Transfer-Encoding: " + CHUNKS,
    "a coding behind a vertical tab": PUT + b"Transfer-Encoding: \x0bchunked" + CHUNKS,
    "another coding alone": PUT + b"Transfer-Encoding: gzip" + CHUNKS,
    "two codings": PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity" + CHUNKS,
    "a space before the colon": PUT + b"Transfer-Encoding : chunked" + CHUNKS,
    "a space before the colon of the length": PUT + b"Content-Length : 3\r\n\r\nabc",
    "a folded coding": PUT + b"Transfer-Encoding:\r\n chunked" + CHUNKS,
    "a folded field": GET + b"X-A: b\r\n c\r\n\r\n",
    "a folded first field": GET.replace(b"Host", b" Host") + b"\r\n",
    "NUL in a name": GET + b"X\x00A: b\r\n\r\n",
    "NUL in a value": GET + b"XA: b\x00\r\n\r\n",
    "CR in a value": GET + b"XA: b\rX: c\r\n\r\n",
    "no colon": GET + b"XA\r\n\r\n",
    "no name": GET + b": x\r\n\r\n",
    "a hexadecimal chunk": PUT + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk": PUT + b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "a chunk with a sign": PUT + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "a chunk beyond 2^64": PUT + b"Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer than it says": PUT + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
    "LF after a chunk's size": PUT + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "LF in a chunk's extension": PUT + b"Transfer-Encoding: chunked\r\n\r\n3;a\nxx\r\nabc\r\n0\r\n\r\n",
    "an unknown version": GET.replace(b"HTTP/1.1", b"HTTP/1.2") + b"\r\n",
    "a version of the future": GET.replace(b"HTTP/1.1", b"HTTP/9.9") + b"\r\n",
    "another protocol": GET.replace(b"HTTP/1.1", b"HTTX/1.1") + b"\r\n",
    "more than a version": GET.replace(b"HTTP/1.1", b"HTTP/1.1x") + b"\r\n",
    "a space in the target": GET.replace(b"marker", b"mar ker") + b"\r\n",
    "NUL in the target": GET.replace(b"marker", b"mar\0ker") + b"\r\n",
    "broken UTF-8 in the target": GET.replace(b"marker", b"\xff\xfe") + b"\r\n",
    "broken UTF-8 in the query": GET.replace(b"/raw/marker", b"?prefix=\xff") + b"\r\n",
    "a target without a slash": GET.replace(b"/objects", b"objects") + b"\r\n",
    "a space before the method": b" " + GET + b"\r\n",
    "a slash in the method": GET.replace(b"GET", b"GET/X") + b"\r\n",
    "tabs in the request line": GET.replace(b" ", b"\t") + b"\r\n",
}
# One is refused or read, and then as this body.
READ = {
    "a length and chunks": (PUT + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
    "chunks and a length": (PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n", b""),
    "the same length twice": (PUT + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    "a length with zeros": (PUT + b"Content-Length: 0003\r\n\r\nabc", b"abc"),
    "a coding in capitals": (PUT + b"Transfer-Encoding: ChUnKeD" + CHUNKS, b"abc"),
    "a coding behind a tab": (PUT + b"Transfer-Encoding: \tchunked" + CHUNKS, b"abc"),
    "lines that end in LF": (PUT.replace(b"\r", b"") + b"Content-Length: 3\n\nabc", b"abc"),
    "one line that ends in LF": (PUT + b"X: a\nContent-Length: 3\r\n\r\nabc", b"abc"),
    "a chunk's extension": (PUT + b'Transfer-Encoding: chunked\r\n\r\n3;a=b;c="d"\r\nabc\r\n0\r\n\r\n', b"abc"),
    "a space after a chunk's size": (PUT + b"Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", b"abc"),
    "chunks under HTTP/1.0": (PUT.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked" + CHUNKS, b"abc"),
    "a body after an upgrade": (PUT + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    "a length with an underscore in its name": (PUT + b"Content_Length: 3\r\n\r\n", b""),
    "an unknown expectation": (PUT + b"Expect: 200-maybe\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    "an expectation": (PUT + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
}
# Another coding inside of the chunks: its own answer, and what follows is served.
CODED = {
    "gzip in chunks": PUT + b"Transfer-Encoding: gzip, chunked" + CHUNKS,
    "chunks in chunks": PUT + b"Transfer-Encoding: chunked, chunked" + CHUNKS,
}
# One is answered with this, and does not change what follows.
ANSWERED = {
    "a target with a host": (GET.replace(b"/objects", b"http://evil.example/objects") + b"\r\n", 200),
    "a target with a host and dots": (
        GET.replace(b"/objects", b"http://evil.example/health/../objects") + b"\r\n",
        404,
    ),
    "a star": (GET.replace(b"/objects/raw/marker", b"*") + b"\r\n", 404),
    "doubled slashes": (GET.replace(b"/objects", b"//objects") + b"\r\n", 404),
    "two hosts": (GET + b"Host: y\r\n\r\n", 400),
    "two tokens": (GET + b"Authorization: Bearer y\r\n\r\n", 400),
    "a body of a GET": (GET + b"Content-Length: 3\r\n\r\nabc", 200),
    "chunks of a GET": (GET + b"Transfer-Encoding: chunked" + CHUNKS, 200),
    "empty lines in front": (b"\r\n\r\n" + GET + b"\r\n", 200),
    "fields that some frameworks obey": (
        GET + b"X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /health\r\n\r\n",
        200,
    ),
}


@pytest.fixture(scope="module")
def marked(server: Server) -> Server:
    assert server.ask("PUT", "/objects/raw/marker", MARKER).status == 200
    return server


def with_token(server: Server, request: bytes) -> bytes:
    """The request with a token where its fields begin."""
    line = re.search(rb"HTT.*\r?\n", request)
    assert line is not None
    return request[: line.end()] + b"Authorization: Bearer " + server.token.encode() + b"\r\n" + request[line.end() :]


def following(server: Server) -> bytes:
    return with_token(server, GET) + b"Connection: close\r\n\r\n"


def talk(server: Server, *sent: bytes, hangs_up: bool = False) -> bytes:
    """All that is answered until the server closes the connection; who hangs up has said so after the last byte."""
    pieces = []
    with server.connect() as connection:
        try:
            for one in sent:
                connection.sendall(one)
            if hangs_up:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # what was answered before it was closed is still there
        try:
            while piece := connection.recv(65536):
                pieces.append(piece)
        except ConnectionResetError:
            pass
    return b"".join(pieces)


def statuses(answers: bytes) -> list[int]:
    return [int(one) for one in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers) if one != b"100"]


def stored(server: Server) -> Iterator[bytes]:
    """What there is under the key of all these, which is gone afterwards."""
    found = server.ask("GET", "/objects/raw/smuggled")
    assert found.status in {200, 404}
    if found.status == 200:
        assert found.headers.get("X-Object-Meta-A") is None
        yield found.body
        server.ask("DELETE", "/objects/raw/smuggled")


@pytest.mark.parametrize("shape", REFUSED)
def test_what_is_no_request_is_refused_with_all_that_follows(marked: Server, shape: str) -> None:
    answers = talk(marked, with_token(marked, REFUSED[shape]) + following(marked))
    assert statuses(answers) == [400]
    assert MARKER not in answers
    assert not list(stored(marked))


@pytest.mark.parametrize("shape", READ)
def test_what_two_might_read_differently_is_read_as_the_standard_says(marked: Server, shape: str) -> None:
    request, body = READ[shape]
    answers = talk(marked, with_token(marked, request) + following(marked))
    first, *others = statuses(answers)
    assert first in {200, 400}
    assert list(stored(marked)) == ([body] if first == 200 else [])
    assert others in ([], [200])
    assert answers.count(MARKER) == len(others)


@pytest.mark.parametrize("shape", CODED)
def test_a_body_in_another_coding_is_not_stored_as_if_it_had_none(marked: Server, shape: str) -> None:
    answers = talk(marked, with_token(marked, CODED[shape]) + following(marked))
    first, *others = statuses(answers)
    assert first in {400, 501}
    assert not list(stored(marked))
    assert answers.count(MARKER) == len(others) <= 1


@pytest.mark.parametrize("shape", ANSWERED)
def test_an_odd_request_is_answered_by_itself(marked: Server, shape: str) -> None:
    request, status = ANSWERED[shape]
    answers = talk(marked, with_token(marked, request) + following(marked))
    assert statuses(answers) == [status, 200]
    assert answers.count(MARKER) == 1 + (status == 200)


@pytest.mark.parametrize("method", [b"PUT", b"POST", b"GET", b"DELETE", b"HEAD"])
def test_the_body_of_a_refused_request_is_not_the_next_request(marked: Server, method: bytes) -> None:
    hidden = following(marked)
    path = b"/links" if method == b"POST" else b"/objects/raw/none"
    request = b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (method, path, len(hidden))
    answers = talk(marked, request + hidden + following(marked))
    assert statuses(answers) in ([401, 200], [401])
    assert answers.count(MARKER) == len(statuses(answers)) - 1


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"something"])
def test_another_protocol_is_not_spoken(marked: Server, protocol: bytes) -> None:
    fields = b"Upgrade: " + protocol + b"\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    fields += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    answers = talk(marked, with_token(marked, GET + fields) + following(marked))
    first, *others = statuses(answers)
    assert first == (403 if protocol == b"websocket" else 200)
    assert others in ([], [200])


@pytest.mark.parametrize("target", [b"evil.example:80", b"/objects/raw/marker"])
def test_the_server_connects_to_nobody(marked: Server, target: bytes) -> None:
    answers = talk(
        marked, with_token(marked, b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n") + following(marked)
    )
    assert statuses(answers)[0] in {400, 404, 405}
    assert statuses(answers)[1:] in ([], [200])


def test_a_request_without_version_gets_no_object(marked: Server) -> None:
    assert MARKER not in talk(marked, b"GET /objects/raw/marker\r\n", hangs_up=True)


def test_an_old_version_is_answered_and_the_connection_closed(marked: Server) -> None:
    answers = talk(marked, with_token(marked, GET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n"))
    assert statuses(answers) == [200]
    assert answers.endswith(MARKER)


def test_what_is_wrong_with_a_request_is_not_the_answer_to_the_one_before(marked: Server) -> None:
    good = with_token(marked, PUT) + b"Content-Length: 3\r\n\r\nabc"
    for bad in (b"\0\r\n\r\n", GET + b"X-A: a\r\n" * 200 + b"\r\n"):
        answers = talk(marked, good + bad + following(marked))
        assert statuses(answers)[0] == 200
        assert MARKER not in answers
        assert list(stored(marked)) == [b"abc"]


def test_trailers_are_no_header_fields(marked: Server) -> None:
    body = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Object-Meta-A: b\r\nIf-Match: *\r\n\r\n"
    answers = talk(marked, with_token(marked, PUT) + body + following(marked))
    assert statuses(answers) == [200, 200]
    assert list(stored(marked)) == [b"abc"]


def test_the_folder_of_a_body_that_breaks_off_is_clean(marked: Server) -> None:
    for rest in (
        b"Content-Length: 200000\r\n\r\n" + b"a" * 70000,
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZ\r\n",
    ):
        talk(marked, with_token(marked, PUT) + rest, hangs_up=True)
        assert not list(stored(marked))
    assert not [
        path for path in Path(marked.folder, "data", "staging").rglob("*") if path.is_file() and path.stat().st_size
    ]
