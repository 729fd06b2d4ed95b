"""Replacing a file as a whole, where something is in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from objectstore.auth.files import replace_contents
from objectstore.auth.tokens import Allowance
from objectstore.errors import ConfigurationError


def test_what_cannot_be_replaced_is_left_with_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_contents(tmp_path / "tokens.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_a_copy_that_was_made_by_linking_keeps_what_it_has(tmp_path: Path) -> None:
    file, copy = tmp_path / "tokens.json", tmp_path / "backup"
    file.write_bytes(b"old")
    copy.hardlink_to(file)
    replace_contents(file, b"new")
    assert (file.read_bytes(), copy.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize(("size", "objects"), [(-1, None), (None, -1)])
def test_a_quota_is_not_less_than_nothing(size: int | None, objects: int | None) -> None:
    with pytest.raises(ConfigurationError, match="not negative"):
        Allowance(size=size, objects=objects)
