"""Links, tokens, traces and settings."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from opentelemetry import propagate, trace

from fuzz.checks import attempt, holds, text_of
from objectstore.auth.document import format_document, parse_document
from objectstore.auth.links import Link, mark_in, mark_of, redacted, sign, value_in, verify
from objectstore.config import schema
from objectstore.config.document import plain, read_document
from objectstore.core.rates import format_rate, parse_rate
from objectstore.errors import ConfigurationError, InvalidLink, InvalidParameter
from objectstore.wire.links import attachment, check_filename

_KEY = b"k" * 32
_MARK = mark_of(b"d" * 32)
_SIGNED = sign(Link(key="runs/a", method="PUT", expires=2_000_000_000, max_bytes=5), _MARK, _KEY)


def links(data: bytes) -> None:
    value = attempt(lambda: value_in(data), InvalidLink)
    if value is not None:
        attempt(lambda: mark_in(value), InvalidLink)
        link = attempt(lambda: verify(value, "runs/a", _KEY), InvalidLink)
        holds(link is None or value == _SIGNED, value)
        if " " not in value:
            holds("link=…" in redacted("/objects/runs/a?link=" + value))


def filenames(data: bytes) -> None:
    name = attempt(lambda: check_filename(text_of(data)), InvalidParameter)
    if name is None:
        return
    told = attachment(name).decode("ascii")
    holds(told.startswith('attachment; filename="'), told)
    holds(told.isprintable(), told)
    quoted = told.removeprefix('attachment; filename="').partition('"')[0]
    holds(not set(quoted) & set('"\\\r\n/'), told)
    signed = sign(Link(key="k", method="GET", expires=1, filename=name), _MARK, _KEY)
    holds(verify(signed, "k", _KEY).filename == name, name)
    attempt(lambda: verify(signed, "l", _KEY), InvalidLink)


def token_files(data: bytes) -> None:
    document = attempt(lambda: parse_document(data), ConfigurationError)
    if document is not None:
        written = format_document(document)
        holds(format_document(parse_document(written)) == written, document)


def rates(data: bytes) -> None:
    rate = attempt(lambda: parse_rate(text_of(data)), ValueError)
    if rate is not None:
        holds(parse_rate(format_rate(rate)) == rate, rate)


@cache
def _file() -> Path:
    return Path(tempfile.mkdtemp(), "storage.yaml")


def storage_files(data: bytes) -> None:
    _file().write_bytes(data)
    root = attempt(lambda: read_document(_file()), ConfigurationError)
    if root is not None and len(data) < 1000:  # written out, aliases of aliases are larger than any memory
        attempt(lambda: schema.parse(root, {"NAME": "value"}), ConfigurationError)
        if b"*" not in data:
            plain(root)


def traces(data: bytes) -> None:
    """The traceparent and tracestate of a request, as the SDK reads them for us."""
    parent, _, state = data.decode("latin-1").partition("\n")
    context = propagate.extract({"traceparent": parent, "tracestate": state})
    trace.get_current_span(context).get_span_context()
