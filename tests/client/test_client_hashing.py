"""Hashing in a thread gives what hashing in line does."""

from __future__ import annotations

import hashlib
import os

import pytest

from objectstore.client import hashing
from objectstore.client.hashing import BesideSha256

CHUNKS = [bytes([number]) * size for number, size in enumerate([1, 40_000, 0, 262_144, 32_768, 70_000, 5] * 8)]


def digest() -> bytes:
    sha256 = BesideSha256()
    for chunk in CHUNKS:
        sha256.update(chunk)
    return sha256.digest()


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_the_digest_is_that_of_the_bytes_in_order(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    own = hashing._Threads()
    own.number = threads
    monkeypatch.setattr(hashing, "_own", own)
    assert digest() == hashlib.sha256(b"".join(CHUNKS)).digest()
    assert (own.running is not None) is (threads > 0)
    if own.running is not None:
        own.running.shutdown()


def test_bytes_may_come_after_the_digest_was_asked_for() -> None:
    sha256 = BesideSha256()
    sha256.update(b"a")
    sha256.digest()
    sha256.update(b"b" * 100_000)
    assert sha256.digest() == hashlib.sha256(b"a" + b"b" * 100_000).digest()


def test_no_more_is_held_than_a_few_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Never:
        """Threads that never have the time."""

        def submit(self, work: object) -> None:
            pass

    monkeypatch.setattr(hashing, "_threads", Never)
    sha256, most = BesideSha256(), 0
    for chunk in [bytes(40_000)] * 20:
        sha256.update(chunk)
        most = max(most, len(sha256._waiting))
    assert most == hashing._WAITING
    assert sha256.digest() == hashlib.sha256(bytes(800_000)).digest()


def test_a_child_has_threads_of_its_own() -> None:
    digest()
    pid = os.fork()
    if pid == 0:
        fresh = hashing._own.running is None
        os._exit(0 if fresh and digest() == hashlib.sha256(b"".join(CHUNKS)).digest() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
