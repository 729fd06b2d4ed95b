"""What becomes of bytes between a client and a server, before any socket."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from objectstore.testing import (
    After,
    Before,
    BlackHole,
    Corrupt,
    Cut,
    Delay,
    Pieces,
    Received,
    Reorder,
    Sent,
    Stall,
    Throttle,
)
from objectstore.testing.lines import Choices, Drop, End, Hold, Line, LineRule, LineTrouble, Pass, Queue, Side, Step


def step(line: Line, size: int, *rules: LineRule, age: float = 0.0) -> Step:
    return line.step(size, rules, age=age, draw=lambda: 1.0)


def follow(toward: Side, pieces: Sequence[int], *troubles: LineTrouble) -> list[Step]:
    """What becomes of these pieces, one after the other, until nothing goes on."""
    line, rules = Line(toward, Choices()), [LineRule(trouble) for trouble in troubles]
    steps: list[Step] = []
    for size in pieces:
        line.arrived()
        left = size
        while left:
            steps.append(step(line, left, *rules))
            if not isinstance(steps[-1], Pass):
                return steps
            left -= steps[-1].size
            line.passed(steps[-1].size)
            if (end := line.is_cut(rules)) is not None:
                return [*steps, end]
    return steps


def test_without_trouble_all_passes_at_once() -> None:
    assert follow("server", [5, 7]) == [Pass(5), Pass(7)]


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_ends_the_connection_at_its_byte(reset: bool) -> None:
    assert follow("server", [4, 6], Cut(Received(10), reset=reset)) == [Pass(4), Pass(6), End(reset)]
    assert follow("server", [8, 6], Cut(Received(10), reset=reset)) == [Pass(8), Pass(2), End(reset)]
    assert follow("server", [4], Cut(Received(10), reset=reset)) == [Pass(4)]
    assert follow("client", [8], Cut(Sent(3), reset=reset)) == [Pass(3), End(reset)]


def test_a_cut_says_by_itself_which_bytes_it_is_about() -> None:
    for cut, toward, other in (
        (Cut(Before()), "server", "client"),
        (Cut(Received(0)), "server", "client"),
        (Cut(After()), "client", "server"),
        (Cut(Sent(0)), "client", "server"),
    ):
        assert [LineRule(cut).means(side) for side in ("server", "client") if side == toward] == [True]
        assert not LineRule(cut).means("server" if other == "server" else "client")
    assert follow("server", [5], Cut(Before())) == [End(reset=False)]
    assert follow("client", [5], Cut(After())) == [End(reset=False)]


def test_a_stall_holds_what_comes_after_its_byte_and_the_end() -> None:
    assert follow("server", [8], Stall(5)) == [Pass(5), Hold()]
    line, rule = Line("client", Choices()), LineRule(Stall())
    assert step(line, 0, rule) == Hold()
    rule.cancel()
    assert step(line, 9, rule) == Pass(9)


def test_what_has_lost_bytes_is_reset_when_that_is_over() -> None:
    line, rule = Line("server", Choices()), LineRule(BlackHole())
    assert step(line, 0, rule) == Drop()
    assert not line.lost
    assert step(line, 9, rule) == Drop()
    rule.cancel()
    assert step(line, 9, rule) == End(reset=True)


def test_a_throttle_passes_bits_with_pauses_that_make_the_rate() -> None:
    steps = follow("server", [1000], Throttle(1000))
    assert all(isinstance(one, Pass) for one in steps)
    assert sum(one.pause for one in steps if isinstance(one, Pass)) == pytest.approx(1)
    assert follow("server", [2], Throttle(0.5)) == [Pass(1, 2.0), Pass(1, 2.0)]


def test_pieces_are_of_their_size() -> None:
    assert follow("server", [5], Pieces(2)) == [Pass(2), Pass(2), Pass(1)]


def test_a_bit_is_flipped_at_its_byte_whatever_the_pieces() -> None:
    assert follow("client", [5], Corrupt(3, 7)) == [Pass(5, flips=((3, 128),))]
    assert follow("client", [2, 5], Corrupt(3)) == [Pass(2), Pass(5, flips=((1, 1),))]
    assert follow("client", [5], Corrupt(3), Pieces(2)) == [Pass(2), Pass(2, flips=((1, 1),)), Pass(1)]


def test_a_delay_counts_from_when_a_chunk_came_and_is_drawn_once_for_it() -> None:
    line, rule = Line("client", Choices()), LineRule(Delay(2, jitter=1))
    draws = iter([0.0, 1.0])
    ages = [0.0, 0.5, 5.0]
    seen = [line.step(5, [rule], age=age, draw=lambda: next(draws)) for age in ages]
    assert seen == [Pass(5, 1.0), Pass(5, 0.5), Pass(5)]
    line.arrived()
    assert line.step(5, [rule], age=0, draw=lambda: next(draws)) == Pass(5, 3.0)


def test_the_turn_of_a_line_lasts_until_there_is_a_reaction() -> None:
    line, rule = Line("server", Choices()), LineRule(trouble := Reorder())
    assert step(line, 5, rule) == Queue(rule, trouble)
    line.take_turn()
    assert step(line, 5, rule) == Pass(5)
    line.reacted()
    assert step(line, 5, rule) == Queue(rule, trouble)
    assert step(line, 0, rule) == Pass(0)


def test_bytes_count_from_when_the_rule_met_the_line() -> None:
    line, rule = Line("server", Choices()), LineRule(Cut(Received(3)))
    assert step(line, 5) == Pass(5)
    line.passed(5)
    assert step(line, 5, rule) == Pass(3)


def test_troubles_add_up() -> None:
    assert follow("server", [4], Stall(2), Delay(1)) == [Pass(2, 1.0), Hold()]


def test_a_connection_counts_once_for_both_of_its_directions() -> None:
    rule = LineRule(Stall(), skip=1, times=1)
    seen = []
    for _ in range(3):
        choices = Choices()
        lines = [Line("server", choices), Line("client", choices)]
        seen.append([step(line, 5, rule) for line in lines])
    assert seen == [[Pass(5)] * 2, [Hold()] * 2, [Pass(5)] * 2]
    assert rule.hits == 1


def test_a_rule_is_about_the_side_it_names() -> None:
    rule = LineRule(Stall(), "client")
    assert step(Line("server", Choices()), 5, rule) == Pass(5)
    assert step(Line("client", Choices()), 5, rule) == Hold()


def test_troubles_that_make_no_sense_are_refused() -> None:
    for make, said in (
        (lambda: Throttle(0), "above 0"),
        (lambda: Pieces(0), "at least a byte"),
        (lambda: Corrupt(-1), "from 0"),
        (lambda: Corrupt(0, 8), "from 0"),
        (lambda: Reorder(1), "less than two"),
        (lambda: Delay(1, jitter=2), "not negative"),
    ):
        with pytest.raises(ValueError, match=said):
            make()
