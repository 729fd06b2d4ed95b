"""deploy/nginx.conf and deploy/Caddyfile: nothing that the server knows is lost on the way through them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Final
from urllib.parse import quote

import pytest

from deploy.composed import ROOT
from deploy.proxies import Proxy, proxy
from peer import Answer, Server, running

KEYS: Final = (
    "a/b",
    "a//b",
    "/leading",
    "trailing/",
    "a/../b",
    "..",
    "../x",
    "./y",
    "a/./b",
    "a?b=c&d",
    "a#b",
    "a b",
    "a+b",
    "ünï/☃/🗑",
    "%",
    "a%2Fb",
    "a%2fb",
    "%2E%2E",
    "a;b=c",
    "a\\b",
    "a\nb",
    "~:@!$'()*,=[]",
    "k" * 1024,
)
HOP: Final = {"date", "server", "connection", "keep-alive", "via", "alt-svc", "transfer-encoding"}
MIB: Final = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"TRUSTED_PROXIES": "127.0.0.1"}
    with running(tmp_path_factory.mktemp("behind"), "granian", environment=environment) as server:
        yield server


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(request: pytest.FixtureRequest, server: Server) -> Iterator[Proxy]:
    with proxy(request.param, server.port) as front:
        yield front


@dataclass(frozen=True)
class Visitor:
    """Asks the server through the proxy, with its token."""

    front: Proxy
    server: Server
    prefix: str

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.front.ask(method, path, body, {"Authorization": f"Bearer {self.server.token}", **fields})

    def keys(self) -> list[str]:
        """What is stored, asked without a proxy."""
        answer = self.server.ask("GET", f"/objects?limit=1000&prefix={quote(self.prefix, safe='')}")
        found: list[str] = answer.json["keys"]
        return [key.removeprefix(self.prefix) for key in found]


@pytest.fixture
def visitor(front: Proxy, server: Server, request: pytest.FixtureRequest) -> Visitor:
    return Visitor(front, server, f"{front.kind}-{request.node.originalname}:")


def encoded(key: str, how: str) -> str:
    """A key in a URL: `client` encodes what anybody might normalise, `all` every byte, `bare` as little as may be."""
    if how == "all":
        return "".join(f"%{byte:02X}" for byte in key.encode())
    text = quote(key, safe="/~:@!$'()*,=;+&" if how == "bare" else "/~")
    if how == "bare":
        return text
    return "/".join(part.replace(".", "%2E") if set(part) == {"."} else part for part in text.split("/"))


@pytest.mark.parametrize("how", ["client", "all", "bare"])
def test_every_key_arrives_as_it_was_sent(visitor: Visitor, how: str) -> None:
    prefix = f"{visitor.prefix}{how}/"
    wanted = []
    for key in KEYS:
        # Of ours, so that `..` at the beginning does not lead out of /objects/: that is the next test.
        full = (prefix + key)[:1024]
        path = f"/objects/{encoded(full, how)}"
        assert visitor.ask("PUT", path, key.encode()).status == 200, key
        assert visitor.ask("GET", path).body == key.encode(), key
        wanted.append(full.removeprefix(visitor.prefix))
    found = [key for key in visitor.keys() if key.startswith(how)]
    assert sorted(found) == sorted(wanted)


def test_keys_that_lead_upwards(visitor: Visitor) -> None:
    assert visitor.ask("PUT", "/objects/%2E%2E/upwards", b"x").status == 200
    assert visitor.server.ask("GET", "/objects/..%2Fupwards").body == b"x"
    # What docs/deployment.md warns of.
    further = visitor.ask("PUT", "/objects/%2E%2E/%2E%2E/upwards", b"x")
    assert further.status == (400 if visitor.front.kind == "nginx" else 200)


def test_metadata_of_any_name_arrives(visitor: Visitor) -> None:
    sent = {
        "X-Object-Meta-site_id": "7",
        "X-Object-Meta-a.b": "dot",
        "X-Object-Meta-plain": "grün".encode().decode("latin-1"),
    }
    answer = visitor.front.ask(
        "PUT", f"/objects/{visitor.prefix}m", b"x", {"Authorization": f"Bearer {visitor.server.token}", **sent}
    )
    assert answer.json["metadata"] == {"site_id": "7", "a.b": "dot", "plain": "grün"}
    headers = visitor.ask("HEAD", f"/objects/{visitor.prefix}m").headers
    assert {name: headers[name] for name in sent} == sent


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("HEAD", {}, 200),
        ("GET", {"Range": "bytes=2-5"}, 206),
        ("GET", {"Range": "bytes=-3"}, 206),
        ("GET", {"Range": "bytes=0-1,4-5"}, 206),
        ("GET", {"Range": "bytes=100-"}, 416),
        ("GET", {"If-None-Match": "ETAG"}, 304),
        ("HEAD", {"If-None-Match": "ETAG"}, 304),
        ("GET", {"If-Match": '"other"'}, 412),
        ("GET", {"If-Range": '"other"', "Range": "bytes=2-5"}, 200),
        ("PUT", {"If-None-Match": "*"}, 412),
        ("PUT", {"If-Match": '"other"'}, 412),
        ("DELETE", {"If-Match": '"other"'}, 412),
        ("GET", {"Accept-Encoding": "gzip, br"}, 200),
    ],
)
def test_an_answer_is_the_same_as_without_a_proxy(
    visitor: Visitor, method: str, headers: Mapping[str, str], status: int
) -> None:
    path = f"/objects/{visitor.prefix}x"
    etag = visitor.server.ask("PUT", path, b"0123456789", {"Content-Type": "text/plain"}).headers["ETag"]
    fields = {name: etag if value == "ETAG" else value for name, value in headers.items()}
    body = b"new" if method == "PUT" else None
    direct = visitor.server.ask(method, path, body, fields)
    through = visitor.front.ask(method, path, body, {"Authorization": f"Bearer {visitor.server.token}", **fields})
    assert direct.status == through.status == status
    assert unbound(direct.body) == unbound(through.body)
    assert plain(through) == plain(direct)


def plain(answer: Answer) -> dict[str, str]:
    return {
        name.lower(): unbound(value.encode()).decode()
        for name, value in answer.headers.items()
        if name.lower() not in HOP | {"x-request-id"}
    }


def unbound(text: bytes) -> bytes:
    """Without what is drawn by lot: the boundaries of several ranges, and names of requests."""
    boundary = re.search(rb"boundary=(\S+)|^\r?\n?--(\S+)", text)
    found = boundary and (boundary[1] or boundary[2])
    return text.replace(found, b"(boundary)") if found else text


def test_a_large_body_goes_through_both_ways(visitor: Visitor) -> None:
    blocks = [bytes([number]) * MIB for number in range(48)]
    path = f"/objects/{visitor.prefix}large"
    record = visitor.ask("PUT", path, iter(blocks), Content_Type="application/x-large").json  # chunked
    assert record["size"] == 48 * MIB
    answer = visitor.ask("GET", path)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(b"".join(blocks)).digest()
    assert answer.headers["Content-Length"] == str(48 * MIB)


def test_expecting_to_be_told_to_continue(visitor: Visitor) -> None:
    path = f"/objects/{visitor.prefix}continued"
    with visitor.front.connect() as connection:
        fields = f"Host: localhost\r\nAuthorization: Bearer {visitor.server.token}\r\nConnection: close\r\n"
        head = f"PUT {path} HTTP/1.1\r\n{fields}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        answers = connection.makefile("rb")
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        connection.sendall(b"body")
        # Caddy says it once more when the server does.
        statuses = re.findall(rb"^HTTP/1.1 (\d+) ", answers.read(), re.MULTILINE)
        assert statuses[-1] == b"200"
        assert set(statuses) <= {b"100", b"200"}
    assert visitor.server.ask("GET", path).body == b"body"


def test_an_upload_in_parts(visitor: Visitor) -> None:
    key = f"{visitor.prefix}parts//%2F"
    begun = visitor.ask("POST", "/uploads", f'{{"key": "{key}"}}'.encode(), Content_Type="application/json").json
    parts = [b"1" * begun["part_size"], b"2"]
    sent = [visitor.ask("PUT", f"/uploads/{begun['upload_id']}/parts/{n}", part) for n, part in enumerate(parts, 1)]
    listed = ", ".join(f'{{"n": {one.json["n"]}, "etag": "{one.json["etag"]}"}}' for one in sent)
    done = visitor.ask(
        "POST",
        f"/uploads/{begun['upload_id']}/complete",
        f'{{"parts": [{listed}]}}'.encode(),
        Content_Type="application/json",
    )
    assert done.json["key"] == key
    assert done.json["size"] == len(parts[0]) + 1


def test_a_signed_link_works_and_is_not_logged(visitor: Visitor) -> None:
    key = f"{visitor.prefix}a//b?c d"
    assert visitor.server.ask("PUT", f"/objects/{quote(key)}", b"linked").status == 200
    link = visitor.ask("POST", "/links", f'{{"key": "{key}"}}'.encode(), Content_Type="application/json").json["path"]
    assert visitor.front.ask("GET", link).body == b"linked"
    query = link.partition("?")[2]
    assert visitor.front.ask("GET", link.replace(query, query[:-1])).status == 401
    secret = max(re.split(r"[&=]", query), key=len)
    deadline = time.monotonic() + 60
    while "a//b" not in visitor.front.log and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "a//b" in visitor.front.log
    assert secret not in visitor.front.log
    assert visitor.server.token not in visitor.front.log


def test_the_command_line_works_through_it(visitor: Visitor, tmp_path: Path) -> None:
    environment = os.environ | {
        "OBJECTSTORE_URL": visitor.front.url,
        "OBJECTSTORE_TOKEN": visitor.server.token,
        "SSL_CERT_FILE": str(visitor.front.certificate),
    }
    (tmp_path / "file").write_bytes(os.urandom(3 * MIB))
    key = f"{visitor.prefix}../a//b %2F?"
    for command in (["put", "file", key], ["get", key, "back"]):
        line = [sys.executable, "-m", "objectstore", *command]
        subprocess.run(line, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_http_2(visitor: Visitor) -> None:
    if b"HTTP2" not in subprocess.run(["curl", "--version"], check=True, capture_output=True).stdout:
        pytest.skip("curl does not speak HTTP/2 here")
    path = f"/objects/{visitor.prefix}two//%2E%2E"
    curl = ["curl", "-sS", "--http2", "--cacert", str(visitor.front.certificate), "--path-as-is"]
    curl += ["-H", f"Authorization: Bearer {visitor.server.token}", "-w", "%{http_version}", "-o", "/dev/null"]
    done = subprocess.run([*curl, "-T", "-", visitor.front.url + path], input=b"2", check=True, capture_output=True)
    assert done.stdout == b"2"
    assert visitor.keys() == ["two//.."]


ARRIVED: Final[SimpleQueue[bytes]] = SimpleQueue()  # heads of requests at the server behind


class Echo(socketserver.StreamRequestHandler):
    """Answers with the request line and the headers as they came."""

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
            head += line
        ARRIVED.put(head)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(head), head))


@dataclass
class Heard:
    line: str
    fields: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def echoing(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as upstream:
        upstream.daemon_threads = True
        thread = threading.Thread(target=upstream.serve_forever, daemon=True)
        thread.start()
        with proxy(request.param, upstream.server_address[1]) as front:
            yield front
        upstream.shutdown()
        thread.join()


def heard(answer: Answer) -> Heard:
    line, *fields = answer.body.decode("latin-1").rstrip().split("\r\n")
    return Heard(line, {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)})


def test_the_server_is_told_who_asks_and_how(echoing: Proxy) -> None:
    fields = heard(echoing.ask("GET", "/objects/x")).fields
    assert fields["host"] == f"localhost:{echoing.port}"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-host"] == f"localhost:{echoing.port}"


def test_nobody_can_say_to_be_somebody_else(echoing: Proxy) -> None:
    fields = heard(echoing.ask("GET", "/objects/x", headers={"X-Forwarded-For": "203.0.113.9"})).fields
    assert fields["x-forwarded-for"].split(", ")[-1] == "127.0.0.1"


@pytest.mark.parametrize(
    "target",
    [
        "/objects//a///b/",
        "/objects/a/../b",
        "/objects/%2e%2E/%2F%2f%25/%41",
        "/objects/x?signature=a%2Fb%3D&expires=1&a=b=c&&flag&e=%C3%A9+%20",
        "/objects/x?",
    ],
)
def test_the_path_and_the_query_are_passed_on_byte_for_byte(echoing: Proxy, target: str) -> None:
    assert heard(echoing.ask("GET", target)).line == f"GET {target} HTTP/1.1"


def test_a_body_is_passed_on_while_it_comes(echoing: Proxy) -> None:
    with echoing.connect() as connection:
        head = "PUT /objects/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        connection.sendall(head.encode() + bytes(100_000))
        while not ARRIVED.get(timeout=20).startswith(b"PUT /objects/slow "):
            pass


def test_plain_http_is_no_way_to_send_a_token() -> None:
    with (
        proxy("nginx", 9) as front,
        socket.create_connection(("127.0.0.1", front.plain_port), timeout=20) as connection,
    ):
        connection.sendall(b"GET /objects/x HTTP/1.1\r\nHost: objects.example.org\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"Location" not in answer


def test_the_file_for_caddy_is_valid_as_it_is(tmp_path: Path) -> None:
    if shutil.which("caddy") is None:
        pytest.skip("caddy is not installed")
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(ROOT / "deploy" / "Caddyfile")]
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    done = subprocess.run(command, env=os.environ | homes, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr
