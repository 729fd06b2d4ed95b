from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from objectstore.auth.store import RECHECK, TokenFile, TokenStore
from objectstore.errors import ConfigurationError, Unauthenticated

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(file: TokenFile, clock: Clock) -> TokenStore:
    return TokenStore(file.path, clock=clock)


def add(file: TokenFile, name: str = "someone", ttl: timedelta = DAY) -> bytes:
    """The Authorization header that a new token makes."""
    return b"Bearer " + file.add(name, scopes=["read"], now=NOW, ttl=ttl).encode()


def refused(store: TokenStore, authorization: bytes | None, now: datetime = NOW) -> str:
    with pytest.raises(Unauthenticated) as caught:
        store.authenticate(authorization, now)
    return caught.value.message


def test_the_bearer_of_a_token_is_known(file: TokenFile, store: TokenStore) -> None:
    token = file.add("someone", scopes=["read", "write"], prefixes=["a/"], now=NOW, ttl=DAY)
    credential = store.authenticate(f"Bearer {token}".encode(), NOW)
    assert (credential.name, credential.scopes, credential.prefixes) == (
        "someone",
        frozenset({"read", "write"}),
        ("a/",),
    )


def test_the_scheme_is_read_in_any_case_and_spaces_are_forgiven(file: TokenFile, store: TokenStore) -> None:
    header = add(file)
    assert store.authenticate(header.replace(b"Bearer ", b"bearer  ") + b" ", NOW).name == "someone"


def test_a_token_ends_at_its_end(file: TokenFile, store: TokenStore) -> None:
    header = add(file)
    assert store.authenticate(header, NOW + DAY - timedelta(seconds=1)).name == "someone"
    refused(store, header, NOW + DAY)


def test_a_token_without_end_stays_valid(file: TokenFile, store: TokenStore) -> None:
    token = file.add("first", scopes=["read"], now=NOW, ttl=None)
    assert store.authenticate(f"Bearer {token}".encode(), NOW + 36500 * DAY).name == "first"


def test_every_refusal_has_the_same_words(file: TokenFile, store: TokenStore) -> None:
    header = add(file)
    headers = [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer os_unknown",
        b"Basic " + header[7:],
        header[7:],
        header[:-1],
        header + b"x",
        b"Bearer \xff\x00",
    ]
    assert len({refused(store, one) for one in headers} | {refused(store, header, NOW + DAY)}) == 1


def test_a_hash_is_no_token(file: TokenFile, store: TokenStore) -> None:
    add(file)
    kept = json.loads(file.path.read_text())["tokens"][0]["sha256"]
    refused(store, f"Bearer {kept}".encode())


def test_a_change_counts_at_the_next_look(file: TokenFile, store: TokenStore, clock: Clock) -> None:
    first = add(file, "first")
    store.load()
    second = add(file, "second")
    file.delete("first")
    refused(store, second)
    assert store.authenticate(first, NOW).name == "first"
    clock.time += RECHECK
    assert store.authenticate(second, NOW).name == "second"
    refused(store, first)


def test_between_two_looks_the_file_is_not_touched(file: TokenFile, store: TokenStore, clock: Clock) -> None:
    header = add(file)
    store.load()
    file.path.unlink()
    clock.time += RECHECK - 0.001
    assert store.authenticate(header, NOW).name == "someone"


