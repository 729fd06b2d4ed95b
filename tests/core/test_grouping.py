"""Objects counted by the beginnings of their keys."""

from __future__ import annotations

import pytest

from objectstore.core.grouping import Groups, Share


def test_keys_are_grouped_by_their_parts() -> None:
    groups = Groups(2)
    for key in ("a", "a/b", "a/b/c", "a/b/c/d", "/", "//x", "a/b/"):
        groups.add(key, 1)
    found = [(share.prefix, share.objects) for share in groups.largest(10)]
    assert found == [("a/b/", 3), ("", 1), ("/", 1), ("//", 1), ("a/", 1)]
    assert groups.largest(1) == (Share("a/b/", 3, 3),)
    with pytest.raises(ValueError, match="at least one"):
        Groups(0)


def test_what_is_found_is_counted_with_its_bytes_the_largest_first() -> None:
    groups = Groups(1)
    for key, size in (("a/1", 1), ("b/1", 5), ("b/2", 2), ("c/1", 7), ("top", 3), ("z/1", 0)):
        groups.add(key, size)
    assert (groups.objects, groups.size) == (6, 18)
    assert groups.largest(4) == (Share("b/", 2, 7), Share("c/", 1, 7), Share("", 1, 3), Share("a/", 1, 1))
