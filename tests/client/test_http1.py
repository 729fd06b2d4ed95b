"""Answers out of bytes, however these are cut; and heads of requests that cannot be broken into."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from objectstore.client.transport.http1 import MAX_HEAD, Answer, Malformed, announced, format_head

SIZED = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag:  "e" \r\n\r\nhello'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0003;note=1\r\nllo\r\n0\r\nx-trailer: 1\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + SIZED
WHOLE = {"sized": SIZED, "chunked": CHUNKED, "continued": CONTINUED}


def fed(pieces: Iterable[bytes], method: str = "GET") -> tuple[Answer, bytes]:
    answer = Answer(method)
    return answer, b"".join([answer.feed(piece) for piece in pieces])


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([one]) for one in data]


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("cut", [lambda data: [data], bytewise], ids=["at once", "byte by byte"])
def test_an_answer_is_read_however_it_is_cut(data: bytes, cut: object) -> None:
    answer, body = fed(cut(data))  # type: ignore[operator]
    assert (answer.status, body, answer.done, answer.reusable) == (200, b"hello", True, True)


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_no_answer_is_done_before_its_last_byte(data: bytes) -> None:
    for end in range(len(data)):
        answer, _ = fed([data[:end]])
        assert not answer.done
        with pytest.raises(Malformed):
            answer.end()


@pytest.mark.parametrize("data", [SIZED, CHUNKED], ids=["sized", "chunked"])
def test_a_connection_on_which_more_came_is_not_used_again(data: bytes) -> None:
    answer, body = fed([data + b"HTTP/1.1 200 OK\r\n"])
    assert body == b"hello"
    assert answer.done
    assert not answer.reusable


def test_fields_are_named_in_lower_case_and_stripped() -> None:
    answer, _ = fed([SIZED])
    assert answer.fields == {b"content-length": b"5", b"etag": b'"e"'}


def test_lines_of_one_name_are_one_field() -> None:
    answer, _ = fed([b"HTTP/1.1 204 No Content\r\nVia: a\r\nX: 1\r\nvia: b\r\n\r\n"])
    assert answer.fields[b"via"] == b"a, b"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_answers_have_no_body_whatever_their_length(method: str, status: int) -> None:
    answer, body = fed([b"HTTP/1.1 %d X\r\ncontent-length: 5\r\n\r\n" % status], method)
    assert (body, answer.done, answer.reusable) == (b"", True, True)


def test_a_body_without_length_ends_with_the_connection() -> None:
    answer, body = fed([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"])
    before = answer.done
    answer.end()
    assert (body, before, answer.done, answer.reusable) == (b"hello", False, True, False)


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close", False),
        (b"HTTP/1.1 200 OK\r\nconnection: x, close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", False),  # and a length
    ],
)
def test_a_connection_lives_as_long_as_the_server_says(head: bytes, reusable: bool) -> None:
    answer, _ = fed([head + b"\r\ncontent-length: 0\r\n\r\n0\r\n\r\n"[: None if b"chunked" in head else -5]])
    assert answer.done
    assert answer.reusable is reusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\x15\x03\x01",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * (MAX_HEAD + 1),
        b"HTTP/1.1 200 OK\r\na: " + b"b" * MAX_HEAD,
    ],
)
def test_what_is_no_answer_is_told_from_one(data: bytes) -> None:
    with pytest.raises(Malformed):
        fed([data])


def test_the_same_length_twice_is_one() -> None:
    answer, body = fed([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok"])
    assert (body, answer.done) == (b"ok", True)


def test_a_head_is_what_was_asked_for() -> None:
    head = format_head("GET", "/a?b", "host:1", [(b"x", b"1"), (b"content-length", b"12")])
    assert head == b"GET /a?b HTTP/1.1\r\nhost: host:1\r\nx: 1\r\ncontent-length: 12\r\n\r\n"
    assert announced([(b"x", b"1"), (b"content-length", b"12")]) == 12
    assert announced([(b"transfer-encoding", b"chunked")]) is None


@pytest.mark.parametrize("rubbish", [b"1\r\nevil: 1", b"1\nevil: 1", b"1\revil: 1"])
def test_no_field_goes_over_its_line(rubbish: bytes) -> None:
    with pytest.raises(ValueError, match="end of a line"):
        format_head("GET", "/", "host", [(b"x", rubbish)])
    with pytest.raises(ValueError, match="end of a line"):
        format_head("GET", rubbish.decode(), "host", [])
