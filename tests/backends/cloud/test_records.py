"""What is known of an object survives the headers of a service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

import pytest

from objectstore.backends.cloud.records import ENTRY, Found, fields_of
from objectstore.testing.suite.objects import FULL
from objectstore.values import Attributes, ObjectInfo

TIME: Final = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER: Final = datetime(2026, 6, 7, tzinfo=UTC)


def _info(attributes: Attributes) -> ObjectInfo:
    return ObjectInfo(
        key="key",
        size=7,
        etag="ours",
        created=TIME,
        modified=LATER,
        digests={"sha-256": bytes(range(32))},
        attributes=attributes,
    )


def _found(fields: dict[str, str]) -> Found:
    return Found(size=7, etag='"theirs"', modified=TIME, fields=fields)


@pytest.mark.parametrize("identifiers_only", [False, True])
@pytest.mark.parametrize(
    "attributes",
    [
        Attributes(),
        FULL,
        Attributes(content_type="application/octet-stream"),
        Attributes(content_disposition='attachment; filename="ü.txt"'),
        Attributes(metadata={"objectstore": "mine", "mtime": "1", "empty": "", "a!b": "c", "a--b": "d"}),
        Attributes(metadata={"looks": "=?UTF-8?B?eA==?=", "spaces": "a  b", "long": "ü" * 500}),
    ],
)
def test_all_that_is_known_comes_back(attributes: Attributes, identifiers_only: bool) -> None:
    info = _info(attributes)
    fields = fields_of(info, identifiers_only=identifiers_only)
    assert _found(fields).info("key") == info
    for value in fields.values():
        # What travels in a header unchanged, and is signed alike by everyone.
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()
        assert value


def test_other_programs_see_types_and_metadata_under_their_names() -> None:
    fields = fields_of(_info(Attributes(content_type="text/plain", metadata={"author": "Zoë", "plain": "x"})))
    assert fields["Content-Type"] == "text/plain"
    assert fields["plain"] == "x"
    assert fields["author"] == "=?UTF-8?B?Wm/Dqw==?="


def test_azure_gets_identifiers_for_names() -> None:
    fields = fields_of(_info(Attributes(metadata={"with-dash": "1", "plain": "2"})), identifiers_only=True)
    assert set(fields) == {"Content-Type", "plain", ENTRY}


def test_an_object_of_another_program_has_what_the_service_tells() -> None:
    found = _found({"Content-Type": "image/png", "Author": "=?UTF-8?Q?Zo=C3=AB?=", "Storage-Class": "STANDARD"})
    assert found.info("key") == ObjectInfo(
        key="key",
        size=7,
        etag="theirs",
        created=TIME,
        modified=TIME,
        attributes=Attributes(content_type="image/png", metadata={"author": "Zoë"}),
    )


@pytest.mark.parametrize(
    "entry",
    ["", "no json", "[]", "{}", '{"v":2}', '{"v":1}', '{"v":1,"etag":"e","created":"yesterday","digests":{}}', "null"],
)
def test_an_entry_that_is_not_ours_is_passed_over(entry: str) -> None:
    info = _found({"Content-Type": "a/b", ENTRY: entry}).info("key")
    assert (info.etag, info.created, info.digests) == ("theirs", TIME, {})


def test_a_server_that_adds_a_time_of_its_own_changes_nothing() -> None:
    info = _info(FULL)
    assert _found(fields_of(info) | {"mtime": "1795454202.1"}).info("key") == info


def test_the_entry_is_plain_json() -> None:
    told = json.loads(fields_of(_info(Attributes()))[ENTRY])
    assert told["etag"] == "ours"
    assert told["modified"] == LATER.isoformat()