def test_a_file_of_the_same_size_and_time_is_still_seen_to_be_another(
    file: TokenFile, store: TokenStore, clock: Clock
) -> None:
    first = add(file, "same")
    store.load()
    status = file.path.stat()
    file.delete("same")
    second = add(file, "same")
    os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.path.stat().st_size == status.st_size
    clock.time += RECHECK
    assert store.authenticate(second, NOW).name == "same"
    refused(store, first)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_broken_file_leaves_the_last_good_one_in_force_and_is_told_once(
    file: TokenFile, store: TokenStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    header = add(file)
    store.load()
    good = file.path.read_bytes()
    file.path.write_bytes(good[:-20])
    for _ in range(3):
        clock.time += RECHECK
        assert store.authenticate(header, NOW).name == "someone"
    assert len(complaints(caplog)) == 1
    assert "it is not JSON" in complaints(caplog)[0]
    assert "the 1 tokens last read stay in force" in complaints(caplog)[0]
    file.path.write_bytes(good)
    other = add(file, "other")
    clock.time += RECHECK
    assert store.authenticate(other, NOW).name == "other"
    file.path.write_bytes(good[:-20])
    clock.time += RECHECK
    assert store.authenticate(other, NOW).name == "other"
    assert len(complaints(caplog)) == 2


def test_a_vanished_file_leaves_the_last_good_one_in_force_and_is_told_once(
    file: TokenFile, store: TokenStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    header = add(file)
    store.load()
    aside = file.path.rename(file.path.with_name("aside"))
    for _ in range(3):
        clock.time += RECHECK
        assert store.authenticate(header, NOW).name == "someone"
    assert [text for text in complaints(caplog) if "is gone; the 1 tokens last read stay in force" in text]
    assert len(complaints(caplog)) == 1
    aside.rename(file.path)
    clock.time += RECHECK
    assert store.authenticate(header, NOW).name == "someone"
    file.path.unlink()
    clock.time += RECHECK
    assert store.authenticate(header, NOW).name == "someone"
    assert len(complaints(caplog)) == 2


def test_without_a_file_all_are_refused_until_there_is_one(
    file: TokenFile, store: TokenStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store.load()
    assert len(complaints(caplog)) == 1
    assert f"objectstore.auth_tokens add NAME --ttl DAYS --scope read --scope write --file {file.path}" in caplog.text
    clock.time += RECHECK
    refused(store, b"Bearer os_x")
    assert len(complaints(caplog)) == 1
    header = add(file)
    clock.time += RECHECK
    assert store.authenticate(header, NOW).name == "someone"


def test_a_broken_file_keeps_a_server_from_starting(file: TokenFile, store: TokenStore) -> None:
    file.path.write_text("[]")
    with pytest.raises(ConfigurationError, match="it does not hold a JSON object"):
        store.load()


def test_neither_tokens_nor_hashes_are_logged(
    file: TokenFile, store: TokenStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    header = add(file)
    store.load()
    contents = json.loads(file.path.read_text())
    kept = contents["tokens"][0]["sha256"]
    file.path.write_text(json.dumps({**contents, "tokens": contents["tokens"] * 2}))
    clock.time += RECHECK
    store.authenticate(header, NOW)
    refused(store, header + b"x")
    assert "two tokens named" in caplog.text
    assert header[7:].decode() not in caplog.text
    assert kept not in caplog.text


def test_a_file_replaced_out_of_sight_is_told_of(
    file: TokenFile, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    # What a container sees of a single mounted file that was replaced outside: the old one, without a name.
    header = add(file)
    with file.path.open("rb") as opened:
        seen = TokenStore(Path(f"/proc/self/fd/{opened.fileno()}"), clock=clock)
        seen.load()
        another = file.path.with_name("another")
        another.write_bytes(file.path.read_bytes())
        another.replace(file.path)
        for _ in range(3):
            clock.time += RECHECK
            assert seen.authenticate(header, NOW).name == "someone"
    assert len(complaints(caplog)) == 1
    assert "mount its folder instead" in complaints(caplog)[0]


def test_a_file_that_cannot_be_read_is_complained_of_until_it_can(
    file: TokenFile, store: TokenStore, clock: Clock
) -> None:
    header = add(file)
    store.load()
    assert store.complaint == ""
    kept = file.path.rename(file.path.with_name("kept"))
    file.path.mkdir()  # as Docker does for a file to be mounted that does not exist
    assert store.complaint == ""  # not looked at yet
    clock.time += RECHECK
    assert "cannot be read: Is a directory; Docker makes one" in store.complaint
    assert store.authenticate(header, NOW).name == "someone"
    file.path.rmdir()
    kept.rename(file.path)
    clock.time += RECHECK
    assert store.complaint == ""


def test_the_log_may_say_why_a_token_was_refused(file: TokenFile, store: TokenStore) -> None:
    header = add(file)
    store.load()
    assert store.why_not(b"Basic eDp5") == "its Authorization is none of a bearer"
    assert store.why_not(header + b"x") == "its token is not known"
    assert (
        store.why_not(header) == "the token 'someone' has expired"
    )  # all that is left, as it is asked of refused ones


def test_of_a_rotated_token_only_the_new_one_counts(file: TokenFile, store: TokenStore, clock: Clock) -> None:
    old = add(file)
    store.load()
    new = b"Bearer " + file.rotate("someone", now=NOW).encode()
    assert store.authenticate(old, NOW).name == "someone"  # for half a second
    clock.time += RECHECK
    refused(store, old)
    assert store.authenticate(new, NOW).name == "someone"
