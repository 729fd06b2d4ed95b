"""One object on its way: read once, written, and what arrived compared with what left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Final

from objectstore.backends import reading
from objectstore.backends.contract import Backend
from objectstore.core.digests import ALGORITHMS, Digester, digests_of
from objectstore.errors import Corrupted, NotFound, PreconditionFailed
from objectstore.transfer.comparison import agree
from objectstore.transfer.report import Progress
from objectstore.values import NO_ATTRIBUTES, Conditions, Inline, ObjectInfo, PutOptions, Reading

_WORTH_A_THREAD: Final = 256 * 1024  # bytes that take longer to hash than to hand over


class Passage:
    """The copy of one object. `attempt` may be called again when it has failed.

    The target's object is replaced only while it is as `conditions` have it.
    """

    def __init__(self, source: Backend, target: Backend, key: str, conditions: Conditions, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._key = key
        self._conditions = conditions
        self._progress = progress
        self._counted = 0  # bytes of this try that progress was told of
        self._sent: Mapping[str, bytes] | None = None  # digests of what has left the source, once all of it has

    async def attempt(self) -> ObjectInfo:
        """Copy the version that the source has now; its record at the source.

        Raises:
            NotFound: the source has lost it.
            PreconditionFailed: somebody else has written or deleted the target's object.
            Corrupted: the target keeps something else than it was sent.
        """
        self._count(-self._counted)
        async with self._source.get(self._key) as opened:
            info = opened.info
            try:
                record = await self._send(opened)
            except PreconditionFailed as error:
                record = await self._own(info, error)
        # From here on the object at the target is ours, and may be replaced by another try.
        if self._target.capabilities.conditions:
            self._conditions = Conditions(if_match=(record.etag,))
        self._check(record, info)
        return info

    async def _send(self, opened: Reading) -> ObjectInfo:
        info = opened.info
        known = {name: digest for name, digest in info.digests.items() if name in ALGORITHMS}
        options = PutOptions(
            attributes=info.attributes if self._target.capabilities.attributes else NO_ATTRIBUTES,
            conditions=self._conditions,
            size=info.size,
            expected=_one_of(known),
        )
        if isinstance(opened.content, Inline):
            data = opened.content.data
            self._sent = known or digests_of(data)
            record = await self._target.put(self._key, data, options)
            self._count(len(data))
            return record
        if known:
            self._sent = known
        async with aclosing(self._watched(opened, hashing=not known)) as body:
            return await self._target.put(self._key, body, options)

    async def _watched(self, opened: Reading, *, hashing: bool) -> AsyncGenerator[bytes, None]:
        digester = Digester()
        missing = opened.info.size
        async with aclosing(reading.chunks(opened)) as chunks:
            async for chunk in chunks:
                missing -= len(chunk)
                if hashing:
                    await _hash(digester, chunk)
                    if missing == 0:  # who takes the last chunk may not ask for another
                        self._sent = digester.digests()
                self._count(len(chunk))
                yield chunk

    def _count(self, size: int) -> None:
        self._counted += size
        if size:
            self._progress.moved(size)

    async def _own(self, info: ObjectInfo, error: PreconditionFailed) -> ObjectInfo:
        """The target's record, when it is of what an earlier try has sent and only its answer was lost."""
        if self._sent is None:
            raise error
        try:
            found = await self._target.head(self._key)
        except NotFound:
            raise error from None
        same = found.size == info.size and agree(found.digests, self._sent)
        if same is None:
            same = agree(await digests_at(self._target, self._key, self._sent), self._sent)
        if not same:
            raise error
        return found

    def _check(self, record: ObjectInfo, info: ObjectInfo) -> None:
        if record.size != info.size:
            raise Corrupted(f"the target keeps {record.size} of the {info.size} bytes that it was sent")
        if self._sent is not None and agree(record.digests, self._sent) is False:
            raise Corrupted("the target keeps other bytes than it was sent: the digests differ")


async def digests_at(backend: Backend, key: str, algorithms: Iterable[str]) -> Mapping[str, bytes]:
    """Digests, by these algorithms and sha-256, of what the backend has under the key; it is read for that."""
    async with backend.get(key) as opened:
        digester = Digester(algorithms)
        async for chunk in reading.chunks(opened):
            await _hash(digester, chunk)
        return digester.digests()


async def _hash(digester: Digester, chunk: bytes) -> None:
    if len(chunk) >= _WORTH_A_THREAD:
        await asyncio.to_thread(digester.update, chunk)
    else:
        digester.update(chunk)


def _one_of(digests: Mapping[str, bytes]) -> Mapping[str, bytes]:
    # One is enough, and sha-256 is what most targets compute anyway.
    name = "sha-256" if "sha-256" in digests else next(iter(digests), None)
    return {} if name is None else {name: digests[name]}
