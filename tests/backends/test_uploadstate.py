"""The state of an upload survives its way through JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from objectstore.backends import uploadstate
from objectstore.backends.uploadstate import UploadState
from objectstore.errors import Corrupted
from objectstore.values import Attributes, Conditions, ObjectInfo, PutOptions

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
PLAIN = PutOptions()


def test_a_state_comes_back_as_it_was() -> None:
    attributes = Attributes(content_type="a/b", content_language="de", metadata={"name": "Zoë"})
    conditions = Conditions(
        if_match=("a", "*"), if_none_match="*", if_modified_since=NOW, if_unmodified_since=NOW - timedelta(days=1)
    )
    options = PutOptions(
        attributes=attributes,
        conditions=conditions,
        size=7,
        expected={"md5": b"\x00\xff"},
        digests=frozenset({"sha-1", "md5"}),
        etag="chosen",
    )
    info = ObjectInfo(
        key="é/😀",
        size=7,
        etag="chosen",
        created=NOW,
        modified=NOW,
        digests={"sha-256": bytes(range(32))},
        attributes=attributes,
    )
    for state in (
        UploadState(upload_id="id", key="é/😀", begun=NOW, options=options, completed=info),
        UploadState(upload_id="id", key="key", begun=NOW, options=PLAIN),
        UploadState(upload_id="id", key="key", begun=NOW, options=PutOptions(conditions=Conditions(if_match=()))),
        UploadState(upload_id="id", key="key", begun=NOW, options=PutOptions(conditions=Conditions(if_match="*"))),
    ):
        assert uploadstate.load(uploadstate.dump(state)) == state


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b'{"version": 1}'])
def test_rubbish_is_no_state(rubbish: bytes) -> None:
    with pytest.raises(Corrupted):
        uploadstate.load(rubbish)


def test_a_state_of_a_later_version_is_refused_with_the_reason() -> None:
    with pytest.raises(Corrupted, match="another version"):
        uploadstate.load(b'{"version": 2}')
