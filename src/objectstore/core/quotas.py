"""What a quota allows."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from objectstore.errors import QuotaExceeded
from objectstore.values import Body, Quota, Usage


def check_quota(quota: Quota, usage: Usage, *, size: int, objects: int = 0) -> None:
    """Whether `size` bytes and so many objects may be added to what there is; less than none always may.

    Raises:
        QuotaExceeded
    """
    if quota.objects is not None and objects > 0 and usage.objects + objects > quota.objects:
        raise QuotaExceeded(quota.prefix, "objects", quota.objects, usage.objects)
    used = usage.size + usage.parts_size
    if quota.size is not None and size > 0 and used + size > quota.size:
        raise QuotaExceeded(quota.prefix, "bytes", quota.size, used)


def bounded(body: Body, size: int | None, quota: Quota, usage: Usage, replaced: int) -> Body:
    """The body, if the quota allows it; one of unknown length ends with an error as soon as it is too long.

    Raises (also while it is read):
        QuotaExceeded
    """
    if isinstance(body, bytes):
        size = len(body)
    if size is not None:
        check_quota(quota, usage, size=size - replaced)
    return body if isinstance(body, bytes) else _admitted(body, quota, usage, replaced)


async def _admitted(body: AsyncIterable[bytes], quota: Quota, usage: Usage, replaced: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in body:
        size += len(chunk)
        check_quota(quota, usage, size=size - replaced)
        yield chunk
