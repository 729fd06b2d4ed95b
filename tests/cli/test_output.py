from __future__ import annotations

import json

import pytest

from objectstore.cli.output import Output, human_size, in_words, printable
from objectstore.errors import NotFound, Unauthenticated


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 1024, "10 KiB"),
        (999 * 1024, "999 KiB"),
        (1023 * 1024, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (2 * 1024**3, "2.0 GiB"),
        (5000 * 1024**6, "5000 EiB"),
    ],
)
def test_sizes_are_short(size: int, shown: str) -> None:
    assert human_size(size) == shown


def test_a_key_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\u202eé😀") == "a\\x1b[2Jb\\nc\\u202eé😀"


def test_an_error_of_the_system_names_the_file() -> None:
    assert in_words(FileNotFoundError(2, "No such file or directory", "report.pdf")) == (
        "report.pdf: No such file or directory"
    )


def test_a_refused_token_is_answered_with_how_to_give_one() -> None:
    assert "OBJECTSTORE_TOKEN" in in_words(Unauthenticated())


def test_remarks_go_to_stderr_and_data_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output()
    out.say("stored a")
    out.line("a")
    assert capsys.readouterr() == ("a\n", "stored a\n")


@pytest.mark.parametrize("out", [Output(quiet=True), Output(json=True)])
def test_the_quiet_and_programs_are_spared_remarks(out: Output, capsys: pytest.CaptureFixture[str]) -> None:
    out.say("stored a")
    assert capsys.readouterr() == ("", "")


def test_with_json_an_error_is_a_document_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).error(NotFound("a"))
    found = capsys.readouterr()
    assert found.out == ""
    error = json.loads(found.err)["error"]
    assert (error["code"], error["key"]) == ("not_found", "a")
