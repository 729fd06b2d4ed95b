"""The process that forks servers: each life has its own group, arguments, environment and log, and its end is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from objectstore.testing.servergroup import living
from objectstore.testing.torture.zygote import Zygote

LIFE = """
import multiprocessing, os, sys
from objectstore.testing.torture import zygote
zygote.forks(sys.argv[1:])
print(sys.argv[1:], os.environ["MARK"], os.getpgrp() == os.getpid(), multiprocessing.get_start_method(), flush=True)
if sys.argv[1] == "wait":
    sys.stdin.close()
    import signal
    signal.pause()
sys.exit(int(sys.argv[1]))
"""


def test_lives_are_forked_and_their_ends_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Zygote([sys.executable, "-c", LIFE], os.environ) as zygote:
        ended = zygote.start(["3", "x"], {"MARK": "first"}, log)
        assert zygote.wait(ended) == 3
        waiting = zygote.start(["wait"], {"MARK": "second"}, log)
        assert zygote.poll(waiting) is None
        os.kill(waiting, signal.SIGKILL)
        assert zygote.wait(waiting) == -signal.SIGKILL
        assert zygote.poll(waiting) == -signal.SIGKILL
        assert zygote.poll(ended) == 3
        assert log.read_text().splitlines()[0] == "['3', 'x'] first True fork"


def test_no_life_goes_on_when_the_run_has_gone(tmp_path: Path) -> None:
    with Zygote([sys.executable, "-c", LIFE], os.environ) as zygote:
        life = zygote.start(["wait"], {"MARK": "alone"}, tmp_path / "log")
        assert living(life)
    deadline = time.monotonic() + 60
    while living(life) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not living(life)


def test_a_zygote_that_ends_is_told(tmp_path: Path) -> None:
    with (
        Zygote([sys.executable, "-c", "raise SystemExit(5)"], os.environ) as zygote,
        pytest.raises(RuntimeError, match="with 5"),
    ):
        zygote.start(["serve"], {}, tmp_path / "log")
