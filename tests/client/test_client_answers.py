"""Answers that no object store gives are told as what they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client.both import TOKEN, Both
from client.scripted import Act, Scripted, answer, cut, failure, stored
from objectstore import BadRequest, Corrupted, Forbidden, InternalError, NotFound, RateLimited, Unavailable

PORTAL = b"<html><body>Please log in to the guest network</body></html>"


CALLS: dict[str, tuple[object, ...]] = {
    "put": ("k", b""),
    "get": ("k",),
    "read": ("k",),
    "copy": ("k", "j"),
    "delete_many": (["k"],),
    "list": (),
    "keys": (),
    "begin_upload": ("k",),
    "put_part": ("id", 1, b""),
    "get_upload": ("id",),
    "uploads": (),
    "complete_upload": ("id", []),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_page_of_a_portal_is_an_error(client: Both, server: Scripted, name: str) -> None:
    server.plays(answer(200, PORTAL, [("content-type", "text/html")]))
    with pytest.raises(InternalError, match="is not that of an object store"):
        getattr(client, name)(*CALLS[name])


@pytest.mark.parametrize(
    "body",
    [
        b'{"keys": ["a", "b"], "next_cur',
        b'{"keys": "ab", "next_cursor": null}',
        b'{"keys": [1], "next_cursor": null}',
        b'{"keys": ["a"]}',
        b"[]",
        b"null",
        b"\xff",
        b"",
    ],
    ids=repr,
)
def test_a_listing_in_pieces_is_an_error(client: Both, server: Scripted, body: bytes) -> None:
    server.plays(answer(200, body))
    with pytest.raises(InternalError):
        client.list()


def test_a_listing_that_goes_in_circles_is_an_error(client: Both, server: Scripted) -> None:
    server.plays(*[answer(200, b'{"keys": ["a"], "next_cursor": "x"}')] * 2)
    with pytest.raises(InternalError, match="its next page is itself"):
        client.keys()


def test_a_page_of_a_gateway_is_unavailable(client: Both, server: Scripted) -> None:
    server.plays(*[answer(502, PORTAL)] * 4)
    with pytest.raises(Unavailable):
        client.get("k")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(client: Both, server: Scripted, status: int) -> None:
    server.plays(answer(status, b"", [("location", f"{server.url}/elsewhere")]))
    with pytest.raises(BadRequest, match=r"redirects to 'http://127\.0\.0\.1:.*/elsewhere'"):
        client.get("k")
    assert len(server.seen) == 1


def test_rubbish_instead_of_http_is_unavailable(client: Both, server: Scripted) -> None:
    server.plays(*[cut(b"220 mail.example.org ESMTP\r\n\r\n")] * 4)
    with pytest.raises(Unavailable, match="the connection was lost"):
        client.get("k")


def test_an_error_is_told_in_the_words_of_the_server(client: Both, server: Scripted) -> None:
    server.plays(failure(403, "forbidden"))
    with pytest.raises(Forbidden, match="the server says forbidden"):
        client.put("k", b"")


def test_an_error_that_is_cut_short_is_still_one(client: Both, server: Scripted) -> None:
    server.plays(answer(403, b'{"error": {"co', length=1000, keep=False))
    with pytest.raises(Forbidden):
        client.get("k")


def test_an_absent_object_is_told_by_its_key(client: Both, server: Scripted) -> None:
    server.plays(*[answer(404, b"", [("x-error-code", "not_found")])] * 2)
    with pytest.raises(NotFound, match="'some/key'"):
        client.head("some/key")
    assert client.exists("some/key") is False


@pytest.mark.parametrize(
    "act",
    [
        answer(404, PORTAL, [("content-type", "text/html; charset=utf-8")]),
        failure(404, "no_such_path", ("x-error-code", "no_such_path")),
    ],
    ids=["html", "code"],
)
def test_a_wrong_base_url_does_not_look_like_an_absent_object(client: Both, server: Scripted, act: Act) -> None:
    server.plays(*[act] * 3)
    for call in client.exists, client.get, client.delete:
        with pytest.raises(InternalError, match=r"there is nothing at this path.* is the base URL right"):
            call("k")


def test_a_proxy_that_drops_codes_may_tell_of_absence(client: Both, server: Scripted) -> None:
    server.plays(answer(404))
    assert client.exists("k") is False


def test_exists_does_not_take_another_error_for_absence(client: Both, server: Scripted) -> None:
    server.plays(answer(403))
    with pytest.raises(Forbidden):
        client.exists("k")


def test_a_copy_names_the_source_that_is_absent(client: Both, server: Scripted) -> None:
    server.plays(answer(404))
    with pytest.raises(NotFound, match="'source'"):
        client.copy("source", "target")


def test_a_store_that_keeps_something_else_is_corrupted(client: Both, server: Scripted) -> None:
    server.plays(stored(b"other bytes"), stored(b"other bytes"))
    with pytest.raises(Corrupted, match="the object stored under 'k' is wrong"):
        client.put("k", b"some bytes")
    with pytest.raises(Corrupted, match="the object stored under 'k' is wrong"):
        client.put("k", client.source(b"some bytes"))


def test_many_keys_that_fail_have_their_errors(client: Both, server: Scripted) -> None:
    told = b"""{"deleted": ["a"], "errors": [
        {"key": "b", "code": "forbidden", "message": "not yours"},
        {"key": "c", "code": "rate_limited", "message": "slowly"},
        {"key": "d", "code": "no_code_known_here", "message": "oh"},
        {"key": "e", "code": "not_found", "message": "gone"}]}"""
    server.plays(answer(200, told))
    result = client.delete_many("abcde"[at] for at in range(5))
    assert (result.deleted, result.absent) == (("a",), ("e",))
    assert {key: (type(error), str(error)) for key, error in result.failed.items()} == {
        "b": (Forbidden, "not yours"),
        "c": (RateLimited, "slowly"),
        "d": (InternalError, "oh"),
    }


def test_the_token_is_sent_and_none_is_not(client_of: Callable[..., Both], server: Scripted) -> None:
    server.plays(answer(404), answer(404))
    client_of(server.url).exists("k")
    client_of(server.url, token=None).exists("k")
    assert server.seen[0].fields["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in server.seen[1].fields
    for one in server.seen:
        assert (one.fields["accept-encoding"], one.fields["user-agent"]) == ("identity", "objectstore-python")
