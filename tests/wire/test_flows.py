"""Flows are played by hand: each step is answered with what a server or a connection might give."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from objectstore.client.sources import Chunks, InHand
from objectstore.errors import (
    Corrupted,
    InternalError,
    InvalidRange,
    NotFound,
    ObjectStoreError,
    Overloaded,
    PreconditionFailed,
    RateLimited,
    Unavailable,
    Unsupported,
    UploadNotFound,
)
from objectstore.values import NO_ATTRIBUTES, ONLY_IF_ABSENT, UNCONDITIONAL, Bounded, ObjectInfo
from objectstore.wire import flows, requests
from objectstore.wire.downloads import Download
from objectstore.wire.errors import format_error
from objectstore.wire.flows import Close, Flow, NextPart, Open, Send, Step
from objectstore.wire.headers import format_info
from objectstore.wire.ranges import format_content_range
from objectstore.wire.records import dump, record
from objectstore.wire.replies import Reply
from objectstore.wire.retries import ConnectionFailed, Pause, Retries, may_repeat, pause_before
from wire.played import DATA, INFO, LOST, NOW, UNSENT, play

PATIENT = Retries(limit=3, delay=1.0)
STORED = Reply(200, {}, dump(record(INFO)), NOW)
FOUND = Reply(200, dict(format_info(INFO)), b"", NOW)
WHOLE = Reply(200, {**FOUND.fields, b"content-length": b"10"}, DATA, NOW)


def failed(error: ObjectStoreError, status: int = 0) -> Reply:
    told, fields, body = format_error(error)
    return Reply(status or told, dict(fields), body, NOW)


def with_wait(error: Overloaded, seconds: float) -> Overloaded:
    error.retry_after = seconds
    return error


def get() -> Flow[Reply]:
    return flows.deliver(Send(requests.head_object("k")), PATIENT)


def pauses(steps: Sequence[Step]) -> list[Pause]:
    return [step for step in steps if isinstance(step, Pause)]


def put(data: bytes = DATA) -> Flow[ObjectInfo]:
    return flows.put("k", InHand(data), NO_ATTRIBUTES, UNCONDITIONAL, PATIENT)


def test_a_request_that_succeeds_is_sent_once() -> None:
    steps, info = play(put(), STORED)
    assert [type(step) for step in steps] == [Send]
    assert info == INFO


def test_backoff_doubles_and_is_all_jitter() -> None:
    steps, _ = play(put(), LOST, UNSENT, Reply(500, {}, b"", NOW), STORED)
    assert pauses(steps) == [Pause(0, 1.0), Pause(0, 2.0), Pause(0, 4.0)]


def test_the_time_that_the_server_names_is_kept_to() -> None:
    steps, _ = play(put(), failed(RateLimited("slowly", retry_after=5)), STORED)
    assert pauses(steps) == [Pause(5.0, 0)]


@pytest.mark.parametrize("error", [RateLimited("slowly", retry_after=20), with_wait(Overloaded(), 20)])
def test_being_told_to_wait_uses_up_no_retry_but_has_an_end(error: ObjectStoreError) -> None:
    steps, reply = play(get(), *[failed(error)] * 19)
    assert pauses(steps) == [Pause(20.0, 0)] * 18  # six minutes, for three retries
    assert reply.status == failed(error).status
    steps, _ = play(get(), *[failed(error)] * 5, LOST, LOST, failed(error), LOST, FOUND)
    assert len(pauses(steps)) == 9


def test_to_wait_no_time_is_a_retry_as_any() -> None:
    steps, _ = play(get(), *[failed(RateLimited("slowly", retry_after=0))] * 4)
    assert pauses(steps) == [Pause(0.0, 0)] * 3


def test_who_does_not_retry_does_not_wait() -> None:
    _, reply = play(flows.deliver(Send(requests.head_object("k")), Retries(limit=0)), failed(RateLimited("slowly")))
    assert reply.status == 429


@pytest.mark.parametrize("retry", [10, 1000, 10**6])
def test_no_pause_is_longer_than_a_minute(retry: int) -> None:
    assert pause_before(retry, Retries(limit=10**9, delay=1.0)) == Pause(0, 60.0)


def test_a_pause_is_a_random_share() -> None:
    assert [Pause(2, 4).seconds(chance) for chance in (0, 0.5, 1)] == [2, 4, 6]


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_there_are_just_as_many_retries_as_allowed(limit: int) -> None:
    flow = flows.head("k", Retries(limit=limit, delay=0))
    with pytest.raises(Unavailable, match="cannot connect"):
        play(flow, *[UNSENT] * (limit + 1))


def test_connection_errors_become_unavailable_with_their_cause() -> None:
    with pytest.raises(Unavailable, match=r"the connection was lost \(tried 4 times\)") as caught:
        play(flows.head("k", PATIENT), *[LOST] * 4)
    assert caught.value.__cause__ is LOST


def consumed() -> Chunks:
    source = Chunks([DATA])
    next(source.chunks())
    return source


@pytest.mark.parametrize("result", [LOST, UNSENT, failed(Unavailable("no")), failed(RateLimited("no"))])
def test_a_body_that_is_gone_is_not_sent_again(result: object) -> None:
    flow = flows.put("k", consumed(), NO_ATTRIBUTES, UNCONDITIONAL, PATIENT)
    with pytest.raises((Unavailable, RateLimited)):
        play(flow, result)


def test_a_body_that_nobody_asked_for_yet_is_sent_again() -> None:
    source = Chunks([DATA])
    steps, _ = play(
        flows.put("k", source, NO_ATTRIBUTES, UNCONDITIONAL, PATIENT), UNSENT, failed(RateLimited("")), STORED
    )
    assert len(pauses(steps)) == 2
    assert may_repeat(requests.get_object("k"))


class Fate:
    """What an earlier try may have done, by what came of it."""

    none = (UNSENT, failed(RateLimited("")))
    doubtful = (failed(Unavailable("")), Reply(408, {}, b"", NOW))
    unknown = (LOST, Reply(502, {}, b"", NOW), Reply(504, {}, b"", NOW))


@pytest.mark.parametrize("first", [*Fate.none, *Fate.doubtful])
def test_a_conditional_write_that_was_refused_is_sent_again(first: object) -> None:
    flow = flows.put("k", InHand(DATA), NO_ATTRIBUTES, ONLY_IF_ABSENT, PATIENT)
    assert play(flow, first, STORED)[1] == INFO


@pytest.mark.parametrize("first", Fate.unknown)
def test_a_conditional_write_of_unknown_fate_is_not(first: object) -> None:
    for flow in (
        flows.put("k", InHand(DATA), NO_ATTRIBUTES, ONLY_IF_ABSENT, PATIENT),
        flows.copy("j", "k", NO_ATTRIBUTES, ONLY_IF_ABSENT, PATIENT),
        flows.delete("k", ONLY_IF_ABSENT, PATIENT),
    ):
        with pytest.raises(Unavailable, match="not known whether"):
            play(flow, first)


@pytest.mark.parametrize("first", Fate.none)
def test_a_condition_that_fails_after_nothing_happened_fails(first: object) -> None:
    flow = flows.put("k", InHand(DATA), NO_ATTRIBUTES, ONLY_IF_ABSENT, PATIENT)
    with pytest.raises(PreconditionFailed):
        play(flow, first, failed(PreconditionFailed("k")))


@pytest.mark.parametrize("first", Fate.doubtful)
def test_a_condition_that_fails_after_something_may_have_happened_tells_nothing(first: object) -> None:
    flow = flows.put("k", InHand(DATA), NO_ATTRIBUTES, ONLY_IF_ABSENT, PATIENT)
    with pytest.raises(Unavailable, match="not known whether"):
        play(flow, first, failed(PreconditionFailed("k")))


def test_a_conditional_write_that_the_server_failed_at_is_not_sent_again() -> None:
    flow = flows.put("k", InHand(DATA), NO_ATTRIBUTES, ONLY_IF_ABSENT, PATIENT)
    with pytest.raises(InternalError, match="oh"):
        play(flow, failed(InternalError("oh")))


@pytest.mark.parametrize("first", [*Fate.doubtful, *Fate.unknown])
def test_what_is_absent_after_a_deletion_of_doubtful_fate_was_deleted(first: object) -> None:
    play(flows.delete("k", UNCONDITIONAL, PATIENT), first, failed(NotFound("k")))
    play(flows.abort_upload("id", PATIENT), first, failed(UploadNotFound("id")))


@pytest.mark.parametrize("first", Fate.none)
def test_what_was_absent_all_the_time_is_not_found(first: object) -> None:
    with pytest.raises(NotFound):
        play(flows.delete("k", UNCONDITIONAL, PATIENT), first, failed(NotFound("k")))
    with pytest.raises(UploadNotFound):
        play(flows.abort_upload("id", PATIENT), first, failed(UploadNotFound("id")))


def test_damage_is_not_asked_for_again() -> None:
    with pytest.raises(Corrupted):
        play(flows.get("k", None, UNCONDITIONAL, PATIENT), failed(Corrupted("rot")))


def test_another_digest_in_the_record_is_corruption() -> None:
    with pytest.raises(Corrupted, match="store it again"):
        play(put(b"other"), STORED)


def test_foreign_exceptions_pass_through_a_flow() -> None:
    with pytest.raises(LookupError):
        play(put(), LookupError("from the body"))


# Reading


def opened(start: int = 0, stop: int = len(DATA), *, partial: bool = True) -> Reply:
    fields = dict(format_info(INFO)) | {b"content-length": b"%d" % (stop - start)}
    if partial:
        fields[b"content-range"] = format_content_range(start, stop, len(DATA))
    return Reply(206 if partial else 200, fields, b"", NOW, stream=object())


def open_whole() -> Download:
    flow = flows.open_object("k", None, UNCONDITIONAL, PATIENT)
    steps, (download, reply) = play(flow, LOST, opened(partial=False))
    assert [type(step) for step in steps] == [Open, Pause, Open]
    assert reply.stream is not None
    return download


def test_a_download_is_counted_and_hashed() -> None:
    download = open_whole()
    assert (download.start, download.stop, download.info.size) == (0, 10, 10)
    with pytest.raises(ConnectionFailed, match="ended 10 bytes early"):
        download.finish()
    for at in range(len(DATA)):
        download.feed(DATA[at : at + 1])
    download.finish()
    with pytest.raises(Corrupted, match="more than the 10 bytes"):
        download.feed(b"x")


def test_a_download_of_other_bytes_is_corrupted() -> None:
    download = open_whole()
    download.feed(b"9876543210")
    with pytest.raises(Corrupted, match="SHA-256"):
        download.finish()


def test_a_download_goes_on_where_it_was_lost() -> None:
    download = open_whole()
    download.feed(DATA[:4])
    steps, reply = play(flows.resume(download, LOST, PATIENT), opened(4))
    assert reply.status == 206
    asked = steps[-1]
    assert isinstance(asked, Open)
    assert asked.request.fields == [(b"if-match", b'"e"'), (b"range", b"bytes=4-9")]
    download.feed(DATA[4:])
    download.finish()


def test_patience_returns_with_every_byte() -> None:
    download = open_whole()
    for at in range(9):
        download.feed(DATA[at : at + 1])
        steps, _ = play(flows.resume(download, LOST, PATIENT), opened(at + 1))
        assert pauses(steps) == [Pause(0, 1.0)]
    for spread in (2.0, 4.0):
        steps, _ = play(flows.resume(download, LOST, PATIENT), opened(9))
        assert pauses(steps) == [Pause(0, spread)]
    with pytest.raises(Unavailable):
        play(flows.resume(download, LOST, PATIENT))


@pytest.mark.parametrize("error", [NotFound("k"), PreconditionFailed("k")])
def test_a_download_of_something_else_by_now_is_unavailable(error: ObjectStoreError) -> None:
    with pytest.raises(Unavailable, match="while it was read"):
        play(flows.resume(open_whole(), LOST, PATIENT), failed(error))


@pytest.mark.parametrize(
    ("reply", "error"),
    [(opened(partial=False), Unavailable), (opened(3), InternalError), (opened(4, 9), InternalError)],
    ids=["whole", "start", "stop"],
)
def test_a_download_does_not_go_on_elsewhere_and_closes_what_it_opened(
    reply: Reply, error: type[ObjectStoreError]
) -> None:
    download = open_whole()
    download.feed(DATA[:4])
    flow = flows.resume(download, LOST, PATIENT)
    assert isinstance(next(flow), Pause)
    assert isinstance(next(flow), Open)
    assert flow.send(reply) == Close(reply)
    with pytest.raises(error, match="serves no ranges" if error is Unavailable else "is not the rest"):
        next(flow)


def test_an_answer_that_is_refused_is_closed() -> None:
    flow = flows.open_object("k", None, UNCONDITIONAL, PATIENT)
    next(flow)
    reply = Reply(200, {b"content-length": b"3"}, b"", NOW, stream=object())
    assert flow.send(reply) == Close(reply)
    with pytest.raises(InternalError):
        next(flow)


# Uploads in parts


BEGUN = Reply(201, {}, b'{"upload_id": "id", "part_size": 4, "expires_at": "2024-05-07T00:00:00Z"}', NOW)


def arrived(number: int, size: int) -> Reply:
    return Reply(200, {}, dump({"n": number, "size": size, "etag": f"p{number}"}), NOW)


def upload(part_size: int = 4) -> Flow[ObjectInfo]:
    return flows.upload("k", NO_ATTRIBUTES, UNCONDITIONAL, part_size, PATIENT)


def sent(steps: Sequence[Step]) -> list[str]:
    return [f"{step.request.method} {step.request.target}" for step in steps if isinstance(step, Send)]


def test_what_is_large_goes_in_parts_each_of_which_is_sent_again() -> None:
    pieces = [InHand(DATA[at : at + 4]) for at in (0, 4, 8)]
    script: list[Any] = [pieces[0], BEGUN, arrived(1, 4), pieces[1], LOST, Reply(500, {}, b"", NOW), arrived(2, 4)]
    script += [pieces[2], arrived(3, 2), InHand(b""), LOST, STORED]
    steps, info = play(upload(), *script)
    assert info == INFO
    assert sent(steps) == [
        "POST /uploads",
        "PUT /uploads/id/parts/1",
        *["PUT /uploads/id/parts/2"] * 3,
        "PUT /uploads/id/parts/3",
        *["POST /uploads/id/complete"] * 2,
    ]
    assert [step.size for step in steps if isinstance(step, NextPart)] == [4] * 4


def test_what_fits_into_one_part_is_put() -> None:
    steps, _ = play(upload(len(DATA) + 1), InHand(DATA), STORED)
    assert sent(steps) == ["PUT /objects/k"]


@pytest.mark.parametrize("failing", [failed(PreconditionFailed("k")), LookupError("from the source")])
def test_an_upload_that_fails_is_aborted(failing: object) -> None:
    flow = upload()
    next(flow)
    for result in (InHand(DATA[:4]), BEGUN, arrived(1, 4)):
        flow.send(result)
    step = flow.throw(failing) if isinstance(failing, Exception) else _complete(flow, failing)
    assert sent([step]) == ["DELETE /uploads/id"]
    with pytest.raises((LookupError, PreconditionFailed)):
        # That it cannot even be aborted is not what the caller has to hear.
        flow.send(failed(UploadNotFound("id")))


def _complete(flow: Flow[ObjectInfo], answer: object) -> Step:
    assert sent([flow.send(InHand(b""))]) == ["POST /uploads/id/complete"]
    return flow.send(answer)


# Many keys


def test_many_keys_go_in_batches() -> None:
    keys = [f"k{number}" for number in range(2001)]
    told = [dump({"deleted": list(batch), "errors": []}) for batch in (keys[:1000], keys[1000:2000], keys[2000:])]
    flow = flows.delete_many(itertools.chain(keys, keys), PATIENT)
    steps, deleted = play(flow, *[Reply(200, {}, body, NOW) for body in told])
    assert deleted.deleted == tuple(keys)
    assert len(sent(steps)) == 3


# Limits


def test_a_server_is_waited_for_just_two_minutes() -> None:
    assert pause_before(0, PATIENT, RateLimited("slowly", retry_after=120)) == Pause(120, 0)
    assert pause_before(0, PATIENT, RateLimited("slowly", retry_after=121)) is None
    steps, _ = play(get(), *[failed(RateLimited("slowly", retry_after=120))] * 4)
    assert pauses(steps) == [Pause(120.0, 0)] * 3


@pytest.mark.parametrize(("limit", "delay"), [(-1, 1.0), (1, -0.1), (1, float("inf")), (1, float("nan"))])
def test_patience_is_not_negative_nor_endless(limit: int, delay: float) -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        Retries(limit=limit, delay=delay)


def test_the_keys_of_a_batch_end_in_one_of_three_ways() -> None:
    told = {"deleted": ["a"], "errors": [_absent("b"), {"code": "forbidden", "message": "not yours", "key": "c"}]}
    steps, found = play(flows.delete_many(["a", "b", "c", "a"], PATIENT), Reply(200, {}, dump(told), NOW))
    assert len(steps) == 1
    assert (found.deleted, found.absent, list(found.failed)) == (("a",), ("b",), ["c"])


def test_what_is_absent_when_a_batch_is_sent_again_was_deleted_by_the_first() -> None:
    told = {"deleted": ["a"], "errors": [_absent("b")]}
    _, found = play(flows.delete_many(["a", "b"], PATIENT), LOST, Reply(200, {}, dump(told), NOW))
    assert (found.deleted, found.absent) == (("a", "b"), ())


def test_a_single_key_is_no_batch() -> None:
    with pytest.raises(TypeError, match="as in \\[key\\]"):
        play(flows.delete_many("key", PATIENT))


def _absent(key: str) -> dict[str, str]:
    return {"code": "not_found", "message": "no such object", "key": key}


def test_a_listing_that_does_not_advance_is_no_listing() -> None:
    request = requests.list_objects(prefix="", delimiter="", limit=10, cursor="c", start_after="a", details=False)
    assert request.target == "/objects?limit=10&cursor=c&start_after=a"
    page = Reply(200, {}, dump({"keys": ["k"], "next_cursor": "c"}), NOW)
    _, found = play(flows.list_page(request, None, PATIENT), page)
    assert (found.keys, found.next_cursor) == (("k",), "c")
    _, another = play(flows.list_page(request, "b", PATIENT), page)
    assert another == found
    with pytest.raises(InternalError, match="its next page is itself"):
        play(flows.list_page(request, "c", PATIENT), page)


def test_a_small_body_that_came_with_the_head_needs_no_stream() -> None:
    steps, found = play(flows.get_or_open("k", None, UNCONDITIONAL, PATIENT), WHOLE)
    assert [type(step) for step in steps] == [Open]
    assert found == DATA
    _, begun = play(flows.get_or_open("k", None, UNCONDITIONAL, PATIENT), opened(partial=False))
    assert isinstance(begun, tuple)
    assert begun[0].info.size == len(DATA)


def test_the_other_requests_are_one_step_each() -> None:
    upload_ = {"upload_id": "u", "key": "k", "begun_at": "2024-05-06T00:00:00Z"}
    _, one = play(flows.get_upload("u", PATIENT), Reply(200, {}, dump(upload_), NOW))
    assert (one.upload_id, one.key) == ("u", "k")
    _, (some, cursor) = play(
        flows.list_uploads("c", PATIENT), Reply(200, {}, dump({"uploads": [upload_], "next_cursor": None}), NOW)
    )
    assert ([found.upload_id for found in some], cursor) == (["u"], None)
    link: dict[str, object] = {"url": "", "path": "/objects/k?link=1", "public": False, "method": "GET", "key": "k"}
    link["expires_at"] = "2024-05-06T00:00:00Z"
    signed = Reply(200, {}, dump(link), NOW)
    _, made = play(flows.sign(requests.head_object("k"), "http://host", PATIENT), signed)
    assert str(made) == "http://host/objects/k?link=1"
    _, kept = play(flows.usage(PATIENT), Reply(200, {}, dump({"usage": []}), NOW))
    assert kept == ()
    _, body = play(flows.get("k", None, UNCONDITIONAL, PATIENT), WHOLE)
    assert body == DATA
    _, copied = play(flows.copy("k", "l", NO_ATTRIBUTES, UNCONDITIONAL, PATIENT), STORED)
    assert copied == INFO


def test_a_small_object_comes_with_its_bytes_and_an_empty_one_does_not() -> None:
    span = {b"content-length": b"10", b"content-range": format_content_range(0, 10, 10)}
    _, found = play(flows.get_small("k", 100, UNCONDITIONAL, PATIENT), Reply(206, {**FOUND.fields, **span}, DATA, NOW))
    assert found == (INFO, DATA)
    _, nothing = play(flows.get_small("k", 100, UNCONDITIONAL, PATIENT), failed(InvalidRange(0)))
    assert nothing is None


def test_a_download_of_all_is_not_that_of_a_range() -> None:
    with pytest.raises(Unsupported, match="ranges"):
        Download(requests.get_object("k", Bounded(0, 5), UNCONDITIONAL), WHOLE, Bounded(0, 5))
