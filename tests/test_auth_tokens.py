from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from objectstore import auth_tokens
from objectstore.auth.store import TokenFile, TokenStore


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of each test, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTH_TOKENS_FILE", raising=False)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_here(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["auth_tokens", *arguments])
        with pytest.raises(SystemExit) as ended:
            auth_tokens.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, captured.out, captured.err)

    return run_here


def test_the_command_of_the_readme_makes_a_token_that_is_shown_once(folder: Path) -> None:
    command = "-m objectstore.auth_tokens add api-user --ttl 365 --scope read --scope write --scope delete"
    done = subprocess.run([sys.executable, *command.split()], check=True, capture_output=True, text=True)
    token = done.stdout.removesuffix("\n")
    assert token.startswith("os_")
    assert token not in done.stderr
    assert "only this once" in done.stderr
    credential = TokenStore(folder / "tokens.json").authenticate(f"Bearer {token}".encode(), datetime.now(UTC))
    assert (credential.name, credential.scopes) == ("api-user", frozenset({"read", "write", "delete"}))
    assert credential.expires is not None
    assert timedelta(days=364) < credential.expires - datetime.now(UTC) <= timedelta(days=365)


def test_the_same_commands_are_part_of_the_command_line(folder: Path) -> None:
    command = "-m objectstore token add someone --ttl 0.5 --scope metrics --prefix a/ --prefix b/"
    subprocess.run([sys.executable, *command.split()], check=True, capture_output=True)
    (record,) = TokenFile(folder / "tokens.json").read().records
    assert (record.name, record.scopes, record.prefixes) == ("someone", frozenset({"metrics"}), ("a/", "b/"))


