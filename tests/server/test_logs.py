"""What the server logs, and what it never does."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from objectstore.auth.scopes import SCOPES, Credential
from objectstore.server.exchange import Exchange, Message
from objectstore.server.observation.accesslog import AccessLog
from objectstore.server.observation.logform import formatter
from objectstore.server.observation.logs import form_of
from objectstore.server.observation.observer import CURRENT
from peer import Server, running
from server.logged import logged

TOKEN = "os_" + "a1B2-" * 8 + "xyz"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def nothing() -> Message:
    raise AssertionError


async def nowhere(_: Message) -> None:
    raise AssertionError


def exchange(path: bytes = b"/objects/a", status: int = 200, **known: Any) -> Exchange:
    scope = {"type": "http", "method": "GET", "headers": [], "client": ("192.0.2.7", 1), "query_string": b"a=1"}
    found = Exchange(scope, nothing, nowhere, path)
    found.request_id = b"id-1"
    found.status = status
    found.credential = Credential(name='the "lab"', scopes=frozenset(SCOPES))
    for name, value in known.items():
        setattr(found, name, value)
    return found


def written(form: str = "json", level: str = "info", *exchanges: Exchange) -> list[str]:
    async def note() -> None:
        for one in exchanges:
            log.note(one, 0.0123456)
        log.flush()

    stream = io.StringIO()
    log = AccessLog(stream, "json" if form == "json" else "human", level)

    asyncio.run(note())
    return stream.getvalue().splitlines()


def record(message: str, *arguments: object, name: str = "objectstore.x", **more: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, "x.py", 1, message, arguments, more.pop("exc_info", None))
    made.__dict__.update(more)
    return made


def test_a_request_is_a_line_of_json() -> None:
    (line,) = written("json", "info", exchange(route="/objects/{key}", received=3, sent=1024))
    told = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", told.pop("time"))
    assert told == {
        "level": "info",
        "logger": "objectstore.access",
        "event": "request",
        "request_id": "id-1",
        "token": 'the "lab"',
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/objects/a",
        "route": "/objects/{key}",
        "status": 200,
        "error": None,
        "received": 3,
        "sent": 1024,
        "duration": 0.012346,
    }


def test_a_client_that_went_away_and_one_that_is_nobody_are_told() -> None:
    (line,) = written("json", "info", exchange(status=0, credential=None))
    told = json.loads(line)
    assert (told["status"], told["token"]) == (499, None)


@pytest.mark.parametrize("form", ["json", "human"])
def test_a_path_cannot_forge_a_line_nor_drive_a_terminal(form: str) -> None:
    (line,) = written(form, "info", exchange(b'/objects/a\n{"level":"error"}\x1b[2J\x9b"'))
    assert line.isascii()
    assert line.isprintable()


def test_a_token_in_a_path_is_made_unusable() -> None:
    (line,) = written("json", "info", exchange(f"/objects/{TOKEN}".encode()))
    assert json.loads(line)["path"] == "/objects/os_…"


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("debug", [200, 200, 404, 503, 500]),
        ("info", [200, 404, 503, 500]),
        ("warning", [503, 500]),
        ("error", [503, 500]),
    ],
)
def test_the_level_decides_which_requests_are_logged(level: str, logged: list[int]) -> None:
    lines = written(
        "json",
        level,
        exchange(b"/health", route="/health"),
        exchange(),
        exchange(status=404, error="not_found"),
        exchange(b"/health/ready", 503, route="/health/ready"),
        exchange(status=500, error="internal_error"),
    )
    assert [json.loads(line)["status"] for line in lines] == logged
    assert json.loads(lines[-1])["level"] == "error"


def test_people_read_a_request_at_a_glance() -> None:
    (line,) = written("human", "info", exchange(status=404, error="not_found"))
    assert line.partition(" ")[2] == (
        '[info     ] GET /objects/a 404 not_found received=0 sent=0 12.3 ms token="the \\"lab\\"" '
        "client=192.0.2.7 request_id=id-1"
    )


def test_a_status_has_a_colour_on_a_terminal_that_wants_some(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        async def note() -> None:
            log.note(exchange(status=404), 0.1)
            log.flush()

        stream = Terminal()
        log = AccessLog(stream, "human", "info")
        asyncio.run(note())
        return stream.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert " \x1b[33m404\x1b[0m " in shown()
    monkeypatch.setenv("NO_COLOR", "1")
    assert " 404 " in shown()


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    async def note() -> None:
        log.note(exchange(), 0.1)
        log.flush()

    stream = io.StringIO()
    log = AccessLog(stream, "json", "info")
    stream.close()

    asyncio.run(note())


@pytest.mark.parametrize(
    ("choice", "stream", "form"),
    [("auto", Terminal(), "human"), ("auto", io.StringIO(), "json"), ("json", Terminal(), "json")],
)
def test_auto_is_for_people_on_a_terminal(choice: Any, stream: io.StringIO, form: str) -> None:
    assert form_of(choice, stream) == form


def test_a_record_tells_of_its_request_and_its_own_fields() -> None:
    CURRENT.set(exchange())
    try:
        told = json.loads(formatter("json").format(record("about %s", "this", store="main")))
    finally:
        CURRENT.set(None)
    assert list(told)[:6] == ["time", "level", "logger", "event", "request_id", "token"]
    assert told | {"time": ""} == {
        "time": "",
        "level": "warning",
        "logger": "objectstore.x",
        "event": "about this",
        "request_id": "id-1",
        "token": 'the "lab"',
        "store": "main",
    }


def test_a_record_apart_from_requests_tells_of_none() -> None:
    assert "request_id" not in json.loads(formatter("json").format(record("about %s", "this")))


@pytest.mark.parametrize("form", ["json", "human"])
def test_a_message_of_ours_is_one_line(form: Any) -> None:
    text = formatter(form).format(record("the key 'a\nforged\x1b[2J'"))
    assert "\n" not in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize("form", ["json", "human"])
def test_no_record_has_a_token_or_a_link_even_in_a_traceback(form: Any) -> None:
    def fail(held: str) -> None:
        raise RuntimeError(f"{held} in /objects/a?link=v1.{'A' * 20}.{'b' * 43}")

    try:
        fail(TOKEN)
    except RuntimeError:
        text = formatter(form).format(record("failed with %s", TOKEN, exc_info=sys.exc_info()))
    assert "Traceback" in text
    assert TOKEN not in text
    assert "b" * 43 not in text
    assert "os_…" in text


STORE = """
class Broken:
    def get(self, key):
        raise ValueError("a defect " + key)
    def put(self, key, data): pass
    def exists(self, key): return True
    def delete(self, key): pass
    def keys(self): return iter(())
