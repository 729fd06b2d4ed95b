"""What kind of thing a file is, by its name."""

from __future__ import annotations

import mimetypes

import pytest

from objectstore.client.transfers.kinds import guess_content_type


@pytest.mark.parametrize(
    "name",
    ["a.txt", "A.JPG", "x/.a.csv", "a.b.c.d.json", ".", "..", "a", "", "dir.d/file", "a.b/", "README.md", ".csv"],
)
def test_the_ending_tells(name: str) -> None:
    assert guess_content_type(name) == mimetypes.guess_type(name, strict=False)[0]
    assert guess_content_type("unknown", name) == guess_content_type(name)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", ".a.gz", "a..gz", "b.json.gz", "A.csv.gz"])
def test_what_is_compressed_is_that(name: str) -> None:
    assert guess_content_type(name) == "application/gzip"


def test_a_name_that_is_nothing_but_an_ending_has_none() -> None:
    assert guess_content_type(".gz", "..gz") is None
