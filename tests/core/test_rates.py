from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.rates import UNLIMITED, Rate, Window, format_rate, parse_rate

RATES = st.lists(
    st.builds(Window, st.integers(1, 999_999_999), st.integers(1, 9999)),
    max_size=8,
    unique_by=lambda window: window.period,
).map(lambda windows: tuple(sorted(windows, key=lambda window: window.period)))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/second", (Window(100, 1),)),
        ("1 per minute", (Window(1, 60),)),
        ("5000/Minute; 100/s", (Window(100, 1), Window(5000, 60))),
        ("10/2 hours", (Window(10, 7200),)),
        ("7/day", (Window(7, 86400),)),
        ("1/366 days", (Window(1, 366 * 86400),)),
        (" none ", UNLIMITED),
    ],
)
def test_a_rate_is_windows_the_shortest_first(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        *("", "100", "/second", "100/", "10persecond", "100/fortnight", "10/second;", "10/second,20/minute"),
        *("0/second", "-1/second", "1.5/second", "１0/second", "1" * 10 + "/second", "10/0 seconds", "9/999 days"),
        "10/second;20/s",
        ";".join(f"1/{seconds}s" for seconds in range(1, 10)),
    ],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10/second; a lot ", "'a lot' is no rate: it has to be such as 100/second"),
        ("0/second", "'0/second': at least 1 request, in a time from 1 second to 366 days"),
        ("10/second;20/s", "at most 8 windows, each of another length"),
    ],
)
def test_why_it_is_no_rate_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_rate(text)


@given(RATES)
def test_a_formatted_rate_is_parsed_as_the_same(rate: Rate) -> None:
    assert parse_rate(format_rate(rate)) == rate


def test_windows_are_shown_in_the_largest_unit_that_fits() -> None:
    assert format_rate(parse_rate("1/3600s;1/90 seconds;1/48 hours")) == "1/90 seconds;1/hour;1/2 days"
    assert format_rate(UNLIMITED) == "none"
    assert str(Window(5, 7)) == "5/7 seconds"
