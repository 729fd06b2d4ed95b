"""Paths, places and ranges, without a server."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.client.place import join_url, look_up, split_url
from objectstore.fsspec import ObjectStoreFileSystem
from objectstore.fsspec.paths import folder_of, folders_above, has_place, parent_of, prefix_of


@pytest.mark.parametrize(
    ("path", "url", "key"),
    [
        ("objectstore://host:8000/a/b", "http://host:8000", "a/b"),
        ("objectstores://host/a", "https://host", "a"),
        ("objectstore://host//a//../b?c#d%20", "http://host", "/a//../b?c#d%20"),
        ("objectstore://host/", "http://host", ""),
        ("objectstore://host", "http://host", ""),
        ("objectstore:///a", None, "a"),
        ("a/b", None, "a/b"),
        ("http://host/a", None, "http://host/a"),
        ("/a/", None, "/a/"),
    ],
)
def test_a_url_is_a_place_and_a_key(path: str, url: str | None, key: str) -> None:
    assert split_url(path) == (url, key)
    if url is not None:
        assert split_url(join_url(url, key)) == (url, key)


def test_a_base_url_with_a_path_has_no_url_of_this_kind() -> None:
    assert join_url("https://host/objects-of-ours", "a") == "objectstores:///a"


@pytest.mark.parametrize(
    ("path", "prefix", "folder"),
    [("", "", ""), ("a", "a/", "a"), ("a/", "a/", "a"), ("a//", "a//", "a//"), ("/", "/", "/"), ("/a", "/a/", "/a")],
)
def test_a_folder_has_one_prefix_and_one_path(path: str, prefix: str, folder: str) -> None:
    assert prefix_of(path) == prefix
    assert folder_of(prefix) == folder
    assert prefix_of(folder) == prefix


@pytest.mark.parametrize(
    ("path", "above"),
    [("a", ""), ("a/b", "a"), ("a/b/", "a"), ("a//b", "a//"), ("a//", "a"), ("/a", "/"), ("/", ""), ("", "")],
)
def test_every_path_is_in_a_folder(path: str, above: str) -> None:
    assert parent_of(path) == above


def test_the_folders_above_a_key_are_those_that_listings_show() -> None:
    assert folders_above("r/a/b/c", "r/") == ["r/a", "r/a/b"]
    assert folders_above("r/a//c", "r/") == ["r/a", "r/a//"]
    assert folders_above("r/c", "r/") == []
    assert folders_above("/c", "") == ["/"]


@given(st.text("a/", min_size=1, max_size=9), st.sampled_from(["", "a/", "/"]))
def test_a_key_is_below_each_of_its_folders_and_they_differ(key: str, root: str) -> None:
    prefixes = [prefix_of(one) for one in folders_above(root + key, root)]
    assert prefixes == [(root + key)[: at + 1] for at in range(len(root), len(root + key)) if (root + key)[at] == "/"]


def test_some_keys_have_no_place_in_a_file_system() -> None:
    assert has_place("a/b.c/..d")
    for key in ("a//b", "a/./b", "a/../b", "/a", "a/"):
        assert not has_place(key)


def test_the_environment_says_where_and_with_which_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBJECTSTORE_URL", raising=False)
    monkeypatch.delenv("OBJECTSTORE_TOKEN", raising=False)
    with pytest.raises(ValueError, match="OBJECTSTORE_URL"):
        look_up(None, None)
    assert look_up("http://a", None).token is None
    monkeypatch.setenv("OBJECTSTORE_TOKEN", "secret")
    assert look_up("http://a", None).token == "secret"
    assert look_up("http://a", "other").token == "other"
    assert "secret" not in repr(look_up("http://a", None))


def test_a_token_of_the_environment_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBJECTSTORE_URL", "http://a/")
    monkeypatch.setenv("OBJECTSTORE_TOKEN", "secret")
    assert look_up(None, None).url == "http://a/"
    assert look_up("http://a", None).token == "secret"
    assert look_up("http://b", None).token is None


@pytest.mark.parametrize(
    ("missing", "statement"),
    [
        ("fsspec", "from objectstore.fsspec import ObjectStoreFileSystem"),
        ("zarr", "from objectstore.zarr import ZarrStore"),
        ("uvicorn", "from objectstore.testing import serve"),
    ],
)
def test_what_is_not_installed_is_named(missing: str, statement: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; {statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    extra = "server" if missing == "uvicorn" else missing
    assert f"needs {missing}: pip install 'objectstore[{extra}]'" in done.stderr


def test_every_option_is_told_of() -> None:
    text = (Path(__file__).parents[2] / "docs" / "fsspec.md").read_text()
    for option in inspect.signature(ObjectStoreFileSystem.__init__).parameters:
        if option not in {"self", "loop", "options"}:
            assert f"`{option}`" in text, option
