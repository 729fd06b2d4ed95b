"""What is sent again, how soon, and what is not, over real connections."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from client.both import NOW, TOKEN, Both
from client.scripted import Act, Scripted, answer, content, cut, failure, stored
from objectstore import (
    ONLY_IF_ABSENT,
    AlreadyExists,
    Conditions,
    InternalError,
    NotFound,
    RateLimited,
    StorageFull,
    Unavailable,
    Unsupported,
)
from objectstore.wire.headers import http_date
from objectstore.wire.retries import Retries

DATA = b"some bytes"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_get_is_sent_again_after_an_answer_that_may_change(client: Both, server: Scripted, status: int) -> None:
    server.plays(answer(status), content(DATA))
    assert client.get("k") == DATA
    assert client.slept == [0.5]


@pytest.mark.parametrize(("status", "error"), [(501, Unsupported), (507, StorageFull)])
def test_an_answer_that_will_not_change_is_taken(
    client: Both, server: Scripted, status: int, error: type[Exception]
) -> None:
    server.plays(answer(status))
    with pytest.raises(error):
        client.get("k")
    assert client.slept == []


def test_the_pause_doubles_and_has_jitter(client: Both, server: Scripted) -> None:
    server.plays(*[failure(503, "unavailable")] * 4)
    with pytest.raises(Unavailable, match="the server says unavailable"):
        client.get("k")
    assert client.slept == [0.5, 1.0, 2.0]  # half of 1, 2 and 4 seconds


def test_retry_after_in_seconds_is_waited_just_so_long(client: Both, server: Scripted) -> None:
    server.plays(failure(429, "rate_limited", ("retry-after", "7")), content(DATA))
    assert client.get("k") == DATA
    assert client.slept == [7.0]


def test_retry_after_as_a_date_is_waited_just_so_long(client: Both, server: Scripted) -> None:
    date = http_date(NOW + timedelta(seconds=9)).decode()
    server.plays(failure(503, "unavailable", ("retry-after", date)), content(DATA))
    assert client.get("k") == DATA
    assert client.slept == [9.0]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(client: Both, server: Scripted) -> None:
    server.plays(failure(429, "rate_limited", ("retry-after", "3600")))
    with pytest.raises(RateLimited) as caught:
        client.get("k")
    assert caught.value.retry_after == 3600
    assert client.slept == []


def test_without_retries_the_first_answer_counts(client_of: Callable[..., Both], server: Scripted) -> None:
    server.plays(answer(503))
    client = client_of(server.url, retries=Retries(limit=0))
    with pytest.raises(Unavailable):
        client.get("k")


def test_a_lost_connection_is_told_with_its_host_and_without_the_token(client: Both, server: Scripted) -> None:
    server.plays(*[cut()] * 4)
    with pytest.raises(Unavailable) as caught:
        client.get("k")
    assert server.url.removeprefix("http://") in str(caught.value)
    assert "tried 4 times" in str(caught.value)
    cause: BaseException | None = caught.value
    while cause is not None:
        assert TOKEN not in f"{cause!s}{cause!r}"
        cause = cause.__cause__ or cause.__context__
    assert TOKEN not in repr(client.store)


def test_a_server_that_is_not_there_is_unavailable(client_of: Callable[..., Both]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = client_of(f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable, match=f"cannot connect to 127.0.0.1:{port}"):
        client.put("k", client.source(DATA), conditions=ONLY_IF_ABSENT)
    # Nothing was sent: even this could be tried again.
    assert len(client.slept) == 3


def test_a_server_that_does_not_answer_is_unavailable(client_of: Callable[..., Both], server: Scripted) -> None:
    server.plays(Act(meanwhile=server.stopping.wait))
    client = client_of(server.url, timeout=0.2, retries=Retries(limit=0))
    with pytest.raises(Unavailable, match=r"did not answer within 0.2 s"):
        client.get("k")


def test_bytes_are_sent_again(client: Both, server: Scripted) -> None:
    server.plays(cut(), answer(500), stored(DATA))
    assert client.put("k", DATA).size == len(DATA)
    assert [one.body for one in server.seen] == [DATA] * 3


@pytest.mark.parametrize("size", [10, 600_000])
def test_a_file_is_sent_again_from_where_it_stood(client: Both, server: Scripted, tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(b"before" + data)
    server.plays(cut(), answer(503), stored(data))
    with (tmp_path / "file").open("rb") as file:
        file.seek(6)
        client.put("k", file)
        assert not file.closed
    assert [one.body for one in server.seen] == [data] * 3


def test_a_path_is_sent_again(client: Both, server: Scripted, tmp_path: Path) -> None:
    data = b"x" * 600_000
    (tmp_path / "file").write_bytes(data)
    server.plays(answer(503), stored(data))
    client.put("k", tmp_path / "file")
    assert [one.body for one in server.seen] == [data] * 2


@pytest.mark.parametrize("act", [cut(), answer(503), answer(500)])
def test_an_iterator_is_not_sent_again(client: Both, server: Scripted, act: Act) -> None:
    server.plays(act)
    with pytest.raises((Unavailable, InternalError)):
        client.put("k", client.source(b"some", b" bytes"))
    assert [one.body for one in server.seen] == [DATA]


def test_a_stream_that_cannot_be_rewound_is_not_sent_again(client: Both, server: Scripted) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    server.plays(cut())
    with pytest.raises(Unavailable, match="cannot be read again"):
        client.put("k", Pipe(DATA))


@pytest.mark.parametrize("conditions", [ONLY_IF_ABSENT, Conditions(if_match=("e1",))])
@pytest.mark.parametrize("act", [cut(), answer(502), answer(504)])
def test_a_conditional_write_of_unknown_fate_is_not_sent_again(
    client: Both, server: Scripted, conditions: Conditions, act: Act
) -> None:
    server.plays(act)
    with pytest.raises(Unavailable, match="not known whether the conditional PUT of 'k' was carried out"):
        client.put("k", DATA, conditions=conditions)
    assert len(server.seen) == 1


def test_a_conditional_write_that_was_refused_is_sent_again(client: Both, server: Scripted) -> None:
    server.plays(answer(429), answer(503), stored(DATA))
    assert client.put("k", DATA, conditions=ONLY_IF_ABSENT).size == len(DATA)


def test_a_condition_that_fails_after_a_doubtful_refusal_is_no_proof(client: Both, server: Scripted) -> None:
    server.plays(answer(503), failure(412, "already_exists"))
    with pytest.raises(Unavailable, match="not known"):
        client.put("k", DATA, conditions=ONLY_IF_ABSENT)


def test_a_condition_that_fails_after_waiting_for_the_limiter_counts(client: Both, server: Scripted) -> None:
    server.plays(answer(429), failure(412, "already_exists"))
    with pytest.raises(AlreadyExists):
        client.put("k", DATA, conditions=ONLY_IF_ABSENT)


@pytest.mark.parametrize("act", [cut(), answer(502), answer(500)])
def test_an_object_gone_when_its_deletion_is_repeated_was_deleted(client: Both, server: Scripted, act: Act) -> None:
    server.plays(act, failure(404, "not_found"))
    client.delete("k")
    assert server.methods == ["DELETE", "DELETE"]


@pytest.mark.parametrize("acts", [[], [answer(429)]])
def test_an_object_that_was_never_there_cannot_be_deleted(client: Both, server: Scripted, acts: list[Act]) -> None:
    server.plays(*acts, failure(404, "not_found"))
    with pytest.raises(NotFound):
        client.delete("k")


def test_a_conditional_deletion_of_unknown_fate_is_not_sent_again(client: Both, server: Scripted) -> None:
    server.plays(cut())
    with pytest.raises(Unavailable, match="conditional DELETE"):
        client.delete("k", conditions=Conditions(if_match=("e1",)))


def test_keys_absent_when_the_deletion_of_many_is_repeated_were_deleted(client: Both, server: Scripted) -> None:
    told = b'{"deleted": ["a"], "errors": [{"key": "b", "code": "not_found", "message": "gone"}]}'
    server.plays(cut(), answer(200, told))
    assert client.delete_many(["a", "b"]).deleted == ("a", "b")
    server.plays(answer(200, told))
    assert client.delete_many(["a", "b"]).absent == ("b",)
