"""Traces by OpenTelemetry, when its SDK is set up; nothing of it is imported otherwise, and nothing paid.

It is set up by the program that serves the application, by `opentelemetry-instrument`, or by the variables of
OpenTelemetry: OTEL_TRACES_EXPORTER, or an OTEL_EXPORTER_OTLP_ENDPOINT to send spans to.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from objectstore.backends.contract import Backend
from objectstore.errors import ConfigurationError, NotModified, ObjectStoreError
from objectstore.server.exchange import Exchange
from objectstore.server.observation.secrecy import without_tokens
from objectstore.values import Capabilities
from objectstore.wire.errors import rule_of
from objectstore.wrappers.logged import Call, Logged

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider
    from structlog.typing import EventDict, WrappedLogger

_log: Final = logging.getLogger("objectstore.server")
_NAME: Final = "objectstore"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PATIENCE: Final = 5000  # ms
_FAILED: Final = 500


class Tracing:
    """A span for each request, and one in it for each call of the store."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry import propagate, trace

        self._tracer = tracer
        self._extract = propagate.extract
        self._server, self._internal = trace.SpanKind.SERVER, trace.SpanKind.INTERNAL
        self._error = trace.Status(trace.StatusCode.ERROR)

    @contextmanager
    def request(self, exchange: Exchange) -> Iterator[None]:
        """The span of a request: part of the trace that its `traceparent` names, else of a new one."""
        scope = exchange.scope
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        known = {
            "http.request.method": exchange.method,
            "url.scheme": scope.get("scheme", "http"),
            # Without the query, which may have a signature in it.
            "url.path": without_tokens(exchange.raw_path.decode("latin-1")),
            "network.protocol.version": scope.get("http_version", "1.1"),
            "objectstore.request_id": exchange.request_id.decode(),
        }
        if exchange.peer is not None:
            known["client.address"] = exchange.peer
        if scope.get("server"):
            known["server.address"] = scope["server"][0]
        if "user-agent" in carrier:
            known["user_agent.original"] = carrier["user-agent"]
        context = self._extract(carrier)
        with self._tracer.start_as_current_span(
            exchange.method, context, self._server, known, record_exception=False
        ) as span:
            try:
                yield
            finally:
                if exchange.route:
                    span.update_name(f"{exchange.method} {exchange.route}")
                    span.set_attribute("http.route", exchange.route)
                span.set_attribute("objectstore.request_id", exchange.request_id.decode())
                if exchange.credential is not None:
                    span.set_attribute("enduser.id", exchange.credential.name)
                if exchange.status:
                    span.set_attribute("http.response.status_code", exchange.status)
                if exchange.error:
                    span.set_attribute("error.type", exchange.error)
                span.set_attribute("http.request.body.size", exchange.received)
                span.set_attribute("http.response.body.size", exchange.sent)
                if exchange.status >= _FAILED:
                    span.set_status(self._error)

    def flush(self) -> None:
        """Send what waits to be sent: servers may end the process without the usual farewell."""
        from opentelemetry import trace

        flush = getattr(trace.get_tracer_provider(), "force_flush", None)  # the SDK's has it, the API's does not
        if flush is not None:
            flush(_PATIENCE)

    @contextmanager
    def call(self, call: Call, backend: str) -> Iterator[None]:
        """The span of one call of the store."""
        known = {"objectstore.backend": backend, "objectstore.operation": call.operation}
        with self._tracer.start_as_current_span(
            f"store.{call.operation}",
            None,
            self._internal,
            known,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                if not call.left and not isinstance(error, NotModified):
                    rule = rule_of(error) if isinstance(error, ObjectStoreError) else None
                    span.set_attribute("error.type", type(error).__name__ if rule is None else rule.code)
                    if rule is None or rule.status >= _FAILED:
                        span.set_status(self._error)
                raise
            finally:
                for name, fact in call.facts.items():
                    if isinstance(fact, str | int):
                        span.set_attribute(f"objectstore.{name}", fact)


class Traced(Logged):
    """Has a span for each call of `inner`."""

    def __init__(self, inner: Backend, tracing: Tracing) -> None:
        super().__init__(inner)
        self._tracing = tracing

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @contextmanager
    def watched(self, operation: str, **facts: object) -> Iterator[Call]:
        call = Call(operation, **facts)
        with self._tracing.call(call, self.capabilities.name):
            yield call


def tracing() -> Tracing | None:
    """Tracing as it is set up; None when it is not.

    Raises:
        ConfigurationError: the variables ask for an exporter that is not installed.
    """
    wanted = _exporter_wanted()
    if (wanted is None and "opentelemetry.trace" not in sys.modules) or _disabled():
        return None
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        _log.warning("OTEL_… variables ask for traces, which need the extra otel: pip install 'objectstore[otel]'")
        return None
    provider = trace.get_tracer_provider()
    if type(provider).__module__.startswith("opentelemetry.trace"):
        # Nobody has set one: what the API brings along does nothing.
        if wanted is None:
            return None
        trace.set_tracer_provider(_provider(wanted))
    return Tracing(trace.get_tracer(_NAME))


def _disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def _exporter_wanted() -> str | None:
    """The name of the exporter that the variables ask for."""
    named = os.environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if named:
        return None if named == "none" else named
    return "otlp" if any(map(os.environ.get, _ENDPOINTS)) else None


def _provider(name: str) -> TracerProvider:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    names = {name, "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"} if name == "otlp" else {name}
    found = [entry for entry in entry_points(group="opentelemetry_traces_exporter") if entry.name in names]
    if not found:
        raise ConfigurationError(
            f"OTEL_TRACES_EXPORTER={name!r} is not installed: pip install opentelemetry-sdk, "
            "and for otlp also opentelemetry-exporter-otlp"
        )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # What the variables say of the resource goes before our name.
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": _NAME}))
    provider.add_span_processor(BatchSpanProcessor(found[0].load()()))
    return provider


def add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Name the trace that a log record belongs to: a processor of structlog."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event["trace_id"] = format(context.trace_id, "032x")
            event["span_id"] = format(context.span_id, "016x")
    return event
