"""A record says of its own file what it was told, and nothing of any other."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.backends.contract import Backend
from objectstore.backends.filesystem import FilesystemBackend, records
from objectstore.backends.filesystem.records import Record
from objectstore.testing.suite.concurrency import ConcurrencyTests
from objectstore.testing.suite.objects import AttributeTests, CopyTests
from objectstore.testing.suite.reopening import ReopeningTests
from objectstore.values import Attributes

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30).map(str.strip)
OPTIONAL = st.none() | TEXT
RECORDS = st.builds(
    Record,
    size=st.integers(0, 2**63),
    mtime_ns=st.integers(-(2**63), 2**63),
    inode=st.integers(1, 2**64),
    etag=st.from_regex(r"[!#-~]{1,40}", fullmatch=True),
    created=st.datetimes(timezones=st.just(UTC)),
    digests=st.dictionaries(st.sampled_from(["sha-256", "md5"]), st.binary(max_size=32)),
    attributes=st.builds(
        Attributes,
        content_type=OPTIONAL,
        content_encoding=OPTIONAL,
        content_disposition=OPTIONAL,
        content_language=OPTIONAL,
        cache_control=OPTIONAL,
        metadata=st.dictionaries(st.from_regex(r"[a-z-]{1,10}", fullmatch=True), TEXT),
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["size", "etag", "digests", "attributes"]), inner),
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert records.load(records.decode(records.encode(records.dump(record)))) == record


@given(JSON)
def test_what_is_no_record_is_none(value: object) -> None:
    assert records.load(value) is None


@given(st.binary())
def test_what_is_no_json_is_nothing(raw: bytes) -> None:
    assert records.parsed("key", raw) is None


def _file(path: Path, mtime_ns: int) -> os.stat_result:
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, mtime_ns))
    return path.stat()


@pytest.mark.parametrize(
    ("mtime_ns", "elsewhere_too"), [(1_700_000_000_000_000_001, True), (1_700_000_000_000_000_000, False)]
)
def test_a_time_without_a_fraction_is_not_enough_to_know_a_file_by(
    tmp_path: Path, mtime_ns: int, *, elsewhere_too: bool
) -> None:
    file, same = _file(tmp_path / "one", mtime_ns), _file(tmp_path / "two", mtime_ns)
    record = Record(
        size=5,
        mtime_ns=mtime_ns,
        inode=file.st_ino,
        etag="e",
        created=datetime.now(UTC),
        digests={},
        attributes=Attributes(),
    )
    assert record.describes(file)
    assert record.describes(same) == elsewhere_too
    assert not record.describes(_file(tmp_path / "one", mtime_ns + 1))


class TestSidecars(AttributeTests, CopyTests, ConcurrencyTests, ReopeningTests):
    """What a backend has to remember it remembers in sidecars as well (the whole suite runs with carried records)."""

    def backend(self, folder: Path) -> AbstractAsyncContextManager[Backend]:
        return FilesystemBackend(folder / "data", carry_records=False)
