from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from objectstore.config.document import Node, plain, read_document
from objectstore.config.environment import expand
from objectstore.errors import ConfigurationError

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


def expanded(value: str, **env: str) -> str:
    text: str = expand(Node(value, "some.yaml:7"), env, "store 's'").value
    return text


def test_a_variable_that_is_set_is_its_text() -> None:
    assert expanded("${VAR}", VAR="x") == "x"
    assert expanded("${VAR:-default}", VAR="x") == "x"


def test_a_variable_that_is_empty_is_empty_unless_there_is_a_default() -> None:
    assert expanded("${VAR}", VAR="") == ""
    assert expanded("${VAR:-default}", VAR="") == "default"


@pytest.mark.parametrize("default", ["", "http://localhost:9000", ":-", "a}b", "${OTHER}", "two\nlines"])
def test_a_default_may_hold_anything(default: str) -> None:
    assert expanded(f"${{VAR:-{default}}}") == default


@pytest.mark.parametrize(
    "text",
    ["$VAR", "a${VAR}", "${VAR}b", "${VAR", "${}", "${1VAR}", "${VAR-x}", "${VA R}", "${VAR:x}", " ${VAR}", "${VAR}\n"],
)
def test_only_a_value_that_is_wholly_a_reference_is_one(text: str) -> None:
    assert expanded(text, VAR="x") == text


def test_an_unset_variable_is_named_with_its_place_and_who_needs_it() -> None:
    complaint = (
        "some.yaml:7: store 's' needs the environment variable VAR, which is not set: set it, or write ${VAR:-default}"
    )
    with pytest.raises(ConfigurationError, match=f"^{re.escape(complaint)}$"):
        expanded("${VAR}")


@given(NAMES, TEXTS, TEXTS)
def test_any_text_comes_through_whole(name: str, value: str, default: str) -> None:
    assert expanded(f"${{{name}}}", **{name: value}) == value
    assert expanded(f"${{{name}:-{default}}}", **{name: value}) == (value or default)
    assert expanded(f"${{{name}:-{default}}}") == default


@settings(deadline=None)
@given(
    st.recursive(
        st.sampled_from(["${SET}", "${UNSET:-a:b}", "text", 3, None, True]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    )
)
def test_values_at_any_depth_are_replaced_and_nothing_else(value: Any) -> None:
    def wanted(one: Any) -> Any:
        if isinstance(one, list):
            return [wanted(inner) for inner in one]
        if isinstance(one, dict):
            return {key: wanted(inner) for key, inner in one.items()}
        return {"${SET}": "x", "${UNSET:-a:b}": "a:b"}.get(one, one) if isinstance(one, str) else one

    assert plain(expand(node_of(value), {"SET": "x"}, "it")) == wanted(value)


def node_of(value: Any) -> Node:
    if isinstance(value, list):
        return Node(tuple(map(node_of, value)), "some.yaml:1")
    if isinstance(value, dict):
        return Node({key: node_of(one) for key, one in value.items()}, "some.yaml:1")
    return Node(value, "some.yaml:1")


def test_names_of_members_are_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(yaml.safe_dump({"${SET}": "${SET}"}))
    assert plain(expand(read_document(file), {"SET": "x"}, "it")) == {"${SET}": "x"}
