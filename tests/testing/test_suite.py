"""The suite finds what it is for: where a promise is broken, the test named for it fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import ObjectStoreError, Unsupported
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.machine import machine
from objectstore.testing.suite import conditions
from objectstore.testing.suite.harness import Capability
from objectstore.testing.suite.objects import FULL
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)
from testing import broken

_PUT = PutOptions()
_GET = GetOptions()
_COPY = CopyOptions()

FAILURES = (AssertionError, ObjectStoreError, pytest.fail.Exception)

ELEVEN: dict[str, object] = {"size": 11}

BROKEN: list[tuple[type[MemoryBackend], str, dict[str, object]]] = [
    (broken.IgnoresConditions, "creating_what_exists_is_already_exists", {"write": conditions.WRITES["put"]}),
    (broken.ChecksConditionsBeforeTheBody, "of_many_creating_a_key_one_wins", ELEVEN),
    (broken.ChecksConditionsBeforeTheBody, "of_many_replacing_one_version_one_wins", ELEVEN),
    (
        broken.DeletesWhateverIsThere,
        "a_condition_that_fails_lets_a_delete_change_nothing",
        {"made": conditions.FAILING["absent"]},
    ),
    (broken.NormalisesPaths, "a_key_alone_is_stored_as_it_is_or_refused_without_a_trace", {}),
    (broken.FoldsCase, "rivals_are_kept_apart", {"rivals": ("a", "A"), "backwards": False}),
    (broken.LeavesATraceOfWhatItRefuses, "all_keys_live_side_by_side", {"backwards": False}),
    (broken.KeepsWhatArrived, "a_body_that_fails_leaves_no_object", {**ELEVEN, "announced": None}),
    (broken.KeepsWhatArrived, "a_cancelled_body_leaves_the_old_object", ELEVEN),
    (broken.EtagsOfContent, "every_write_gives_another_etag", ELEVEN),
    (broken.ForgetsAttributes, "attributes_come_back", {**ELEVEN, "attributes": FULL}),
    (
        broken.BelievesDigests,
        "a_body_without_its_announced_digest_changes_nothing",
        {**ELEVEN, "whole": True},
    ),
    (
        broken.BelievesSizes,
        "a_body_of_another_size_than_announced_changes_nothing",
        {**ELEVEN, "whole": True, "announced": 5},
    ),
    (broken.ReadsLate, "an_open_reading_keeps_its_version", ELEVEN),
    (broken.CutsRangesShort, "a_range_is_a_slice", {"key": "small"}),
    (broken.ForgetsTheLimit, "a_prefix_is_raw_characters", {}),
    (broken.SkipsAfterAPage, "a_prefix_is_raw_characters", {}),
    (broken.OrdersByUtf16, "keys_come_in_the_order_of_their_utf_8_bytes", {}),
    (broken.ShowsGroupsAgain, "a_group_is_shown_once_while_keys_come_and_go", {"limit": 1}),
    (broken.CopiesWithoutAttributes, "a_copy_has_bytes_digests_and_attributes_of_its_source", ELEVEN),
    (broken.DeletesDuplicatesOnce, "delete_many_tells_of_each_key_in_its_place", {}),
    (broken.LeavesTasks, "check_finds_a_working_store_in_order", {}),
]


class Suite(BackendConformance):
    """The suite over one backend, whose tests are called one by one."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def backend(self, folder: Path) -> Backend:  # noqa: ARG002  what is in memory has none
        return self._backend


def run(suite: BackendConformance, test: str, folder: Path, given: Mapping[str, object]) -> None:
    """Run one test, for which to be skipped is to fail."""
    try:
        getattr(suite, f"test_{test}")(folder, **given)
    except pytest.skip.Exception as skipped:
        raise RuntimeError(f"{test} was skipped: {skipped}") from skipped


@pytest.mark.parametrize(("backend", "test", "given"), BROKEN, ids=lambda one: getattr(one, "__name__", None))
def test_a_broken_promise_is_found(
    backend: type[MemoryBackend], test: str, given: dict[str, object], tmp_path: Path
) -> None:
    run(Suite(MemoryBackend()), test, tmp_path, given)
    with pytest.raises(FAILURES):
        run(Suite(backend()), test, tmp_path, given)


