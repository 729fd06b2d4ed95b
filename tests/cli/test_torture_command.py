"""`objectstore torture` as people see it; what it does is tested in tests/testing."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.served import invoke
from objectstore.cli import exits, torture
from objectstore.cli.output import Output
from objectstore.cli.workplace import workplace
from objectstore.testing.servergroup import tail
from objectstore.testing.torture import report
from objectstore.testing.torture.history import Event
from objectstore.testing.torture.run import ANY_MOMENT, Options, Outcome, Tally
from objectstore.testing.torture.verdict import Violation

LOST = Violation(
    message="'k': lost",
    key="k",
    history=[Event(key="k", kind="write", start=1, end=2, value="put-1.0.0-1-64", who="1.0.0")],
)


def outcome(folder: Path, *violations: Violation) -> Outcome:
    tally = Tally(
        kills=Counter({ANY_MOMENT: 3, "after_rename": 2}), answered=100, unanswered=7, events=150, seconds=12.4
    )
    options = Options(command=["server"], folder=folder, seed=42)
    return Outcome(
        options=options, tally=tally, violations=violations, last_kill="after_rename", began=datetime.now(UTC)
    )


def test_the_two_ways_to_say_when_to_end_are_not_for_both() -> None:
    answer = invoke("torture", "--seconds", "5", "--kills", "5")
    assert answer.returncode == exits.USAGE
    assert b"--seconds and --kills" in answer.stderr


def test_what_was_done_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torture._tell(Output(), outcome(tmp_path))
    told = capsys.readouterr().out
    assert told.startswith("5 kills in 12 s, 3 of them at any moment; 100 answers and 7 requests without one")
    assert "nothing was lost" in told


def test_what_is_wrong_is_told_with_the_place_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = outcome(tmp_path, LOST)
    path = report.write(found)
    torture._tell(Output(), found)
    torture._tell_violations(Output(), found, path)
    told = capsys.readouterr()
    assert "nothing was lost" not in told.out
    assert told.err == f"wrong: 'k': lost\n1 wrong after a kill (after_rename): see {path}\n"
    (violation,) = json.loads(path.read_text())["violations"]
    assert violation["history"][0]["told"] == "wrote put-1.0.0-1-64"


def test_a_server_that_does_not_start_is_told_with_all_that_it_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "server.log"
    log.write_text("one line\nanother\n")
    found = outcome(tmp_path, Violation(message=f"the server ended by itself with 2: {tail(log)}"))
    torture._tell_violations(Output(), dataclasses.replace(found, last_kill=""), tmp_path / "report.json")
    assert capsys.readouterr().err.splitlines() == [
        "wrong: the server ended by itself with 2: one line",
        "another",
        f"1 wrong before the first kill: see {tmp_path / 'report.json'}",
    ]


def test_nothing_is_left_when_it_is_told_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "objectstore", "torture", "--clients", "1", "--server", "uvicorn"]
    environment = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"seed" in process.stderr.readline()
        (folder,) = tmp_path.iterdir()
        # More than once, as the impatient do.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            process.send_signal(number)
        assert process.wait(60) == exits.INTERRUPTED
        assert b"cut short after 0 kills" in process.stderr.read()
    assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_empty_again_when_nothing_was_wrong(tmp_path: Path) -> None:
    with workplace(tmp_path / "new", "torture", Output()) as place:
        (place.folder / "data").mkdir()
        (place.folder / "log").touch()
    assert list((tmp_path / "new").iterdir()) == []
    with workplace(tmp_path / "new", "torture", Output()) as place:
        (place.folder / "report.json").touch()
        place.kept = True
    assert (tmp_path / "new/report.json").exists()


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_test_that_does_not_come_to_its_end_leaves_what_is_in_the_folder(
    error: type[BaseException], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut_short() -> None:
        with workplace(tmp_path, "torture", Output()) as place:
            (place.folder / "log").touch()
            raise error

    with pytest.raises(error):
        cut_short()
    assert (tmp_path / "log").exists()
    assert capsys.readouterr().err == f"what it left is in {tmp_path}\n"


def test_a_terminal_that_is_closed_ends_it_and_nohup_keeps_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as told, workplace(None, "torture", Output()) as place:
            signal.raise_signal(signal.SIGHUP)
        assert (told.value.code, place.folder.exists()) == (129, False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with workplace(None, "torture", Output()):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_no_empty_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    for place, why in ((mine, b"is not a folder"), (tmp_path, b"is not empty")):
        refused = invoke("torture", "--kills", "1", "--data", str(place))
        assert (refused.returncode, why in refused.stderr, b"seed" in refused.stderr) == (exits.USAGE, True, False)
    assert mine.read_text() == "precious"
