from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.auth.scopes import EVERY_KEY, SCOPES, Credential, Scope, allows, covers, require, simplified
from objectstore.errors import Forbidden

TEXTS = st.text("ab/", max_size=4)


def credential(*scopes: Scope, prefixes: tuple[str, ...] = EVERY_KEY) -> Credential:
    return Credential(name="someone", scopes=frozenset(scopes), prefixes=prefixes)


def test_only_the_scopes_of_a_credential_are_allowed() -> None:
    assert [scope for scope in SCOPES if allows(credential("read", "metrics"), scope)] == ["read", "metrics"]


def test_a_credential_that_is_not_bound_covers_every_key() -> None:
    assert covers(credential(), "any/key")


def test_a_credential_without_prefixes_covers_nothing() -> None:
    assert not covers(credential(prefixes=()), "any/key")


def test_prefixes_are_raw_characters() -> None:
    bound = credential(prefixes=("team", "x/"))
    assert covers(bound, "team")
    assert covers(bound, "teams/a")
    assert covers(bound, "x/y")
    assert not covers(bound, "x")
    assert not covers(bound, "ateam")


@given(st.lists(TEXTS, max_size=6), TEXTS)
def test_simplified_prefixes_cover_the_same_keys(prefixes: list[str], key: str) -> None:
    found = simplified(prefixes)
    assert any(key.startswith(one) for one in found) == any(key.startswith(one) for one in prefixes)


@given(st.lists(TEXTS, max_size=6))
def test_simplified_prefixes_are_ordered_and_apart(prefixes: list[str]) -> None:
    found = simplified(prefixes)
    assert list(found) == sorted(found)
    assert not [(one, other) for one in found for other in found if one != other and one.startswith(other)]


def test_a_credential_keeps_its_prefixes_simplified() -> None:
    assert credential(prefixes=("b", "a/x", "a/", "b")).prefixes == ("a/", "b")


def test_what_is_allowed_and_covered_passes() -> None:
    require(credential("write", prefixes=("a/",)), "write", "a/b")
    require(credential("metrics", prefixes=("a/",)), "metrics")


def test_a_missing_scope_is_named_even_where_the_key_is_not_covered_either() -> None:
    with pytest.raises(Forbidden, match=r"scope 'write'.*'someone'"):
        require(credential("read", prefixes=("a/",)), "write", "b")


def test_a_key_outside_the_prefixes_is_forbidden_without_being_shown() -> None:
    with pytest.raises(Forbidden, match="bound to prefixes") as caught:
        require(credential("read", prefixes=("a/",)), "read", "secret-key")
    assert "secret-key" not in caught.value.message
