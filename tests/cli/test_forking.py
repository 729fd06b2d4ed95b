"""Copies of a process: what they give back, and which signals they hear."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A process of its own: that of the tests may have threads, and then nothing is copied.
HEAD = """
import multiprocessing, os, signal, sys, threading
from objectstore.cli.forking import apart, hear_the_end, lives, start_method, starting_processes
from objectstore.errors import ConfigurationError, NotFound
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")


def said(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", HEAD + script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_process_whose_end_somebody_else_was_told_of_does_not_live() -> None:
    told = said("""
reader, writer = os.pipe()
process = multiprocessing.get_context("fork").Process(target=os.read, args=(reader, 1))
process.start()
print(lives(process))
os.write(writer, b".")
os.waitpid(process.pid, 0)
print(process.is_alive(), lives(process))
""")
    assert told.split() == ["True", "True", "False"]


def test_what_is_done_apart_leaves_nothing_here() -> None:
    told = said("""
def start_much():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    os.open("/dev/null", os.O_RDONLY)
    return os.getpid(), threading.active_count()
before = os.listdir("/proc/self/fd")
other, threads = apart(start_much)
print(other != os.getpid(), threads, threading.active_count(), os.listdir("/proc/self/fd") == before, start_method())
""")
    assert told == "True 2 1 True fork"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("ConfigurationError('no such folder')", "ConfigurationError('no such folder')"),
        ("NotFound('key')", "NotFound(\"no object under the key 'key'\")"),
        ("type('Odd', (Exception,), {})('local')", "RuntimeError('Odd: local')"),
    ],
)
def test_an_error_of_what_is_done_apart_is_raised_here(raised: str, expected: str) -> None:
    assert expected == said(f"""
def fail():
    raise {raised}
try:
    apart(fail)
except Exception as error:
    print(repr(error))
""")


def test_the_death_of_a_copy_is_told() -> None:
    told = said("""
try:
    apart(lambda: os.kill(os.getpid(), signal.SIGKILL))
except ChildProcessError as error:
    print(error)
""")
    assert told.endswith("exit code -9")


def test_with_other_threads_nothing_is_copied() -> None:
    told = said("""
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(start_method(), apart(os.getpid) == os.getpid())
""")
    assert told == "spawn True"


def test_sigterm_waits_until_a_copy_hears_it_and_does_not_reach_the_handler_it_was_born_with() -> None:
    told = said("""
signal.signal(signal.SIGTERM, lambda *_: print("swallowed", flush=True))
reading, writing = os.pipe()
def live():
    os.read(reading, 1)  # the signals are there
    hear_the_end()
    print("deaf", flush=True)
process = multiprocessing.get_context("fork").Process(target=live)
with starting_processes("fork"):
    process.start()
os.kill(process.pid, signal.SIGINT)
os.kill(process.pid, signal.SIGTERM)
os.write(writing, b"x")
process.join(30)
print(process.exitcode)
""")
    assert told == "-15"


def test_a_signal_to_the_starting_process_is_not_lost() -> None:
    told = said("""
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
with starting_processes("fork"):
    os.kill(os.getpid(), signal.SIGTERM)
    print(heard)
print(heard)
""")
    assert told.split("\n") == ["[]", "[1]"]
