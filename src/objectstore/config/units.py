"""Sizes and durations as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Final

_PREFIXES: Final = "kmgtp"
_SIZES: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate(_PREFIXES, 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate(_PREFIXES, 1)},
}
_SECONDS: Final[Mapping[str, int]] = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AMOUNT: Final = re.compile(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes: `1024`, `10GB` (10 · 1000³), `1.5 GiB` (1.5 · 1024³), in any case.

    Raises:
        ValueError: it is none, or no whole number of bytes.
    """
    size = _parse(text, _SIZES)
    if size.denominator != 1:
        raise ValueError(text)
    return size.numerator


def parse_duration(text: str) -> timedelta:
    """Seconds: `90`, `1.5h`, `7d`; the units are s, m, h, d and w. Raises ValueError."""
    try:
        return timedelta(microseconds=round(_parse(text, _SECONDS) * 1_000_000))
    except OverflowError:
        raise ValueError(text) from None


def _parse(text: str, units: Mapping[str, int]) -> Fraction:
    found = _AMOUNT.fullmatch(text)
    if found is None or found[2].lower() not in units:
        raise ValueError(text)
    return Fraction(found[1]) * units[found[2].lower()]
