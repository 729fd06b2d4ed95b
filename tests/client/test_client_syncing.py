"""What has to be done to make two trees alike: patterns, plans and times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.client.syncing.patterns import EVERYTHING, selection
from objectstore.client.syncing.plan import Copy, Entry, Rules, difference, plan, takes_all, to_hash
from objectstore.client.syncing.times import entry_of, kept, time_for_file, told
from objectstore.errors import InvalidParameter
from objectstore.values import Attributes, ObjectInfo


def chosen(names: str, *patterns: str) -> str:
    """Of these names, those that count; a pattern begins with + or -."""
    some = selection((pattern[0] == "+", pattern[1:]) for pattern in patterns)
    return " ".join(name for name in names.split() if name in some)


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("*.csv", "a.csv b/c.csv .csv x.csv/y", "a.csv2 acsv csv"),
        ("raw", "raw raw/a a/raw a/raw/b", "rawx xraw a/rawx"),
        ("raw/", "raw/a a/raw/b", "raw a/raw rawx/a"),
        ("/raw", "raw raw/a", "a/raw a/raw/b"),
        ("/raw/", "raw/a raw/a/b", "raw a/raw/b"),
        ("a/b", "a/b a/b/c", "x/a/b b a"),
        ("a/*/c", "a/b/c a/b/c/d", "a/c a/b/b/c"),
        ("a/**/c", "a/c a/b/c a/b/b/c a/b/c/d", "ac a/xc c"),
        ("**/c", "c a/c a/b/c", "xc a/xc"),
        ("a/**", "a/b a/b/c", "a b/a/c"),
        ("?.txt", "a.txt b/c.txt", ".txt ab.txt"),
        ("[ab]c", "ac bc x/ac", "cc abc"),
        ("[!ab]c", "cc x/cc", "ac bc c"),
        ("[]]", "]", "x"),
        ("[a-c]", "a b c", "d -"),
        ("[", "[", "x"),
        ("\\*", "* a/*", "x"),
        ("a.b", "a.b", "axb"),
        ("(x|y)+", "(x|y)+", "x y"),
        ("é*", "é éa", "e"),
    ],
)
def test_a_pattern_matches(pattern: str, matched: str, others: str) -> None:
    assert chosen(f"{matched} {others}", f"+{pattern}", "-*") == matched
    assert chosen(f"{matched} {others}", f"-{pattern}") == others


def test_the_first_pattern_that_matches_decides() -> None:
    names = "a.csv a.txt raw/a.csv raw/keep/b.csv notes/c.txt"
    assert chosen(names, "+*.csv", "-*") == "a.csv raw/a.csv raw/keep/b.csv"
    assert chosen(names, "-raw/", "+*.csv", "-*") == "a.csv"
    assert chosen(names, "+raw/keep", "-raw/") == "a.csv a.txt raw/keep/b.csv notes/c.txt"
    assert chosen(names, "-raw/", "+raw/keep") == "a.csv a.txt notes/c.txt"
    assert chosen(names, "-*", "+*.csv") == ""
    assert chosen(names) == names


@pytest.mark.parametrize("text", ["", "/", "//", "[z-a]"])
def test_some_patterns_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        assert "a" in selection([(True, text)])


@given(st.text("ab*?[]!/-\\.", min_size=1, max_size=8), st.text("ab/", min_size=1, max_size=8))
def test_any_pattern_is_understood_or_refused(text: str, name: str) -> None:
    try:
        found = selection([(False, text)])
        excluded = name not in found
    except InvalidParameter:
        return
    if re.fullmatch(r"[ab]+", text):
        assert excluded == (text in name.split("/"))


def entry(size: int = 1, changed: int = 5_000, written: int | None = None, digest: bytes | None = None) -> Entry:
    return Entry(size=size, changed=changed, written=written, digest=digest)


def planned(source: str, target: str, rules: Rules = Rules(), protected: tuple[str, ...] = ()) -> tuple[str, str, str]:  # noqa: B008  frozen
    """Names are one letter and perhaps a size; what is to be copied, deleted, and is spared."""

    def tree(text: str) -> Mapping[str, Entry]:
        return {word[0]: entry(int(word[1:] or 1)) for word in text.split()}

    found = plan(tree(source), tree(target), rules, protected)
    assert {*found.same} | {copy.name for copy in found.copies} == {n for n in tree(source) if n in rules.selected}
    return " ".join(copy.name for copy in found.copies), " ".join(found.deletions), " ".join(found.spared)


@pytest.mark.parametrize(
    ("source", "target", "copied", "only"),
    [
        ("", "", "", ""),
        ("a b", "", "a b", ""),
        ("", "a b", "", "a b"),
        ("a b", "a b", "", ""),
        ("b a2", "a c", "a b", "c"),
        ("z y x", "", "x y z", ""),
    ],
)
def test_what_is_new_or_different_is_copied(source: str, target: str, copied: str, only: str) -> None:
    assert planned(source, target) == (copied, "", only)
    assert planned(source, target, Rules(delete=True)) == (copied, only, "")


def test_what_is_excluded_is_neither_copied_nor_deleted() -> None:
    rules = Rules(delete=True, selected=selection([(False, "b"), (False, "d")]))
    assert planned("a b", "c d", rules) == ("a", "c", "")


def test_what_could_not_be_read_is_not_deleted() -> None:
    assert planned("a", "b c", Rules(delete=True), ("b",)) == ("a", "c", "b")


def test_reasons_are_told_with_sizes() -> None:
    source = {"a": entry(3), "b": entry(2), "c": entry(1, 9_000_000)}
    found = plan(source, {"b": entry(1), "c": entry(1)}, Rules())
    assert found.copies == [Copy("a", "new", 3), Copy("b", "size", 2), Copy("c", "time", 1)]
    assert found.size == 6


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        # A copy has the time of its original, to the microsecond.
        (entry(changed=5_000_000), entry(changed=5_000_999), None),
        (entry(changed=5_000_000), entry(changed=5_002_000), "time"),
        (entry(changed=5_002_000), entry(changed=5_000_000), "time"),
        # An object that was stored by other means: the target has to be written later.
        (entry(changed=5_000_000), entry(changed=9_000_000, written=9_000_000), None),
        (entry(changed=9_000_000), entry(changed=5_000_000, written=5_000_000), "time"),
        (entry(changed=5_000_000, written=5_000_000), entry(changed=5_000_000), None),
        (entry(changed=5_000_000, written=5_000_000), entry(changed=9_000_000), None),
        (entry(changed=9_000_000, written=9_000_000), entry(changed=5_000_000), "time"),
        (entry(changed=5_000_000, written=5_000_000), entry(changed=9_000_000, written=9_000_000), None),
        (entry(changed=9_000_000, written=9_000_000), entry(changed=5_000_000, written=5_000_000), "time"),
        (entry(size=2), entry(size=1), "size"),
        (entry(), None, "new"),
    ],
)
def test_times_tell_whether_a_copy_is_one(source: Entry, target: Entry | None, reason: str | None) -> None:
    assert difference(source, target, checksum=False) == reason


def test_digests_tell_it_whatever_the_times() -> None:
    ours, theirs = entry(changed=1, digest=b"x"), entry(changed=10**12, digest=b"x")
    assert difference(ours, theirs, checksum=True) is None
    assert difference(ours, entry(changed=1, digest=b"y"), checksum=True) == "checksum"
    assert difference(entry(), entry(), checksum=True) == "checksum"
    assert difference(entry(2, digest=b"x"), entry(1, digest=b"x"), checksum=True) == "size"


def test_only_what_digests_decide_is_hashed() -> None:
    source, target = (
        {"a": entry(1), "b": entry(2), "c": entry(1), "d": entry(1)},
        {"a": entry(1), "b": entry(1), "d": entry(1)},
    )
    rules = Rules(checksum=True, selected=selection([(False, "d")]))
    assert list(to_hash(source, target, rules)) == ["a"]
    assert list(to_hash(source, target, Rules())) == []


def test_an_empty_source_would_take_all() -> None:
    some = {"a": entry()}
    assert takes_all(plan({}, some, Rules(delete=True)), {}, some)
    assert not takes_all(plan({}, some, Rules()), {}, some)
    assert not takes_all(plan({}, {}, Rules(delete=True)), {}, {})
    assert not takes_all(plan({"b": entry()}, some, Rules(delete=True)), {"b": entry()}, some)


names = st.text("abc", min_size=1, max_size=2)
trees = st.dictionaries(names, st.builds(Entry, size=st.integers(0, 2), changed=st.sampled_from([0, 10**9])))


@given(trees, trees, st.booleans(), st.sets(names), st.sets(names))
def test_a_plan_carried_out_leaves_nothing_to_do(
    source: dict[str, Entry], target: dict[str, Entry], delete: bool, excluded: set[str], protected: set[str]
) -> None:
    rules = Rules(delete=delete, selected=selection((False, name) for name in sorted(excluded)))
    found = plan(source, target, rules, protected)
    after = {name: one for name, one in target.items() if name not in found.deletions}
    after |= {copy.name: source[copy.name] for copy in found.copies}
    again = plan(source, after, rules, protected)
    assert (again.copies, again.deletions) == ([], [])
    # Nothing is touched that is excluded or protected.
    for name in excluded:
        assert after.get(name) == target.get(name)
    for name in protected & set(target) - set(source):
        assert name in after
    if delete and not excluded and not protected:
        assert set(after) == set(source)


def info(modified: datetime, **metadata: str) -> ObjectInfo:
    return ObjectInfo(
        key="a",
        size=1,
        etag="e",
        created=modified,
        modified=modified,
        digests={"sha-256": b"d"},
        attributes=Attributes(metadata=metadata),
    )


@pytest.mark.parametrize("changed", [0, 1, 10**9, 1767225600_250000000, -1_500_000_000, 1767225600_123456789])
def test_the_time_of_a_file_is_kept_exactly(changed: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    one = info(now, mtime=told(changed))
    assert kept(one) == time_for_file(one) == changed
    assert entry_of(one) == Entry(size=1, changed=changed, digest=b"d")


@pytest.mark.parametrize("text", ["", "x", "1e9", "1.", "--1", "12345678901234567890"])
def test_what_others_say_of_times_may_be_rubbish(text: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=7)
    since = 1767225600_000007000
    assert entry_of(info(now, mtime=text)) == Entry(size=1, changed=since, written=since, digest=b"d")


def test_everything_counts_unless_something_is_said() -> None:
    assert "a/b" in EVERYTHING
