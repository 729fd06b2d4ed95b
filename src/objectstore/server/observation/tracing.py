"""Traces by OpenTelemetry, when its SDK is set up; nothing of it is imported otherwise."""

from __future__ import annotations

import sys

from structlog.typing import EventDict, WrappedLogger


def add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Name the trace that a log record belongs to: a processor of structlog."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event["trace_id"] = format(context.trace_id, "032x")
            event["span_id"] = format(context.span_id, "016x")
    return event
