"""What the machine draws: keys that meet, bodies around the limits of stores, ranges and conditions of every kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from hypothesis import strategies as st

from objectstore.testing.suite.harness import sample
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Attributes,
    Bounded,
    ByteRange,
    Conditions,
    From,
    Last,
    ObjectInfo,
)

Made: TypeAlias = Callable[[ObjectInfo | None], Conditions]
SECOND: Final = timedelta(seconds=1)

# Few keys, so that they meet; close to each other, so that they might be mixed up.
KEYS: Final = st.one_of(
    st.sampled_from(["a", "a/b", "a/b/c", "a//b", "a!", "a0", "\uffff", "😀"]),
    st.sampled_from(["a", "a/b", "a/b/c", "a//b", "a!", "a0", "\uffff", "😀"]),
    st.text(alphabet="ab/.é😀\uffff%", min_size=1, max_size=4),
)
# Around what fits in an index, and around the blocks that files are written in.
BODIES: Final = st.builds(
    sample, st.sampled_from([0, 1, 100, 64 * 1024, 64 * 1024 + 1, 300_000, 1024 * 1024 + 1]), st.integers(0, 3)
)
ATTRIBUTES: Final = st.sampled_from(
    [
        NO_ATTRIBUTES,
        Attributes(content_type="text/plain"),
        Attributes(cache_control="no-store", metadata={"name": "ü"}),
    ]
)
PREFIXES: Final = st.sampled_from(["", "a", "a/", "a/b", "b/", "é", "\uffff", "😀", "/", "."])
DELIMITERS: Final = st.sampled_from(["", "/", "b", "/b", "😀"])
STARTS: Final = st.one_of(st.just(""), KEYS, KEYS.map(lambda key: key + "\0"))
POSITIONS: Final = st.one_of(st.integers(0, 120), st.sampled_from([65_535, 65_536, 65_537, 300_000, 2**40]))
RANGES: Final[st.SearchStrategy[ByteRange | None]] = st.one_of(
    st.none(),
    st.builds(lambda start, length: Bounded(start, start + length + 1), POSITIONS, POSITIONS),
    st.builds(From, POSITIONS),
    st.builds(Last, POSITIONS),
)


def _etag(info: ObjectInfo | None) -> str:
    return "none" if info is None else info.etag


def _modified(info: ObjectInfo | None) -> datetime:
    return datetime.fromisoformat("2020-01-01T00:00:00Z") if info is None else info.modified.replace(microsecond=0)


ALWAYS: Final[st.SearchStrategy[Made]] = st.just(lambda _: UNCONDITIONAL)
STRICT: Final[st.SearchStrategy[Made]] = st.sampled_from(
    [
        lambda _: Conditions(if_none_match="*"),
        lambda _: Conditions(if_match="*"),
        lambda info: Conditions(if_match=("other", _etag(info))),
        lambda _: Conditions(if_match=("other",)),
        lambda info: Conditions(if_none_match=(_etag(info),)),
        lambda _: Conditions(if_none_match=("other",)),
        lambda info: Conditions(if_unmodified_since=_modified(info)),
        lambda info: Conditions(if_unmodified_since=_modified(info) - SECOND),
    ]
)
WRITE_CONDITIONS: Final = st.one_of(ALWAYS, STRICT)
READ_CONDITIONS: Final = st.one_of(
    ALWAYS,
    STRICT,
    st.sampled_from(
        [
            lambda info: Conditions(if_modified_since=_modified(info)),
            lambda info: Conditions(if_modified_since=_modified(info) - SECOND),
            lambda info: Conditions(if_none_match=("other",), if_modified_since=_modified(info)),
        ]
    ),
)
