"""Which requests a trouble happens to."""

from __future__ import annotations

import pytest

from objectstore.testing.troubles import Delay, Refuse, Rule, Script, SeenRequest

GET = SeenRequest("GET", "/objects/a%20b/..?x=1")


def _hits(rule: Rule, *requests: SeenRequest) -> str:
    return "".join("x" if rule.happens_to(request) else "." for request in requests)


def test_a_request_knows_its_key() -> None:
    assert (GET.path, GET.key) == ("/objects/a%20b/..", "a b/..")
    for target in ("/objects", "/objects?prefix=a", "/uploads/u/parts/1", "/objects/%zz", "/objects/"):
        assert SeenRequest("GET", target).key is None


def test_without_a_choice_it_happens_to_every_request() -> None:
    assert _hits(Rule(Delay(1)), *[GET] * 4) == "xxxx"


def test_it_happens_to_the_next_so_many() -> None:
    rule = Rule(Delay(1), times=2)
    assert _hits(rule, *[GET] * 4) == "xx.."
    assert rule.hits == 2


def test_it_happens_to_every_nth_after_some_that_are_left_alone() -> None:
    assert _hits(Rule(Delay(1), every=3), *[GET] * 7) == "..x..x."
    assert _hits(Rule(Delay(1), skip=2, every=2, times=2), *[GET] * 9) == "...x.x..."


def test_only_requests_that_are_meant_count() -> None:
    put, other = SeenRequest("PUT", GET.target), SeenRequest("GET", "/objects/other")
    part = SeenRequest("PUT", "/uploads/u/parts/1")
    assert _hits(Rule(Delay(1), method="GET", every=2), GET, put, other, put, GET, GET) == "..x..x"
    assert _hits(Rule(Delay(1), key="other"), GET, other, part) == ".x."
    assert _hits(Rule(Delay(1), path="/uploads"), GET, other, part) == "..x"


def test_it_ends_with_its_block() -> None:
    with Rule(Delay(1)) as rule:
        assert rule.happens_to(GET)
    assert not rule.happens_to(GET)


def test_a_script_knows_what_came_and_tells_what_happens_in_order() -> None:
    script = Script()
    script.add(Rule(Delay(1)))
    script.add(Rule(Refuse(429), times=1))
    assert list(script.arrived(GET)) == [Delay(1), Refuse(429)]
    assert list(script.arrived(GET)) == [Delay(1)]
    script.clear()
    assert list(script.arrived(GET)) == []
    assert [*script.seen] == [GET, GET, GET]
    script.forget()
    assert not script.seen


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        Delay(-1)
    with pytest.raises(ValueError, match="400 to 599"):
        Refuse(200)
    for every, times, skip in [(0, 1, 0), (1, 0, 0), (1, 1, -1)]:
        with pytest.raises(ValueError, match="at least"):
            Rule(Delay(1), every=every, times=times, skip=skip)
