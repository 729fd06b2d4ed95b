"""The async client in the loop that servers run on, where a store of theirs may be another server, or S3."""

from __future__ import annotations

import uvloop

from client.both import TOKEN
from objectstore import AsyncRestStore


def test_it_works_in_uvloop(live: str, base: str) -> None:
    async def scenario() -> bytes:
        async with AsyncRestStore.create(live, TOKEN) as store:
            await store.put(f"{base}key", b"body")
            return await store.get(f"{base}key")

    assert uvloop.run(scenario()) == b"body"
