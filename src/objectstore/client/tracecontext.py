"""The trace that a caller is in, handed on to the server (W3C Trace Context), when OpenTelemetry is in use."""

from __future__ import annotations

import sys

from objectstore.wire.headers import FieldList


def trace_fields() -> FieldList:
    """`traceparent` and what belongs to it; nothing, at the cost of a look, for a program without OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return []
    from opentelemetry import propagate, trace

    if not trace.get_current_span().get_span_context().is_valid:
        return []
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in carrier.items()]
