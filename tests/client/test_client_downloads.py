"""What arrives is counted and compared with its digest, across connections that are lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.both import Both
from client.scripted import Act, Scripted, answer, content, cut, failure
from objectstore import Bounded, Conditions, Corrupted, From, InternalError, Last, NotModified, Unavailable, Unsupported

DATA = bytes(range(256)) * 4


def test_a_get_that_is_cut_midway_goes_on_where_it_was_cut(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=100), _rest_from(100))
    assert client.get("k") == DATA
    assert server.seen[1].fields["range"] == "bytes=100-1023"
    assert "if-match" in server.seen[1].fields


def test_a_get_that_is_always_cut_is_unavailable(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=100), *[_rest_from(100, ends=0)] * 3)
    with pytest.raises(Unavailable):
        client.get("k")


def test_a_get_that_goes_on_with_wrong_bytes_is_corrupted(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=100), content(bytes(1024), start=100, stop=1024))
    with pytest.raises(Corrupted):
        client.get("k")


def test_a_get_with_another_digest_is_corrupted(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, damage=True))
    with pytest.raises(Corrupted, match="SHA-256"):
        client.get("k")


def test_a_range_has_no_digest_to_compare(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, start=3, stop=9))
    assert client.get("k", range=Bounded(3, 9)) == DATA[3:9]
    assert server.seen[0].fields["range"] == "bytes=3-8"


@pytest.mark.parametrize("wanted", [Bounded(3, 8), From(3), Last(6)])
def test_another_range_than_was_asked_for_is_refused(
    client: Both, server: Scripted, wanted: Bounded | From | Last
) -> None:
    server.plays(*[content(DATA, start=3, stop=9)] * 2)
    with pytest.raises(InternalError, match="not what was asked for"):
        client.get("k", range=wanted)
    with pytest.raises(InternalError, match="not what was asked for"):
        client.read("k", range=wanted)


def test_a_range_of_a_server_without_ranges_is_unsupported(client: Both, server: Scripted) -> None:
    server.plays(*[content(DATA)] * 2)
    with pytest.raises(Unsupported):
        client.get("k", range=From(3))
    with pytest.raises(NotImplementedError):
        client.read("k", range=From(3))


def test_an_answer_without_length_is_refused(client: Both, server: Scripted) -> None:
    headers = b'HTTP/1.1 200 OK\r\netag: "e"\r\nlast-modified: Mon, 06 May 2024 07:08:09 GMT\r\n\r\n'
    server.plays(*[cut(headers + b"some bytes")] * 3)
    for read in client.get, client.read, client.head:
        with pytest.raises(InternalError, match="content-length"):
            read("k")


def test_a_stream_gives_what_is_known_of_the_object(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, start=10, stop=20))
    found, chunks = client.read("k", range=Bounded(10, 20))
    assert (found.size, found.etag, found.attributes.content_type) == (len(DATA), "e1", "text/plain")
    assert b"".join(chunks) == DATA[10:20]


def test_a_stream_goes_on_where_it_was_cut(client: Both, server: Scripted) -> None:
    server.plays(
        content(DATA, ends=100), cut(), answer(503), content(DATA, start=100, stop=1024, ends=24), _rest_from(124)
    )
    _, chunks = client.read("k")
    assert b"".join(chunks) == DATA
    asked = [(one.fields.get("range"), one.fields.get("if-match")) for one in server.seen]
    assert asked == [(None, None), *[("bytes=100-1023", '"e1"')] * 3, ("bytes=124-1023", '"e1"')]


def test_a_stream_of_a_range_goes_on_where_it_was_cut(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, start=10, stop=50, ends=20), content(DATA, start=30, stop=50))
    _, chunks = client.read("k", range=Bounded(10, 50))
    assert b"".join(chunks) == DATA[10:50]


def test_a_stream_that_goes_on_with_wrong_bytes_is_corrupted(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=100), content(DATA, start=100, stop=1024, damage=True))
    with pytest.raises(Corrupted, match="SHA-256"):
        client.read("k")


def test_a_stream_that_makes_progress_may_be_cut_again_and_again(client: Both, server: Scripted) -> None:
    server.plays(*[_rest_from(at, ends=1) for at in range(10)], _rest_from(10))
    assert b"".join(client.read("k")[1]) == DATA


def test_a_stream_without_progress_is_unavailable(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=0), *[content(DATA, start=0, stop=len(DATA), ends=0)] * 3)
    with pytest.raises(Unavailable):
        client.read("k")
    assert client.slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("act", [failure(412, "precondition_failed"), failure(404, "not_found")])
def test_a_stream_of_an_object_that_changed_meanwhile_is_unavailable(client: Both, server: Scripted, act: Act) -> None:
    server.plays(content(DATA, ends=100), act)
    with pytest.raises(Unavailable, match="overwritten or deleted while it was read"):
        client.read("k")


@pytest.mark.parametrize("act", [content(DATA, etag="e2"), content(DATA, start=99, stop=1024), answer(200, b"<html>")])
def test_a_stream_does_not_go_on_with_something_else(client: Both, server: Scripted, act: Act) -> None:
    server.plays(content(DATA, ends=100), act)
    with pytest.raises(InternalError):
        client.read("k")


def test_a_stream_cut_by_a_server_without_ranges_is_unavailable(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, ends=100), content(DATA))
    with pytest.raises(Unavailable, match="serves no ranges"):
        client.read("k")


def test_a_damaged_stream_ends_with_an_error(client: Both, server: Scripted) -> None:
    server.plays(content(DATA, damage=True))
    with pytest.raises(Corrupted):
        client.read("k")


def test_the_connection_of_a_stream_that_was_read_is_used_again(client: Both, server: Scripted) -> None:
    server.plays(content(DATA), content(DATA))
    client.read("k")
    client.get("k")
    assert [one.connection for one in server.seen] == [0, 0]


def test_the_reader_keeps_its_copy_when_it_is_current(client: Both, server: Scripted) -> None:
    server.plays(*[answer(304, b"", [("etag", '"e1"')])] * 2)
    held = Conditions(if_none_match=("e1",))
    with pytest.raises(NotModified):
        client.get("k", conditions=held)
    with pytest.raises(NotModified):
        client.read("k", conditions=held)
    assert server.seen[0].fields["if-none-match"] == '"e1"'


def _rest_from(start: int, *, ends: int | None = None) -> Act:
    return content(DATA, start=start, stop=len(DATA) if start else None, ends=ends)


def test_streams_that_are_refused_give_their_connections_back(client_of: Callable[..., Both], server: Scripted) -> None:
    refused = answer(200, b"<html>" * 100_000)
    server.plays(refused, content(DATA, ends=1), refused, content(DATA))
    client = client_of(server.url, max_connections=1, timeout=5)
    for _ in range(2):
        with pytest.raises(InternalError):
            client.read("k")
    assert client.get("k") == DATA


def test_a_stream_left_early_gives_its_connection_back(client_of: Callable[..., Both], server: Scripted) -> None:
    server.plays(content(DATA * 1000), content(DATA))
    client = client_of(server.url, max_connections=1, timeout=5)
    assert client.first_chunk("k")
    assert client.get("k") == DATA
