"""Bodies of answers, cut to what was asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2

from objectstore.backends.http.answers import Span
from objectstore.backends.http.failures import translated
from objectstore.errors import Corrupted


async def cut(response: httpx2.Response, span: Span, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """Bytes `start` to `stop` of the object, of whose bytes the body holds a span. Raises Corrupted: it ends early."""
    at = span.start
    with translated(response.url.host):
        async with aclosing(response.aiter_raw()) as arriving:
            async for chunk in arriving:
                wanted = chunk[max(0, start - at) : stop - at]
                at += len(chunk)
                if wanted:
                    yield wanted
                # Read to its end, where that is near, the connection can be used again.
                if at >= stop and stop < span.stop:
                    break
    if at < stop:
        raise Corrupted(f"{response.url.host} sent {stop - at} bytes less than it announced")
