from __future__ import annotations

import os
from pathlib import Path

import pytest

from objectstore.cli.destination import destination_of, replacing
from objectstore.cli.exits import Usage


def test_the_end_of_the_key_names_the_file(tmp_path: Path) -> None:
    assert destination_of("a/b/photo.jpg", None) == "photo.jpg"
    assert destination_of("a/b/photo.jpg", "-") == "-"
    assert destination_of("a/b/photo.jpg", "other.jpg") == "other.jpg"
    assert destination_of("a/b/photo.jpg", str(tmp_path)) == str(tmp_path / "photo.jpg")


@pytest.mark.parametrize("key", ["a/", "..", "a/..", "a/."])
def test_a_key_that_names_no_file_needs_one(key: str, tmp_path: Path) -> None:
    with pytest.raises(Usage):
        destination_of(key, None)
    with pytest.raises(Usage):
        destination_of(key, str(tmp_path))
    assert destination_of(key, "file") == "file"


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(str(path)) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt, SystemExit])
def test_whatever_goes_wrong_leaves_the_old_file(failure: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(str(path)) as file:
            file.write(b"half of the n")
            raise failure

    with pytest.raises(failure):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(mode=0o640)
    path.chmod(0o604)
    with replacing(str(path)) as file:
        file.write(b"new")
    assert path.stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o666), (0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_is_private_until_it_is_whole_and_then_as_the_umask_has_it(
    umask: int, mode: int, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        with replacing(str(tmp_path / "file")) as file:
            file.write(b"half")
            assert [oct(one.stat().st_mode & 0o777) for one in tmp_path.iterdir()] == ["0o600"]
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("file")
    with replacing(str(link)) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_device_is_written_to(tmp_path: Path) -> None:
    device = tmp_path / "null"
    device.symlink_to(os.devnull)
    with replacing(str(device)) as file:
        file.write(b"gone")
    assert Path(os.devnull).is_char_device()


def test_a_folder_that_is_not_there_is_told_by_the_name_that_was_given(tmp_path: Path) -> None:
    name = str(tmp_path / "missing" / "file")
    with pytest.raises(OSError, match="No such file") as caught, replacing(name):
        pass
    assert caught.value.filename == name
