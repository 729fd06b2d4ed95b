"""The head of a request by HTTP/2 is bounded as well: a block of it may go on in any number of frames."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

from cli.served import Served, serving
from peer import Server

MIB = 1024 * 1024
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, CONTINUATION = 4, 1, 9
ACK, END_STREAM, END_HEADERS = 1, 1, 4
# GET / http, by numbers of the static table (RFC 7541, appendix A).
GET = b"\x82\x84\x86"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: bytes, value: bytes) -> bytes:
    """A literal that is not put into the dynamic table (RFC 7541 §6.2.2)."""
    assert len(name) < 127
    assert 127 <= len(value) < 127 + 2**14
    rest = len(value) - 127
    length = bytes([127, rest % 128 | 128, rest // 128])
    return b"\x00" + bytes([len(name)]) + name + length + value


def peak_memory(served: Served) -> int:
    return Server(0, "", served.process, Path()).peak_memory()  # type: ignore[arg-type]  # of text, which does not matter


def test_a_head_by_http2_takes_no_memory(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path / "data"), "--server", "granian", cwd=tmp_path) as served:
        place = urlsplit(served.url)
        before = peak_memory(served)
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as connection:
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
            block = field(b"x-flood", b"a" * 16_000)
            answered = b""
            try:
                for stream in range(1, 60, 2):
                    # A piece below what one request may have is not refused by its count of frames.
                    connection.sendall(frame(HEADERS, END_STREAM, stream, GET))
                    for _ in range(60):
                        connection.sendall(frame(CONTINUATION, 0, stream, block))
                    connection.sendall(frame(CONTINUATION, END_HEADERS, stream, block))
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    answered += piece
            except OSError:
                pass  # it has hung up
        assert peak_memory(served) - before < 10 * MIB
        assert served.command("ls").returncode == 0
