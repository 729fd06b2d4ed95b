"""Conditions against RFC 9110 §13.2.2, step by step and in every combination."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from objectstore.core.conditions import check_read, check_source, check_write, matches
from objectstore.errors import AlreadyExists, NotModified, ObjectStoreError, PreconditionFailed
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, Conditions, Etags, ObjectInfo

SECOND = timedelta(seconds=1)
MODIFIED = datetime(2026, 3, 1, 12, 0, 0, 750_000, tzinfo=UTC)
SHOWN = MODIFIED.replace(microsecond=0)  # what Last-Modified says
OBJECT = ObjectInfo(key="k", size=1, etag="now", created=MODIFIED, modified=MODIFIED)

ETAGS: tuple[Etags | None, ...] = (None, "*", ("now",), ("old", "now"), ("old",), ("*",), ())
TIMES: tuple[datetime | None, ...] = (None, SHOWN - SECOND, SHOWN, MODIFIED, SHOWN + SECOND)
ALL = [
    Conditions(if_match=match, if_none_match=none_match, if_modified_since=since, if_unmodified_since=unless)
    for match, none_match, since, unless in product(ETAGS, ETAGS, TIMES, TIMES)
]


def _names_it(etags: Etags) -> bool:
    return etags == "*" or any(etag == "now" for etag in etags)


def _steps(conditions: Conditions, *, exists: bool, reading: bool) -> type[ObjectStoreError] | None:
    # The numbers are those of the RFC; 5 is If-Range, 6 is to go on.
    if conditions.if_match is not None:  # 1
        if not (exists and _names_it(conditions.if_match)):
            return PreconditionFailed
    elif conditions.if_unmodified_since is not None and (  # 2
        not exists or conditions.if_unmodified_since < SHOWN
    ):
        return PreconditionFailed
    if conditions.if_none_match is not None:  # 3
        if exists and _names_it(conditions.if_none_match):
            if reading:
                return NotModified
            return AlreadyExists if conditions.if_none_match == "*" else PreconditionFailed
    elif reading and conditions.if_modified_since is not None and conditions.if_modified_since >= SHOWN:  # 4
        return NotModified
    return None


def _outcome_of_read(conditions: Conditions) -> type[ObjectStoreError] | None:
    try:
        check_read(conditions, OBJECT)
    except ObjectStoreError as error:
        return type(error)
    return None


def _outcome_of_write(conditions: Conditions, current: ObjectInfo | None) -> type[ObjectStoreError] | None:
    try:
        check_write(conditions, "k", current)
    except ObjectStoreError as error:
        return type(error)
    return None


def test_reads_follow_the_order_of_the_rfc() -> None:
    for conditions in ALL:
        assert _outcome_of_read(conditions) is _steps(conditions, exists=True, reading=True), conditions


def test_writes_follow_the_order_of_the_rfc() -> None:
    for conditions in ALL:
        assert _outcome_of_write(conditions, OBJECT) is _steps(conditions, exists=True, reading=False), conditions


def test_writes_where_nothing_is_follow_the_order_of_the_rfc() -> None:
    for conditions in ALL:
        assert _outcome_of_write(conditions, None) is _steps(conditions, exists=False, reading=False), conditions


@pytest.mark.parametrize("conditions", [UNCONDITIONAL, Conditions()])
def test_no_condition_always_holds(conditions: Conditions) -> None:
    check_read(conditions, OBJECT)
    check_write(conditions, "k", OBJECT)
    check_write(conditions, "k", None)


def test_a_failed_condition_names_the_key() -> None:
    with pytest.raises(PreconditionFailed) as failed:
        check_write(Conditions(if_match=("old",)), "k", OBJECT)
    assert failed.value.key == "k"
    with pytest.raises(AlreadyExists) as there:
        check_write(ONLY_IF_ABSENT, "k", OBJECT)
    assert there.value.key == "k"


def test_not_modified_tells_the_etag_that_the_reader_may_keep() -> None:
    with pytest.raises(NotModified) as told:
        check_read(Conditions(if_none_match=("old", "now")), OBJECT)
    assert told.value.etag == "now"


def test_what_was_deleted_was_modified() -> None:
    # Whoever saw the object and asks that it be unchanged is not to bring it back unknowing.
    with pytest.raises(PreconditionFailed):
        check_write(Conditions(if_unmodified_since=SHOWN + SECOND), "k", None)


def test_a_source_that_the_reader_has_is_a_failed_condition() -> None:
    check_source(UNCONDITIONAL, OBJECT)
    check_source(Conditions(if_match=("now",)), OBJECT)
    for conditions in (Conditions(if_none_match=("now",)), Conditions(if_match=("old",))):
        with pytest.raises(PreconditionFailed):
            check_source(conditions, OBJECT)


@pytest.mark.parametrize("etag", ["", "*", "now", "W/now"])
def test_the_star_matches_any_object(etag: str) -> None:
    assert matches("*", etag)
    assert matches((etag,), etag)
    assert not matches((etag + "x",), etag)
    assert not matches((), etag)


def test_an_etag_alone_is_not_taken_for_a_list_of_them() -> None:
    with pytest.raises(TypeError, match=r"\('now',\)"):
        Conditions(if_match="now")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Conditions(if_none_match="now")  # type: ignore[arg-type]
