from __future__ import annotations

from pathlib import Path

import pytest

from objectstore.config.document import plain, read_document
from objectstore.errors import ConfigurationError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.yaml"


def read(file: Path, text: str | bytes) -> object:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return plain(read_document(file))


def test_scalars_lists_and_mappings(file: Path) -> None:
    text = "a: 1\nb: [true, null, 1.5]\nc: {d: é, e: '1'}\nf: !!binary aGk=\n"
    assert read(file, text) == {"a": 1, "b": [True, None, 1.5], "c": {"d": "é", "e": "1"}, "f": b"hi"}


def test_an_empty_file_is_nothing(file: Path) -> None:
    assert read(file, "# nothing\n") is None


def test_a_byte_order_mark_is_no_part_of_it(file: Path) -> None:
    assert read(file, b"\xef\xbb\xbfa: 1\n") == {"a": 1}


def test_values_know_the_line_of_their_name(file: Path) -> None:
    file.write_text("a:\n\n  b:\n    - x\n    -\n      c: |\n        text\n        text\n")
    root = read_document(file)
    b = root.value["a"].value["b"]
    assert [root.place, root.value["a"].place, b.place] == [f"{file}:1", f"{file}:1", f"{file}:3"]
    assert [one.place for one in b.value] == [f"{file}:4", f"{file}:6"]


def test_an_alias_stands_where_it_is_used(file: Path) -> None:
    file.write_text("a: &a\n  x: 1\nb: *a\n")
    root = read_document(file)
    assert root.value["b"].place == f"{file}:3"
    assert plain(root.value["b"]) == {"x": 1}


def test_what_is_merged_yields_to_what_is_written(file: Path) -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  y: 3\n  <<: [*a, *b]\n"
    assert read(file, text) == {"a": {"x": 1, "y": 1}, "b": {"y": 2, "z": 2}, "c": {"x": 1, "y": 3, "z": 2}}


def test_many_aliases_of_aliases_cost_what_they_are_written_with(file: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60))]
    file.write_text("\n".join(lines))
    assert len(read_document(file).value) == 60


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [1\nb: 2\n", ":2: not YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n---\nb: 2\n", ":2: not YAML: but found another document"),
        ("a: *b\n", ":1: not YAML: found undefined alias 'b'"),
        (
            "a: !!python/object:os.system {}\n",
            ":1: not usable: a value with the tag tag:yaml.org,2002:python/object:os",
        ),
        ("a: !mine x\n", ":1: not YAML: could not determine a constructor for the tag '!mine'"),
        ("a: 1\nb: 2\na: 3\n", ":3: 'a' is there twice"),
        ("a:\n  on: 1\n", ":2: on is no text; if it is meant as a name, put it in quotes"),
        ("a:\n  ? [x]\n  : 1\n", ":2: this is no text; if it is meant as a name, put it in quotes"),
        ("a: &a\n  b: [*a]\n", ":1: this value contains itself"),
        ("a: 2026-02-30\n", ":1: 2026-02-30: day is out of range for month; texts may be put in quotes"),
        ("a: " + "[" * 500, ": not usable: nested too deeply"),
        (b"a: \xff\n", ": not YAML: invalid start byte at byte 3"),
        (b"a: \x00\n", ": not YAML: special characters are not allowed at byte 3"),
    ],
)
def test_what_is_not_yaml_is_one_line_with_its_place(file: Path, text: str | bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(file, text)
    assert caught.value.message.startswith(f"{file}{complaint}")
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"some\.yaml: No such file or directory"):
        read_document(file)
