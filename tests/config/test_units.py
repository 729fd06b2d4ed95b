from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.config.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("10GB", 10_000_000_000),
        ("5GiB", 5 * 2**30),
        ("1.5 kib", 1536),
        (" 2 TB ", 2 * 10**12),
        ("1PiB", 2**50),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "10G", "10iB", "1.5", "0.3kB5", "1 000", "١", "9" * 31, "1.B"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its message is not shown
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta(0)),
        ("90", timedelta(seconds=90)),
        ("0.25s", timedelta(milliseconds=250)),
        ("15m", timedelta(minutes=15)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2 W", timedelta(days=14)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "d", "-7d", "7 days", "1h30m", "P7D", "inf", "nan", "9999999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its message is not shown
        parse_duration(text)


@given(st.integers(0, 2**63))
def test_a_plain_number_is_bytes(size: int) -> None:
    assert parse_size(str(size)) == size


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration(text) >= timedelta()
