"""Spans, seen by the SDK of OpenTelemetry itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from objectstore.client.site import parse_site
from objectstore.errors import ConfigurationError
from objectstore.server.observation import tracing as module
from objectstore.wire.requests import head_object
from peer import Server, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What ends meanwhile in a program that has set OpenTelemetry up."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The spans of a server that was told by variables alone to print them."""
    folder: Path = tmp_path_factory.mktemp(f"traces-{request.param}")
    settings = {"OTEL_TRACES_EXPORTER": "console", "OTEL_SERVICE_NAME": "lab"}
    with running(folder, request.param, environment=settings) as server:
        ask_for_everything(server)
    return list(printed((folder / "server.log").read_text()))


def ask_for_everything(server: Server) -> None:
    server.ask("PUT", "/objects/a%20b", b"x" * 100, TRACEPARENT | {"X-Request-Id": "put-1"})
    server.ask("GET", "/objects/none", headers={"X-Request-Id": "get-1"})
    server.ask("GET", "/uploads/none", headers={"X-Request-Id": "upload-1"})
    server.ask("GET", f"/objects/{server.token}?link=v1.x.y", headers={"X-Request-Id": "secret-1"}, token=None)


def printed(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    at = text.find("{\n")
    while at >= 0:
        span, end = decoder.raw_decode(text, at)
        yield span
        at = text.find("{\n", end)


def one(spans: list[dict[str, Any]], request_id: str) -> dict[str, Any]:
    (found,) = (span for span in spans if span["attributes"].get("objectstore.request_id") == request_id)
    return found


def below(spans: list[dict[str, Any]], parent: dict[str, Any]) -> list[dict[str, Any]]:
    return [span for span in spans if span["parent_id"] == parent["context"]["span_id"]]


def test_a_request_is_a_span_of_the_trace_that_it_names(traced: list[dict[str, Any]]) -> None:
    span = one(traced, "put-1")
    assert (span["name"], span["kind"]) == ("PUT /objects/{key}", "SpanKind.SERVER")
    assert (span["context"]["trace_id"], span["parent_id"]) == (f"0x{TRACE}", f"0x{PARENT}")
    attributes = span["attributes"]
    assert attributes["http.request.method"] == "PUT"
    assert attributes["http.route"] == "/objects/{key}"
    assert attributes["http.response.status_code"] == 200
    assert attributes["url.path"] == "/objects/a%20b"
    assert attributes["http.request.body.size"] == 100
    assert attributes["enduser.id"] == "all"
    assert span["resource"]["attributes"]["service.name"] == "lab"


def test_what_the_store_does_for_it_is_a_span_below(traced: list[dict[str, Any]]) -> None:
    (call,) = below(traced, one(traced, "put-1"))
    assert call["name"] == "store.put"
    assert call["attributes"]["objectstore.backend"] == "EngineStore"
    assert call["attributes"]["objectstore.key"] == "a b"
    assert call["attributes"]["objectstore.size"] == 100


def test_an_error_of_the_client_is_named_and_none_of_the_server(traced: list[dict[str, Any]]) -> None:
    span = one(traced, "get-1")
    assert (span["status"]["status_code"], span["attributes"]["error.type"]) == ("UNSET", "not_found")
    (call,) = below(traced, span)
    assert (call["status"]["status_code"], call["attributes"]["error.type"]) == ("UNSET", "not_found")


def test_what_the_framework_serves_is_traced_too(traced: list[dict[str, Any]]) -> None:
    span = one(traced, "upload-1")
    assert (span["name"], span["attributes"]["http.response.status_code"]) == ("GET /uploads/{upload_id}", 404)


def test_no_span_has_a_secret(traced: list[dict[str, Any]]) -> None:
    span = one(traced, "secret-1")
    assert span["attributes"]["url.path"] == "/objects/os_…"
    assert "v1.x.y" not in json.dumps(traced)


def test_the_clients_hand_their_trace_on(spans: InMemorySpanExporter) -> None:
    def sent() -> bytes | None:
        return dict(parse_site("http://localhost", None).fields(head_object("k"))).get(b"traceparent")

    assert sent() is None
    with trace.get_tracer("test").start_as_current_span("caller") as caller:
        context = caller.get_span_context()
        assert sent() == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}".encode()
    assert sent() is None
    assert [span.name for span in spans.get_finished_spans()] == ["caller"]


def test_tracing_is_found_when_the_program_set_it_up(spans: InMemorySpanExporter) -> None:
    assert module.tracing() is not None
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
    ],
)
def test_the_variables_of_opentelemetry_decide(settings: dict[str, str], found: bool) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from objectstore.server.observation.tracing import tracing; print(bool(tracing()))"],
        env=settings,
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split()[0] == str(found)


def test_an_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    with pytest.raises(ConfigurationError, match="opentelemetry-exporter-otlp"):
        module.tracing()
