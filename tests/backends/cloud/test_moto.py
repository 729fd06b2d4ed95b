"""moto's S3 server: all of the contract, conditions included.

Where moto differs from S3: it takes a server-side copy, and the completion of parts, without looking at If-Match.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, moto
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.stores import bucket_store
from objectstore.errors import AlreadyExists, PreconditionFailed
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.machine import machine
from objectstore.testing.suite.concurrency import CREATE
from objectstore.testing.suite.harness import LARGE, SMALL, sample, settle
from objectstore.values import Conditions, PutOptions


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with moto() as running:
        yield running


def opened(server: S3Server, folder: Path) -> CloudBackend:
    """A store on the bucket that goes by the folder's name."""
    bucket = folder.name[:60].strip("_").replace("_", "-").lower()
    server.make_bucket(bucket)
    return bucket_store(bucket, endpoint_url=server.url, s3_access_key=ACCESS_KEY, s3_secret_key=SECRET_KEY)


class TestMoto(BackendConformance):
    one_in = 32
    # A thousand requests and more, for what the others show too.
    heavy = frozenset(
        {
            "test_pages_walk_a_store_of_more_than_a_page",
            "test_delete_many_takes_a_thousand_keys",
            "test_many_parts_are_ordered_by_number",
            "test_a_copy_to_a_key_that_cannot_be_held_is_refused_without_a_trace",
            "test_a_key_alone_is_stored_as_it_is_or_refused_without_a_trace",
            "test_all_keys_live_side_by_side",
            "test_a_walk_neither_skips_nor_repeats_while_keys_come_and_go",
        }
    )
    # S3 binds a write to an etag that is of the bytes: below, the bytes differ.
    impossible = frozenset({"test_of_many_in_two_that_share_their_data_one_wins"})

    @pytest.fixture(autouse=True)
    def served(self, server: S3Server) -> None:
        self.server = server

    def backend(self, folder: Path) -> CloudBackend:
        return opened(self.server, folder)

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    def test_of_many_in_two_stores_with_other_bytes_one_wins(self, tmp_path: Path, size: int) -> None:
        async def scenario() -> None:
            async with self.backend(tmp_path) as one, self.backend(tmp_path) as other:
                both = list(enumerate([one, other] * 3))
                created, errors = await settle(store.put("key", sample(size, seed), CREATE) for seed, store in both)
                assert len(created) == 1
                assert {type(error) for error in errors} == {AlreadyExists}
                bound = PutOptions(conditions=Conditions(if_match=(created[0].etag,)))
                records, errors = await settle(store.put("key", sample(size, 9 + seed), bound) for seed, store in both)
                assert len(records) == 1
                assert {type(error) for error in errors} == {PreconditionFailed}
                assert await one.head("key") == await other.head("key") == records[0]

        asyncio.run(scenario())


def test_a_bucket_does_as_the_model(server: S3Server) -> None:
    def opener(folder: Path) -> CloudBackend:
        return opened(server, folder)

    fewer = settings(
        max_examples=12,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine(opener), settings=fewer)
