"""Every log record of the process in one form: lines for people on a terminal, a JSON object a line elsewhere.

Our own records, those of the server software and warnings of libraries all come as records of `logging`; structlog
gives them their form. A record that is made while a request is answered has its id and the name of its token.
"""

from __future__ import annotations

import logging
import logging.config
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from objectstore.config.settings import Settings
from objectstore.server.observation.observer import CURRENT
from objectstore.server.observation.secrecy import without_secrets
from objectstore.server.observation.tracing import add_trace

Form: TypeAlias = Literal["human", "json"]

_FIRST: Final = ("time", "level", "logger", "event", "request_id", "token")
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_OURS: Final = "objectstore"
_SERVERS: Final = ("uvicorn", "_granian")


def form_of(choice: Literal["auto", "human", "json"], stream: TextIO) -> Form:
    """The form that a setting means for what is written to `stream`."""
    if choice != "auto":
        return choice
    return "human" if stream.isatty() else "json"


def colored(stream: TextIO) -> bool:
    """Whether colours are wanted there (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def logging_config(level: str, form: Form, *, of_servers: bool = True) -> dict[str, Any]:
    """A `logging.config` dictionary: everything to stderr in this form, from `level` on.

    With `of_servers`, that of the server software too; otherwise its level stays what it was started with. Its own
    log of requests is silent: ours takes the place, and knows what must not be in it.
    """
    own = {"handlers": ["stderr"], "level": level.upper(), "propagate": False}
    servers = own if of_servers else {"handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"{__name__}.formatter", "form": form}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            _OURS: dict(own),
            **{name: dict(servers) for name in _SERVERS},
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
    }


def configure(settings: Settings) -> None:
    """Give the records of this process their form."""
    logging.config.dictConfig(
        logging_config(settings.log_level, form_of(settings.log_format, sys.stderr), of_servers=False)
    )
    logging.captureWarnings(capture=True)


def formatter(form: Form) -> logging.Formatter:
    """What the dictionary of `logging_config` makes."""
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
