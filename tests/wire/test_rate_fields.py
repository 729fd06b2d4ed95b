from __future__ import annotations

import pytest

from objectstore.core.rates import parse_rate
from objectstore.wire.rates import format_left, format_policy

RATE = parse_rate("100/second;5000/2 minutes")


def test_the_policy_names_each_window_with_its_quota_and_length() -> None:
    assert format_policy(RATE) == b'"100/second";q=100;w=1, "5000/2 minutes";q=5000;w=120'


def test_every_window_has_its_state() -> None:
    with pytest.raises(ValueError, match="shorter"):
        format_left(RATE, ((7, 0.2),))


def test_what_is_left_is_told_in_whole_seconds_never_too_early() -> None:
    assert format_left(RATE, ((7, 0.2), (0, 3.0))) == b'"100/second";r=7;t=1, "5000/2 minutes";r=0;t=3'