@pytest.mark.parametrize(
    "backend",
    [
        broken.IgnoresConditions,
        broken.NormalisesPaths,
        broken.KeepsWhatArrived,
        broken.ForgetsAttributes,
        broken.ReadsLate,
        broken.CutsRangesShort,
        broken.SkipsAfterAPage,
        broken.OrdersByUtf16,
        broken.CopiesWithoutAttributes,
    ],
)
def test_the_model_finds_a_broken_promise(backend: type[MemoryBackend]) -> None:
    few = settings(
        max_examples=60,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    with pytest.raises((*FAILURES, LookupError)):
        run_state_machine_as_test(machine(lambda _: backend()), settings=few)


class Lacking(MemoryBackend):
    """Does not declare one capability, and refuses what it would take when `honest`."""

    def __init__(self, lacks: Capability, *, honest: bool = True, objects: Mapping[str, bytes] | None = None) -> None:
        super().__init__(objects)
        self._lacks = lacks
        self._honest = honest

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, **{self._lacks: False})  # type: ignore[arg-type]  # all are booleans

    def _refuse(self, asked: Capability, told: object = True) -> None:
        if told and asked == self._lacks and self._honest:
            raise Unsupported(f"no {asked}")

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        self._refuse("write")
        self._refuse("conditions", options.conditions != UNCONDITIONAL)
        self._refuse("attributes", options.attributes != NO_ATTRIBUTES)
        return await super().put(key, body, options)

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        self._refuse("ranges", options.range is not None)
        async with super().get(key, options) as reading:
            yield reading

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        self._refuse("delete")
        self._refuse("conditions", conditions != UNCONDITIONAL)
        await super().delete(key, conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        if self._lacks == "delete" and self._honest:
            return [Unsupported("no delete") for _ in keys]
        return await super().delete_many(keys)

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        self._refuse("write")
        self._refuse("conditions", options.conditions != UNCONDITIONAL)
        self._refuse("attributes", options.attributes)
        return await super().copy(source, target, options)

    async def list(self, query: ListQuery) -> ListPage:
        self._refuse("listing")
        return await super().list(query)


REFUSALS: dict[Capability, str] = {
    "write": "an_undeclared_write_is_refused",
    "delete": "an_undeclared_delete_is_refused",
    "listing": "an_undeclared_listing_is_refused",
    "ranges": "an_undeclared_range_is_refused",
    "conditions": "an_undeclared_condition_is_refused_and_never_ignored",
    "attributes": "attributes_that_cannot_be_kept_are_refused",
}


@pytest.mark.parametrize(("lacks", "test"), REFUSALS.items(), ids=REFUSALS)
def test_what_is_not_declared_must_be_refused(lacks: Capability, test: str, tmp_path: Path) -> None:
    run(Suite(Lacking(lacks)), test, tmp_path, {})
    with pytest.raises(FAILURES):
        run(Suite(Lacking(lacks, honest=False)), test, tmp_path, {})


@pytest.mark.parametrize("lacks", REFUSALS)
def test_what_is_not_declared_is_not_tested(lacks: Capability, tmp_path: Path) -> None:
    needing = {
        "write": "plain_keys_are_stored",
        "delete": "a_deleted_object_is_gone",
        "listing": "an_empty_store_lists_nothing",
        "ranges": "nothing_can_be_selected_of_an_empty_object",
        "conditions": "a_deleted_object_can_be_created_again",
        "attributes": "overwriting_replaces_attributes",
    }
    with pytest.raises(pytest.skip.Exception, match=lacks):
        getattr(Suite(Lacking(lacks)), f"test_{needing[lacks]}")(tmp_path)


class ReadOnly(BackendConformance):
    def backend(self, folder: Path) -> Backend:
        return self.stocked(folder, {})

    def stocked(self, folder: Path, objects: Mapping[str, bytes]) -> Lacking:  # noqa: ARG002  what is in memory has none
        return Lacking("write", objects=objects)


@pytest.mark.parametrize(
    ("test", "given"),
    [
        ("a_range_is_a_slice", {"key": "small"}),
        ("a_prefix_is_raw_characters", {}),
        ("a_condition_that_holds_lets_a_read_through", {"made": conditions.HOLDING["its etag"]}),
    ],
)
def test_reading_is_tested_where_nothing_can_be_written(test: str, given: dict[str, object], tmp_path: Path) -> None:
    run(ReadOnly(), test, tmp_path, given)


OUTSIDE = """
from objectstore.backends.memory import MemoryBackend
from objectstore.testing.conformance import BackendConformance

class TestMine(BackendConformance):
    def backend(self, folder):
        return MemoryBackend()
"""


def test_three_lines_run_the_suite_with_plain_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(OUTSIDE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "KeyTests or plain_keys or slice"]
    ended = subprocess.run([*command, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout
