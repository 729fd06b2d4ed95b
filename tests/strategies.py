"""What Hypothesis draws for the tests of the rules, and how: without a deadline, for the machine is shared."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st

from objectstore.core.attributes import MAX_ATTRIBUTES_SIZE
from objectstore.core.keys import MAX_KEY_SIZE
from objectstore.values import Attributes, ObjectInfo

settings.register_profile("objectstore", deadline=None)
settings.load_profile("objectstore")

UNICODE = st.characters(codec="utf-8")
TEXT = st.text(UNICODE)

# What URLs, paths, file systems and databases like to treat as something of their own.
_AWKWARD = ("/", "//", ".", "..", "%", "%2e", "%2F", "%00", "?", "#", "\\", ";", "+", " ", "&", "=", ":", "~", "\n")
_EDGES = ("\x01", "\x7f", "\x80", "\u00e9", "\u2028", "\ud7ff", "\ue000", "\uffff", "\U0001f600", "\U0010ffff")
KEYS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
    st.lists(st.sampled_from((*_AWKWARD, *_EDGES, "a", "b")), min_size=1, max_size=12).map("".join),
    st.integers(1, MAX_KEY_SIZE).map(lambda size: "k" * size),
)

# A value that a header can carry: no controls, no white space at the ends.
HEADER_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=30).map(
    lambda text: text.strip(" \t")
)
META_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~-", min_size=1, max_size=12)
ATTRIBUTES = st.builds(
    Attributes,
    content_type=st.none() | HEADER_TEXT.filter(bool),
    content_encoding=st.none() | HEADER_TEXT.filter(bool),
    content_disposition=st.none() | HEADER_TEXT.filter(bool),
    content_language=st.none() | HEADER_TEXT.filter(bool),
    cache_control=st.none() | HEADER_TEXT.filter(bool),
    metadata=st.dictionaries(META_NAMES, HEADER_TEXT, max_size=4),
)
assert MAX_ATTRIBUTES_SIZE > (5 + 2 * 4) * (30 * 4 + 20), "what is drawn fits"

# From the year 1000 on: the two last digits of an earlier one are read as a year of our time.
TIMES = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  naive bounds
# The characters of an opaque tag (RFC 9110 §8.8.3), above 0x7F as Latin-1.
ETAGS = st.text(st.sampled_from([chr(code) for code in (0x21, *range(0x23, 0x7F), *range(0x80, 0x100))]))
INFOS = st.builds(
    ObjectInfo,
    key=KEYS,
    size=st.integers(0, 2**63 - 1),
    etag=ETAGS,
    created=TIMES,
    modified=TIMES,
    digests=st.fixed_dictionaries({}, optional={"sha-256": st.binary(min_size=32, max_size=32)}),
    attributes=ATTRIBUTES,
)
