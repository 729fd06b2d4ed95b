"""Counting how far a transfer is, and drawing it."""

from __future__ import annotations

import io
import subprocess
import sys

from rich.console import Console

from objectstore.client.progress import Bar
from objectstore.client.transfers.meter import Meter


def test_what_is_done_twice_is_counted_once() -> None:
    told: list[tuple[int, int | None]] = []
    meter = Meter(lambda done, total: told.append((done, total)), 100)
    for size in (40, -40, 30, 20, 50):
        meter.add(size)
    meter.finish()
    assert told == [(40, 100), (50, 100), (100, 100)]


def test_the_last_call_tells_the_total_whatever_was_counted() -> None:
    told: list[tuple[int, int | None]] = []
    for total in (None, 5, 0):
        meter = Meter(lambda *one: told.append(one), total)
        if total is None:
            meter.add(3)
        meter.finish()
        meter.finish()
    assert told == [(3, None), (3, 3), (5, 5), (0, 0)]


def test_the_bar_draws_what_it_is_told() -> None:
    drawn = io.StringIO()
    with Bar("up [bold]", console=Console(file=drawn, force_terminal=True, width=100)) as bar:
        bar(1_048_576, None)
        bar(1_048_576, 2_097_152)
        bar(2_097_152, 2_097_152)
    assert "up [bold]" in drawn.getvalue()
    assert "2.0/2.0 MiB" in drawn.getvalue()


def test_without_rich_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['rich'] = None; from objectstore.client.progress import Bar; Bar()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "Bar needs rich" in ended.stderr
    assert "pip install 'objectstore[cli]'" in ended.stderr


def test_a_notebook_without_widgets_gets_a_bar_of_text() -> None:
    # As Rich recognizes the shell of a notebook.
    program = """
import builtins, sys, warnings
warnings.simplefilter("error")
builtins.get_ipython = type("ZMQInteractiveShell", (), {})
from objectstore.client.progress import Bar
with Bar("up") as bar:
    bar(2_097_152, 2_097_152)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "2.0/2.0 MiB" in ended.stderr
