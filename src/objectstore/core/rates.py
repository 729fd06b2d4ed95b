"""How many requests are allowed in which time, as settings and the token file say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

WANTED: Final = "such as 100/second, several separated by ; as in 100/second;5000/minute, or none"


@dataclass(frozen=True, slots=True)
class Window:
    """At most `quota` requests in `period` seconds."""

    quota: int
    period: int  # seconds

    def __str__(self) -> str:
        for unit, seconds in reversed(_UNITS.items()):
            if self.period % seconds == 0:
                times = self.period // seconds
                return f"{self.quota}/{unit}" if times == 1 else f"{self.quota}/{times} {unit}s"
        raise AssertionError(self.period)  # pragma: no cover  a second divides everything


Rate: TypeAlias = tuple[Window, ...]
"""Windows that all hold, the shortest first; none: no limit."""

UNLIMITED: Final[Rate] = ()

_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_NAMES: Final = {short: seconds for unit, seconds in _UNITS.items() for short in (unit, f"{unit}s", unit[0], unit[:3])}
_WINDOW: Final = re.compile(r"\s*([0-9]{1,9})\s*(?:/|\sper\s)\s*([0-9]{1,4})?\s*([a-z]+)\s*", re.IGNORECASE)
_LONGEST: Final = 366 * 86400  # seconds
_MOST: Final = 8  # windows; each is looked at with each request


def parse_rate(text: str) -> Rate:
    """The rate that a text such as `100/second;5000/minute` means; `none` is no limit.

    Raises:
        ValueError: it means none; the message says what it may be.
    """
    if text.strip().lower() == "none":
        return UNLIMITED
    windows = sorted(map(_window, text.split(";")), key=lambda window: window.period)
    if len(windows) > _MOST or len({window.period for window in windows}) < len(windows):
        raise ValueError(f"at most {_MOST} windows, each of another length")
    return tuple(windows)


def format_rate(rate: Rate) -> str:
    """`parse_rate` of it is the same rate."""
    return ";".join(map(str, rate)) or "none"


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    seconds = _NAMES.get(found[3].lower()) if found else None
    if found is None or seconds is None:
        raise ValueError(f"{text.strip()!r} is no rate: it has to be {WANTED}")
    window = Window(int(found[1]), int(found[2] or 1) * seconds)
    if window.quota < 1 or not 1 <= window.period <= _LONGEST:
        raise ValueError(f"{text.strip()!r}: at least 1 request, in a time from 1 second to 366 days")
    return window
