from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from objectstore.auth.store import TokenFile, TokenStore
from objectstore.errors import ConfigurationError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


def add(file: TokenFile, name: str = "someone", ttl: timedelta = DAY) -> bytes:
    """The Authorization header that a new token makes."""
    return b"Bearer " + file.add(name, scopes=["read"], now=NOW, ttl=ttl).encode()


def test_only_the_hash_of_a_token_is_kept(file: TokenFile) -> None:
    token = file.add("someone", scopes=["read"], now=NOW, ttl=DAY)
    assert token.startswith("os_")
    assert len(token) >= 40
    assert token not in file.path.read_text()


def test_no_two_tokens_are_alike(file: TokenFile) -> None:
    assert add(file, "a") != add(file, "b")


def test_the_file_is_for_its_owner_only_whatever_it_was_before(file: TokenFile) -> None:
    add(file)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.path.chmod(0o644)
    add(file, "other")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_refreshed_token_stays_the_same_and_gets_a_new_end(file: TokenFile) -> None:
    header = add(file, ttl=timedelta(seconds=1))
    record = file.refresh("someone", now=NOW + DAY, ttl=DAY)
    assert record.expires == NOW + 2 * DAY
    assert TokenStore(file.path).authenticate(header, NOW + DAY).scopes == {"read"}


def test_a_refresh_may_change_the_scopes(file: TokenFile) -> None:
    header = add(file)
    file.refresh("someone", now=NOW, ttl=DAY, scopes=["write", "delete"])
    assert TokenStore(file.path).authenticate(header, NOW).scopes == {"write", "delete"}


def test_a_broken_file_is_left_as_it_is(file: TokenFile) -> None:
    file.path.write_text('{"version": 1, "tokens": [')
    with pytest.raises(ConfigurationError, match=r"tokens\.json cannot be used: it is not JSON.*; correct it, or move"):
        add(file)
    assert file.path.read_text() == '{"version": 1, "tokens": ['


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere/tokens\.json cannot be written: there is no such folder"):
        add(TokenFile(tmp_path / "nowhere" / "tokens.json"))


def test_a_folder_in_the_place_of_the_file_is_explained(file: TokenFile) -> None:
    file.path.mkdir()
    with pytest.raises(ConfigurationError, match="Is a directory; Docker makes one"):
        add(file)


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "tokens.json"
    link.symlink_to("real/kept.json")
    add(TokenFile(link), "a")
    add(TokenFile(link), "b")
    assert link.is_symlink()
    assert [one.name for one in TokenFile(tmp_path / "real" / "kept.json").read().records] == ["a", "b"]


ADDING = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from objectstore.auth.store import TokenFile
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    TokenFile(Path(sys.argv[1])).add(
        f"{sys.argv[2]}-{number}", scopes=["read"], now=datetime.now(UTC), ttl=timedelta(days=1)
    )
    print(number, flush=True)
"""


def start_adding(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ADDING, str(path), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_processes_that_add_at_once_lose_nothing(file: TokenFile) -> None:
    processes = [start_adding(file.path, name, 20) for name in ("a", "b", "c")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        begin(process)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    wanted = {f"{name}-{number}" for name in "abc" for number in range(20)}
    assert {record.name for record in file.read().records} == wanted


def test_a_process_that_is_killed_leaves_a_whole_file_with_all_it_told_of(file: TokenFile) -> None:
    for kills in range(6):
        process = start_adding(file.path, f"run{kills}", 100_000)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            begin(process)
            for _ in range(5 + kills):
                process.stdout.readline()
            process.kill()
            told = 5 + kills + len(process.stdout.readlines())
        names = {record.name for record in file.read().records}
        assert {f"run{kills}-{number}" for number in range(told)} <= names
        assert len([name for name in names if name.startswith(f"run{kills}-")]) in {told, told + 1}
    # And nothing that it left stands in the way of the next.
    add(file, "last")
    assert {path.name for path in file.path.parent.iterdir()} == {"tokens.json", "tokens.json.lock"}


MOUNTED = """
set -e
mount --bind "$1/mounted.json" "$1/tokens.json"
"$2" -m objectstore.auth_tokens add second --ttl 1 --scope read --file "$1/tokens.json" > /dev/null
"$2" -m objectstore.auth_tokens delete first --file "$1/tokens.json"
"""


def test_a_file_that_is_a_mount_point_is_written_in_place(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    mounted = TokenFile(tmp_path / "mounted.json")
    add(mounted, "first")
    mounted.path.chmod(0o644)
    inode = mounted.path.stat().st_ino
    (tmp_path / "tokens.json").touch()
    subprocess.run(["unshare", "-rm", "sh", "-c", MOUNTED, "sh", str(tmp_path), sys.executable], check=True)
    assert [record.name for record in mounted.read().records] == ["second"]
    assert mounted.path.stat().st_ino == inode
    assert stat.S_IMODE(mounted.path.stat().st_mode) == 0o600


LOOKING = """
set -e
mount --bind "$1/tokens.json" "$1/mounted.json"
echo ready
while read -r _; do tr -d '\\n' < "$1/mounted.json"; echo; done
"""


def test_a_container_that_has_the_file_mounted_sees_every_edit(file: TokenFile, tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    add(file, "first")
    (tmp_path / "mounted.json").touch()
    command = ["unshare", "-rm", "sh", "-c", LOOKING, "sh", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as container:
        assert container.stdin is not None
        assert container.stdout is not None
        assert container.stdout.readline() == "ready\n"
        for edit in (lambda: add(file, "second"), lambda: file.delete("first"), lambda: add(file, "third")):
            edit()
            print(file=container.stdin, flush=True)
            assert json.loads(container.stdout.readline()) == json.loads(file.path.read_bytes())


def test_a_copy_made_by_a_link_stays_as_it_was(file: TokenFile, tmp_path: Path) -> None:
    add(file, "first")
    (tmp_path / "copy.json").hardlink_to(file.path)
    add(file, "second")
    assert [record.name for record in TokenFile(tmp_path / "copy.json").read().records] == ["first"]
    assert [record.name for record in file.read().records] == ["first", "second"]


@pytest.mark.parametrize("name", [".tokens.json.new", ".tokens.json.old"])
def test_what_a_killed_edit_left_is_cleared_away(file: TokenFile, name: str) -> None:
    add(file, "first")
    file.path.with_name(name).write_text("rubbish")
    add(file, "second")
    assert [record.name for record in file.read().records] == ["first", "second"]
    assert {path.name for path in file.path.parent.iterdir()} == {"tokens.json", "tokens.json.lock"}


def test_the_account_that_owns_the_file_keeps_it(file: TokenFile) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    add(file)
    os.chown(file.path, 12345, 12345)
    add(file, "other")
    for path in (file.path, file.path.with_name("tokens.json.lock")):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)