def test_the_file_is_that_of_the_option_else_of_the_environment(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_TOKENS_FILE", str(folder / "from-environment.json"))
    assert run("add", "a", "--ttl", "1", "--scope", "read").code == 0
    assert run("add", "b", "--ttl", "1", "--scope", "read", "--file", "from-option.json").code == 0
    assert [one.name for one in TokenFile(folder / "from-environment.json").read().records] == ["a"]
    assert [one.name for one in TokenFile(folder / "from-option.json").read().records] == ["b"]
    monkeypatch.setenv("AUTH_TOKENS_FILE", "")
    assert run("add", "c", "--ttl", "1", "--scope", "read").code == 0
    assert [one.name for one in TokenFile(folder / "tokens.json").read().records] == ["c"]


def test_a_deleted_token_is_gone(run: Run, folder: Path) -> None:
    run("add", "a", "--ttl", "1", "--scope", "read")
    assert run("delete", "a") == Ran(0, "", "a is deleted from tokens.json\n")
    assert TokenFile(folder / "tokens.json").read().records == ()


def test_a_refresh_prints_no_token(run: Run, folder: Path) -> None:
    run("add", "a", "--ttl", "1", "--scope", "read")
    (before,) = TokenFile(folder / "tokens.json").read().records
    done = run("refresh", "a", "--ttl", "30")
    (after,) = TokenFile(folder / "tokens.json").read().records
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("a may read until ")
    assert (after.digest, after.scopes) == (before.digest, before.scopes)
    assert after.expires is not None
    assert before.expires is not None
    assert after.expires > before.expires


def test_a_refresh_may_name_other_scopes(run: Run, folder: Path) -> None:
    run("add", "a", "--ttl", "1", "--scope", "read")
    assert run("refresh", "a", "--ttl", "30", "--scope", "write", "--scope", "delete").code == 0
    assert TokenFile(folder / "tokens.json").read().records[0].scopes == {"write", "delete"}


def test_a_token_may_have_a_rate_limit_of_its_own(run: Run, folder: Path) -> None:
    def rate() -> object:
        return json.loads(run("list", "--json").out)["rate"]

    assert run("add", "a", "--ttl", "1", "--scope", "read", "--rate", "300 per minute; 10/second").code == 0
    assert rate() == "10/second;300/minute"
    assert "10/second;300/minute" in run("list").out
    header = TokenFile(folder / "tokens.json").read().records[0]
    assert "rate:      none\n" in run("edit", "a", "--rate", "none").err
    assert rate() == "none"
    assert "rate:      default\n" in run("edit", "a", "--rate", "default").err
    assert TokenFile(folder / "tokens.json").read().records[0] == replace(header, rate=None)
    wrong = run("edit", "a", "--rate", "10/fortnight")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "--rate '10/fortnight' is no rate: it has to be such as 100/second" in wrong.err
    assert "there is no token named 'b'; there are 'a'" in run("edit", "b", "--rate", "none").err


def test_the_list_shows_what_each_token_may(run: Run, folder: Path) -> None:
    run("add", "reader", "--ttl", "1", "--scope", "read", "--prefix", "team/")
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    TokenFile(folder / "tokens.json").add("old", scopes=["write", "read"], now=long_ago, ttl=timedelta(days=1))
    TokenFile(folder / "tokens.json").add("first", scopes=["delete"], now=long_ago, ttl=None)
    lines = run("list").out.splitlines()
    assert lines[0].split() == ["NAME", "SCOPES", "EXPIRES", "RATE", "QUOTA", "PREFIXES"]
    assert lines[1].split()[:2] == ["reader", "read"]
    assert lines[1].endswith("'team/'")
    assert lines[2] == "old     read, write  2020-01-02T00:00:00Z (expired)  default  none   every key"
    assert lines[3].split() == ["first", "delete", "never", "default", "none", "every", "key"]


def test_the_list_is_json_for_programs_without_any_hash(run: Run, folder: Path) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    TokenFile(folder / "tokens.json").add("old", scopes=["read"], now=long_ago, ttl=timedelta(days=1), prefixes=["a"])
    TokenFile(folder / "tokens.json").add("first", scopes=["delete"], now=long_ago, ttl=None)
    assert [json.loads(line) for line in run("list", "--json").out.splitlines()] == [
        {
            "name": "old",
            "scopes": ["read"],
            "prefixes": ["a"],
            "rate": None,
            "quota": {"bytes": None, "objects": None},
            "created": "2020-01-01T00:00:00Z",
            "expires": "2020-01-02T00:00:00Z",
            "expired": True,
        },
        {
            "name": "first",
            "scopes": ["delete"],
            "prefixes": None,
            "rate": None,
            "quota": {"bytes": None, "objects": None},
            "created": "2020-01-01T00:00:00Z",
            "expires": None,
            "expired": False,
        },
    ]


def test_a_list_without_tokens_says_so(run: Run) -> None:
    assert run("list") == Ran(0, "", "there are no tokens in tokens.json\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("add x --ttl 0 --scope read", "--ttl 0: a number of days greater than 0"),
        ("add x --ttl -1 --scope read", "--ttl -1: a number of days greater than 0"),
        ("add x --ttl nan --scope read", "--ttl nan: a number of days greater than 0"),
        ("add x --ttl 1e99 --scope read", "--ttl 1e+99: more days than there are dates for"),
        ("add x --ttl 1e7 --scope read", "a token cannot be valid past the year 9999"),
        ("add x --ttl soon --scope read", "Invalid value for '--ttl'"),
        ("add x --ttl 1", "Missing option '--scope'"),
        ("add x --scope read", "Missing option '--ttl'"),
        ("add x --ttl 1 --scope raed", "--scope raed: there are read, write, delete, metrics"),
        ("add taken --ttl 1 --scope read", "there is already a token named 'taken'; refresh it, or delete it first"),
        ("add x --ttl 1 --scope read --prefix=", "--prefix is empty; leave it out to allow every key"),
        ("delete x", "there is no token named 'x'; there are 'taken'"),
        ("refresh x --ttl 1", "there is no token named 'x'; there are 'taken'"),
        ("refresh taken --ttl 0", "--ttl 0: a number of days greater than 0"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    run: Run, folder: Path, arguments: str, complaint: str
) -> None:
    run("add", "taken", "--ttl", "1", "--scope", "read")
    before = (folder / "tokens.json").read_bytes()
    done = run(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert complaint in done.err
    assert done.err.startswith("objectstore: ")
    assert done.err.count("\n") == 1
    assert (folder / "tokens.json").read_bytes() == before


WITHOUT_TYPER = """
import sys
sys.modules["typer"] = None
from objectstore.auth_tokens import main
main()
"""


def test_without_typer_the_extra_to_install_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TYPER], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "objectstore: token commands need typer: pip install 'objectstore[cli]'\n"
