"""Every log record of the process in one form: lines for people on a terminal, a JSON object a line elsewhere.

Our own records, those of the server software and warnings of libraries all come as records of `logging`; structlog
gives them their form. A record that is made while a request is answered has its id and the name of its token.
"""

from __future__ import annotations

import logging
import logging.config
import os
import sys
from typing import Any, Final, Literal, TextIO, TypeAlias

from objectstore.config.settings import Settings

Form: TypeAlias = Literal["human", "json"]

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
        "formatters": {"line": {"()": f"{__name__}.Formatter", "form": form}},
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


def prepare() -> None:
    """Have what records take for their form, before one tells that no more files can be opened."""
    import objectstore.server.observation.logform  # noqa: F401  importing it is the point


class Formatter(logging.Formatter):
    """Makes lines of that form. What that takes is imported for the first record: a start may do without it."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        self._formatter: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._formatter is None:
            from objectstore.server.observation.logform import formatter

            self._formatter = formatter(self._form)
        return self._formatter.format(record)
