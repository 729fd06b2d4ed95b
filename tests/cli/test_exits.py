from __future__ import annotations

import pytest
import typer

from objectstore import errors
from objectstore.cli import exits
from objectstore.cli.output import Output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("a"), 4),
        (errors.UploadNotFound("a"), 4),
        (errors.Unauthenticated(), 5),
        (errors.Forbidden("no"), 5),
        (exits.Usage("no"), 2),
        (errors.InvalidKey("no"), 2),
        (errors.ConfigurationError("no"), 2),
        (errors.AlreadyExists("a"), 1),
        (errors.Unavailable("away"), 1),
        (errors.Corrupted("short"), 1),
        (OSError(28, "No space left on device"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exits.code_of(error) == code
    with pytest.raises(typer.Exit) as caught, exits.reported(Output()):
        raise error
    assert caught.value.exit_code == code


def _app(error: BaseException) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise error

    return app


@pytest.mark.parametrize("error", [ValueError("odd"), RecursionError(), AssertionError("never")])
def test_what_nobody_foresaw_is_one_line_that_says_where(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits.run(_app(error), []) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert type(error).__name__ in told
    assert "test_exits.py:" in told


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert exits.run(_app(KeyboardInterrupt()), []) == 130
    assert capsys.readouterr().err == ""


def test_a_missing_part_of_the_installation_names_the_extra(capsys: pytest.CaptureFixture[str]) -> None:
    error = ModuleNotFoundError("No module named 'granian'", name="granian")
    assert exits.run(_app(error), []) == 1
    assert "objectstore[server]" in capsys.readouterr().err