"""


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose store has a defect, with everything logged."""
    folder = tmp_path_factory.mktemp(f"logs-{request.param}")
    (folder / "brokenstore.py").write_text(STORE)
    (folder / "storage.yaml").write_text("stores: {s: {type: 'brokenstore:Broken'}}\nmain: s\n")
    settings = {"DATA_DIR": "", "STORAGE_CONFIG": str(folder / "storage.yaml"), "PYTHONPATH": str(folder)}
    with running(folder, request.param, environment=settings | {"LOG_LEVEL": "debug"}) as server:
        yield server


def test_a_defect_has_its_traceback_in_the_log_alone(broken: Server) -> None:
    answer = broken.ask("GET", "/objects/k", headers={"X-Request-Id": "defect"})
    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"Traceback" not in answer.body
    told = logged(broken.folder, "defect", "objectstore.server")
    assert told["level"] == "error"
    assert told["token"] == "all"
    assert "ValueError: a defect k" in told["exception"]
    access = logged(broken.folder, "defect", "objectstore.access")
    assert (access["status"], access["error"], access["level"]) == (500, "internal_error", "error")


def test_whatever_is_done_no_secret_is_logged_at_any_level(broken: Server) -> None:
    folder = broken.folder
    wrong = "no-token-at-all"
    for token in (broken.token, TOKEN):
        broken.ask("GET", "/objects/k", token=token)
        broken.ask("PUT", f"/objects/{token}", b"x")
        broken.ask("GET", f"/uploads/{token}", token=token)
        broken.ask("GET", f"/nowhere?token={token}", headers={"Cookie": token, "X-Request-Id": token})
    broken.ask("GET", f"/objects?prefix={wrong}", token=wrong)
    broken.ask("GET", "/uploads/x", headers={"Authorization": f"Basic {wrong}"}, token=None)
    signed = broken.json("POST", "/links", {"key": "k", "expires_in": 60}).json
    for path in (signed["path"], signed["path"] + "x", "/docs?" + signed["path"].partition("?")[2]):
        broken.ask("GET", path, token=None)
    broken.ask("GET", "/health", headers={"X-Request-Id": "the-last"})
    logged(folder, "the-last", "objectstore.access")
    log = (folder / "server.log").read_text()
    for secret in (broken.token, TOKEN, wrong, signed["path"].rpartition(".")[2]):
        assert secret not in log
