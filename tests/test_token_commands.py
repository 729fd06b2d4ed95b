"""Quotas of tokens, and the commands that show, edit and rotate tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.served import invoke
from objectstore.auth.scopes import Credential, quota_of
from objectstore.auth.store import TokenFile, TokenStore
from objectstore.auth.tokens import UNBOUNDED, Allowance
from objectstore.errors import Unauthenticated
from objectstore.values import Quota

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def token(tmp_path: Path) -> str:
    """Of `lab`, in the tokens.json of the folder."""
    command = ("add", "lab", "--ttl", "30", "--scope", "read", "--scope", "write", "--prefix", "a/", "--prefix", "b/")
    answer = invoke("token", *command, "--quota", "50GB", "--quota-objects", "100000", cwd=tmp_path)
    assert answer.returncode == 0
    return answer.stdout.decode().strip()


def known(folder: Path, token: str) -> Credential:
    return TokenStore(folder / "tokens.json").authenticate(f"Bearer {token}".encode(), datetime.now(UTC))


def test_a_quota_holds_for_each_prefix(token: str, tmp_path: Path) -> None:
    credential = known(tmp_path, token)
    a, b = (Quota(prefix=prefix, size=50 * 1000**3, objects=100_000) for prefix in ("a/", "b/"))
    assert credential.quotas == (a, b)
    assert (quota_of(credential, "a/x"), quota_of(credential, "b/x"), quota_of(credential, "c")) == (a, b, None)
    written = json.loads((tmp_path / "tokens.json").read_text())["tokens"][0]
    assert written["quota"] == {"bytes": 50_000_000_000, "objects": 100_000}


def test_without_a_prefix_a_quota_is_for_the_whole_store(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    token = file.add("all", scopes=["write"], now=NOW, ttl=None, quota=Allowance(objects=3))
    assert known(tmp_path, token).quotas == (Quota(prefix="", objects=3),)
    assert file.read().records[0].quota != UNBOUNDED
    assert TokenStore(file.path).bounded() == []  # not read yet
    store = TokenStore(file.path)
    store.load()
    assert store.bounded() == ["all"]


def test_a_quota_is_changed_and_taken_away(token: str, tmp_path: Path) -> None:
    def edited(*options: str) -> Allowance:
        answer = invoke("token", "edit", "lab", *options, cwd=tmp_path)
        assert answer.returncode == 0
        assert b"name:      lab" in answer.stderr
        return TokenFile(tmp_path / "tokens.json").read().records[0].quota

    assert edited("--quota", "1.5 TiB") == Allowance(size=3 * 1024**4 // 2, objects=100_000)
    assert edited("--quota-objects", "none") == Allowance(size=3 * 1024**4 // 2)
    assert edited("--quota", "none") == UNBOUNDED
    assert known(tmp_path, token).quotas == ()
    assert "quota" not in (tmp_path / "tokens.json").read_text()


def test_what_a_token_may_do_is_edited(token: str, tmp_path: Path) -> None:
    answer = invoke("token", "edit", "lab", "--scope", "delete", "--prefix", "c/", "--rate", "5/second", cwd=tmp_path)
    assert answer.returncode == 0
    credential = known(tmp_path, token)
    assert credential.scopes == {"delete"}
    assert credential.prefixes == ("c/",)
    assert credential.quotas[0].prefix == "c/"
    assert invoke("token", "edit", "lab", "--prefix", "", cwd=tmp_path).returncode == 0
    assert known(tmp_path, token).prefixes == ("",)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--quota", "much"),
        ("--quota", "-1"),
        ("--quota-objects", "1.5"),
        ("--quota-objects", "9" * 30),
        ("--scope", "fly"),
        ("--prefix", "\n\0"),
    ],
)
def test_what_cannot_be_edited_is_told_and_left(options: tuple[str, ...], token: str, tmp_path: Path) -> None:
    before = (tmp_path / "tokens.json").read_bytes()
    answer = invoke("token", "edit", "lab", *options, cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.count(b"\n") == 1
    assert (tmp_path / "tokens.json").read_bytes() == before
    assert known(tmp_path, token).name == "lab"


def test_a_rotated_token_is_another_one_with_the_same_rights(token: str, tmp_path: Path) -> None:
    before = known(tmp_path, token)
    answer = invoke("token", "rotate", "lab", cwd=tmp_path)
    assert answer.returncode == 0
    after = known(tmp_path, answer.stdout.decode().strip())
    assert (after.name, after.scopes, after.prefixes, after.quotas) == (
        before.name,
        before.scopes,
        before.prefixes,
        before.quotas,
    )
    assert after.expires == before.expires
    assert after.mark != before.mark, "links that it signed end with it"
    with pytest.raises(Unauthenticated):
        known(tmp_path, token)
    later = known(tmp_path, invoke("token", "rotate", "lab", "--ttl", "90", cwd=tmp_path).stdout.decode().strip())
    assert later.expires is not None
    assert later.expires > datetime.now(UTC) + timedelta(days=89)
    assert invoke("token", "rotate", "nobody", cwd=tmp_path).returncode == 2


def test_a_token_is_shown_with_all_but_itself(token: str, tmp_path: Path) -> None:
    shown = invoke("token", "show", "lab", cwd=tmp_path).stdout.decode()
    assert "quota:     50000000000 bytes, 100000 objects\n" in shown
    assert "prefixes:  'a/' 'b/'\n" in shown
    assert token not in shown
    told = json.loads(invoke("token", "show", "lab", "--json", cwd=tmp_path).stdout)
    (listed,) = map(json.loads, invoke("token", "list", "--json", cwd=tmp_path).stdout.splitlines())
    assert told == listed
    assert (told["name"], told["quota"]) == ("lab", {"bytes": 50_000_000_000, "objects": 100_000})
    assert invoke("token", "show", "nobody", cwd=tmp_path).returncode == 2
