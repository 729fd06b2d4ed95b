"""Each flow asks for all that it was given, and reads the answer. What it does when that fails: test_flows.py."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from objectstore.client.sources import Chunks, InHand
from objectstore.errors import (
    Corrupted,
    Forbidden,
    InternalError,
    NotFound,
    ObjectStoreError,
    Unavailable,
)
from objectstore.values import NO_ATTRIBUTES, ONLY_IF_ABSENT, UNCONDITIONAL, Bounded, Conditions
from objectstore.wire import flows, requests
from objectstore.wire.errors import format_error
from objectstore.wire.flows import Close, Open, Send, Step
from objectstore.wire.headers import format_info
from objectstore.wire.ranges import format_content_range
from objectstore.wire.records import dump, record
from objectstore.wire.replies import Page, Reply
from objectstore.wire.requests import Request
from objectstore.wire.retries import ConnectionFailed, Retries
from wire.played import DATA, INFO, LOST, NOW, UNSENT, play

SAME = Conditions(if_match=("e",))
ONCE = Retries(limit=0)
TWICE = Retries(limit=1, delay=0)
STREAM = object()


def asked(step: Step) -> Request:
    assert isinstance(step, Send | Open)
    return step.request


def told(value: Mapping[str, object]) -> Reply:
    return Reply(200, {}, dump(value), NOW)


def part(start: int, stop: int, stream: object = None) -> Reply:
    fields = dict(format_info(INFO)) | {
        b"content-length": b"%d" % (stop - start),
        b"content-range": format_content_range(start, stop, 10),
    }
    return Reply(206, fields, b"" if stream else DATA[start:stop], NOW, stream)


def test_a_range_and_conditions_go_along_with_a_get() -> None:
    (step,), data = play(flows.get("k", Bounded(2, 5), SAME, ONCE), part(2, 5))
    assert data == b"234"
    assert isinstance(step, Send)
    assert step.request == requests.get_object("k", Bounded(2, 5), SAME)


def test_what_is_opened_is_what_was_asked_for() -> None:
    for flow in (flows.open_object("k", Bounded(2, 5), SAME, ONCE), flows.get_or_open("k", Bounded(2, 5), SAME, ONCE)):
        (step,), got = play(flow, part(2, 5, STREAM))
        assert asked(step) == requests.get_object("k", Bounded(2, 5), SAME)
        assert not isinstance(got, bytes)
        download, reply = got
        assert (download.start, download.stop, reply.stream) == (2, 5, STREAM)


def test_what_came_with_the_head_is_not_opened() -> None:
    (step,), data = play(flows.get_or_open("k", Bounded(2, 5), SAME, ONCE), part(2, 5))
    assert data == b"234"
    assert step == Open(requests.get_object("k", Bounded(2, 5), SAME), take_whole=True)
    (step,), _ = play(flows.open_object("k", Bounded(2, 5), SAME, ONCE), part(2, 5, STREAM))
    assert step == Open(requests.get_object("k", Bounded(2, 5), SAME))


def test_of_a_small_object_all_is_asked_for() -> None:
    (step,), got = play(flows.get_small("k", 10, SAME, ONCE), part(0, 10))
    assert asked(step) == requests.get_object("k", Bounded(0, 10), SAME)
    assert got is not None
    assert (got[0].etag, got[1]) == ("e", DATA)
    _, got = play(flows.get_small("k", 5, SAME, ONCE), part(0, 5))
    assert got is None
    _, got = play(flows.get_small("k", 5, SAME, ONCE), Reply(416, {}, b"", NOW))
    assert got is None


@pytest.mark.parametrize("opening", [flows.open_object, flows.get_or_open])
def test_what_is_opened_and_wrong_is_closed(opening: object) -> None:
    assert callable(opening)
    flow = opening("k", Bounded(3, 5), UNCONDITIONAL, ONCE)
    next(flow)
    reply = part(2, 5, STREAM)
    assert flow.send(reply) == Close(reply)
    with pytest.raises(InternalError, match="not what was asked for"):
        flow.send(None)


def test_a_head_has_its_conditions() -> None:
    reply = Reply(200, dict(format_info(INFO)) | {b"content-length": b"10"}, b"", NOW)
    (step,), info = play(flows.head("k", ONCE, SAME), reply)
    assert asked(step) == requests.head_object("k", SAME)
    assert info.etag == "e"


def test_what_was_stored_is_compared_with_what_was_sent() -> None:
    stored = told(record(INFO) | {"digest": {"sha-256": "A" * 43 + "="}})
    with pytest.raises(Corrupted, match=r"stored under 'k' is wrong: .*; store it again$"):
        play(flows.put("k", InHand(DATA), NO_ATTRIBUTES, UNCONDITIONAL, ONCE), stored)
    play(flows.put("k", Chunks([DATA]), NO_ATTRIBUTES, UNCONDITIONAL, ONCE), stored)


def test_a_page_goes_on_where_it_was_told_to() -> None:
    request = requests.list_objects(prefix="", delimiter="", limit=1, cursor="c", start_after=None, details=False)
    for cursor, following in ((None, "c"), ("c", "d"), ("c", None)):
        (step,), page = play(flows.list_page(request, cursor, ONCE), told({"keys": ["a"], "next_cursor": following}))
        assert step == Send(request)
        assert page == Page(keys=("a",), next_cursor=following)
    with pytest.raises(InternalError, match=r"\(its next page is itself\)"):
        play(flows.list_page(request, "c", ONCE), told({"keys": ["a"], "next_cursor": "c"}))


def test_uploads_are_asked_for() -> None:
    upload = {"upload_id": "id", "key": "k", "begun_at": "2024-05-06T00:00:00Z"}
    (step,), found = play(flows.get_upload("id", ONCE), told(upload))
    assert asked(step) == requests.get_upload("id")
    assert (found.upload_id, found.key, found.begun) == ("id", "k", NOW)
    (step,), listed = play(flows.list_uploads("c", ONCE), told({"uploads": [upload], "next_cursor": "d"}))
    assert asked(step) == requests.list_uploads("c")
    assert listed == ((found,), "d")


def test_an_upload_tells_the_size_of_the_whole() -> None:
    begun = told({"upload_id": "id", "part_size": 4, "expires_at": "2024-05-13T00:00:00Z"})
    (step,), _ = play(flows.begin_upload("k", NO_ATTRIBUTES, UNCONDITIONAL, ONCE, size=10), begun)
    body = asked(step).body
    assert isinstance(body, bytes)
    assert json.loads(body) == {"key": "k", "size": 10}


def test_a_link_is_below_the_url_that_it_was_asked_for() -> None:
    request = Request("POST", "/links")
    link = {
        "url": "u",
        "path": "/objects/k?link=1",
        "public": False,
        "method": "PUT",
        "key": "k",
        "expires_at": "2024-05-06T00:00:00Z",
    }
    (step,), found = play(flows.sign(request, "http://here", ONCE), told(link))
    assert step == Send(request)
    assert (found.url, found.method, found.key, found.expires) == ("http://here/objects/k?link=1", "PUT", "k", NOW)


def test_usage_is_asked_for() -> None:
    kept = {"prefix": "a", "bytes": 1, "parts_bytes": 0, "objects": 1, "limits": {"bytes": None, "objects": 2}}
    (step,), found = play(flows.usage(ONCE), told({"usage": [kept]}))
    assert asked(step).target == "/usage"
    assert [(one.prefix, one.size, one.max_size, one.max_objects) for one in found] == [("a", 1, None, 2)]


def of_key(error: ObjectStoreError, key: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(format_error(error)[2])["error"]
    return found | {"key": key}


def test_of_many_keys_some_are_absent_and_some_fail() -> None:
    errors = [of_key(NotFound("b"), "b"), of_key(Forbidden("no"), "c")]
    answer = told({"deleted": ["a"], "errors": errors})
    _, deleted = play(flows.delete_many(["a", "b", "c"], ONCE), answer)
    assert (deleted.deleted, deleted.absent) == (("a",), ("b",))
    assert [(key, type(error)) for key, error in deleted.failed.items()] == [("c", Forbidden)]
    _, deleted = play(flows.delete_many(["a", "b", "c"], TWICE), LOST, answer)
    assert (deleted.deleted, deleted.absent) == (("a", "b"), ()), "that was the earlier try"
    _, deleted = play(flows.delete_many(["a", "b", "c"], TWICE), UNSENT, answer)
    assert (deleted.deleted, deleted.absent) == (("a",), ("b",))


def test_once_sent_it_counts_as_repeated_whatever_comes_after() -> None:
    many = Retries(limit=5, delay=0)
    refused = Reply(429, {}, b"", NOW)
    absent = Reply(404, {}, b"", NOW)
    maybe_done: list[list[Reply | Exception]] = [[LOST, UNSENT], [LOST, refused], [Reply(500, {}, b"", NOW), refused]]
    for answers in maybe_done:
        play(flows.delete("k", UNCONDITIONAL, many), *answers, absent)
    not_done: list[list[Reply | Exception]] = [[UNSENT, UNSENT], [refused, UNSENT]]
    for answers in not_done:
        with pytest.raises(NotFound):
            play(flows.delete("k", UNCONDITIONAL, many), *answers, absent)


def test_a_conditional_write_of_unknown_fate_is_told() -> None:
    flow = flows.put("k", InHand(DATA), NO_ATTRIBUTES, ONLY_IF_ABSENT, TWICE)
    why = (
        r"^the line was cut; it is not known whether the conditional PUT of 'k' was carried out: "
        r"look at the object before trying again$"
    )
    with pytest.raises(Unavailable, match=why):
        play(flow, ConnectionFailed("the line was cut", sent=True))


def test_why_the_rest_did_not_come_is_told() -> None:
    _, (download, _) = play(flows.open_object("k", Bounded(2, 10), UNCONDITIONAL, ONCE), part(2, 10, STREAM))
    download.feed(b"2345")
    with pytest.raises(ConnectionFailed, match=r"^the body of 'k' ended 4 bytes early$") as lost:
        download.finish()
    assert lost.value.sent
    with pytest.raises(Unavailable, match=r"ended 4 bytes early$"):
        play(flows.resume(download, lost.value, ONCE))
    with pytest.raises(InternalError, match=r"\(it is not the rest of the object that was being read\)"):
        play(flows.resume(download, lost.value, Retries(limit=2, delay=0)), part(5, 10, STREAM))
    with pytest.raises(Corrupted, match=r"^more than the 8 bytes announced arrived of 'k'$"):
        download.feed(b"6789x")
