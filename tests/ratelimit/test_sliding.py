from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from objectstore.ratelimit.sliding import used, wait


@given(
    quota=st.integers(1, 20),
    previous=st.integers(0, 20),
    current=st.integers(0, 20),
    left=st.floats(0.001, 10, allow_nan=False),
)
def test_the_wait_is_until_one_more_fits_and_no_longer(quota: int, previous: int, current: int, left: float) -> None:
    period = 10.0
    previous, current = min(previous, quota), min(current, quota)

    def fits_after(seconds: float) -> bool:
        if seconds <= left:
            return used(previous, current, left - seconds, period) + 1 <= quota + 1e-6
        return used(current, 0, left + period - seconds, period) + 1 <= quota + 1e-6

    seconds = wait(quota, previous, current, left, period)
    assert fits_after(seconds + 1e-6)
    assert seconds == 0 or not fits_after(seconds - 1e-3 * period)
