"""The file with the secret of signed links, used by real processes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from objectstore.auth.linksecret import RECHECK, LinkSecret
from objectstore.errors import ConfigurationError, Unsupported


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "links.key"


def test_there_is_no_secret_until_one_is_needed(file: Path) -> None:
    secret = LinkSecret(file)
    secret.load()
    assert secret.known() is None
    assert not file.exists()
    made = secret.needed()
    assert secret.known() == secret.needed() == made
    assert len(bytes.fromhex(made.decode())) == 32
    assert file.read_bytes().strip() == made


def test_it_is_for_its_owner_alone_whatever_the_umask(file: Path) -> None:
    before = os.umask(0)
    try:
        LinkSecret(file).needed()
    finally:
        os.umask(before)
    assert {one.name: one.stat().st_mode & 0o777 for one in file.parent.iterdir()} == {
        "links.key": 0o600,
        "links.key.lock": 0o600,
    }


def test_processes_that_need_it_at_once_agree(file: Path) -> None:
    code = (
        "import sys, pathlib; from objectstore.auth.linksecret import LinkSecret\n"
        "print(LinkSecret(pathlib.Path(sys.argv[1])).needed().decode())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    told = {process.communicate(timeout=60)[0].strip() for process in started}
    assert told == {file.read_text().strip()}


def test_a_secret_that_another_process_has_made_counts_at_once(file: Path, clock: Clock) -> None:
    one, other = LinkSecret(file, clock=clock), LinkSecret(file, clock=clock)
    assert other.known() is None
    made = one.needed()
    assert other.known() == made


def test_another_secret_counts_within_a_second_and_none_ends_all_links(file: Path, clock: Clock) -> None:
    secret = LinkSecret(file, clock=clock)
    first = secret.needed()
    file.write_bytes(b"x" * 32)
    assert secret.known() == first
    clock.now += RECHECK
    assert secret.known() == b"x" * 32
    file.unlink()
    clock.now += RECHECK
    assert secret.known() is None
    assert secret.needed() not in {first, b"x" * 32}


def test_a_file_that_cannot_be_used_ends_all_links_until_it_can(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = LinkSecret(file, clock=clock)
    secret.needed()
    with caplog.at_level(logging.ERROR, "objectstore.auth"):
        file.write_bytes(b"short")
        for _ in range(3):
            clock.now += RECHECK
            assert secret.known() is None
    assert len(caplog.messages) == 1
    assert "LINK_SECRET_FILE" in caplog.text
    assert "openssl rand -hex 32" in caplog.text
    assert "short" not in caplog.text
    file.write_bytes(b"y" * 40)
    clock.now += RECHECK
    assert secret.known() == b"y" * 40


def test_a_server_does_not_start_on_a_file_that_cannot_be_used(file: Path) -> None:
    file.write_bytes(b"short\n")
    with pytest.raises(ConfigurationError, match="less than 32 bytes"):
        LinkSecret(file).load()
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigurationError, match=r"LINK_SECRET_FILE.*Is a directory"):
        LinkSecret(file).load()


@pytest.mark.parametrize("folder", ["/proc", "/nowhere/at all"])
def test_where_it_cannot_be_made_the_log_says_which_setting_to_change(
    folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = LinkSecret(Path(folder, "links.key"))
    with (
        caplog.at_level(logging.ERROR, "objectstore.auth"),
        pytest.raises(Unsupported, match="LINK_SECRET_FILE") as caught,
    ):
        secret.needed()
    assert folder not in caught.value.message
    assert f"{folder}/links.key" in caplog.text
    assert "LINK_SECRET_FILE" in caplog.text


def test_who_comes_second_leaves_the_secret_of_the_first(file: Path) -> None:
    file.write_bytes(b"x" * 40)  # since it was looked for
    LinkSecret(file)._make()
    assert file.read_bytes() == b"x" * 40


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file.symlink_to("elsewhere/secret")
    made = LinkSecret(file).needed()
    assert file.is_symlink()
    assert (tmp_path / "elsewhere" / "secret").read_bytes().strip() == made
