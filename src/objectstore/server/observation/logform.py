"""The form of a log record: structlog makes a line of it, without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from objectstore.server.observation.logs import Form, colored
from objectstore.server.observation.observer import CURRENT
from objectstore.server.observation.secrecy import without_secrets
from objectstore.server.observation.tracing import add_trace

_FIRST: Final = ("time", "level", "logger", "event", "request_id", "token")
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_OURS: Final = "objectstore"


def formatter(form: Form) -> logging.Formatter:
    """Makes lines of that form."""
    last: Sequence[Processor]
    if form == "json":
        last = (structlog.processors.format_exc_info, _ordered, structlog.processors.JSONRenderer())
    else:
        colors = colored(sys.stderr)
        # The usual traceback here would show the values of variables, tokens among them.
        plain = structlog.dev.plain_traceback
        last = (_named, structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", exception_formatter=plain))
    return _Formatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _of_request,
            add_trace,
            _on_one_line,
        ],
    )


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """The last look at whatever is logged: by whom and for what reason ever, no secret gets through."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def _of_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    exchange = CURRENT.get()
    if exchange is not None:
        event["request_id"] = exchange.request_id.decode()
        if exchange.credential is not None:
            event["token"] = exchange.credential.name
    return event


def _on_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # Uvicorn says its messages twice, the second time with colours.
    event.pop("color_message", None)
    if event["logger"].startswith(_OURS):
        event["event"] = str(event["event"]).translate(_CONTROLS)
    return event


def _ordered(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {name: event.pop(name) for name in _FIRST if name in event} | dict(event)


def _named(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # People know whose server it is.
    event.pop("logger")
    return event
