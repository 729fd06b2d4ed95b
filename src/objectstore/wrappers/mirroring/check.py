"""Do the children of a mirror hold the same?

Which copy is the good one: that of the first child, unless it is damaged. What the first child does not have is
good on the next one that has it, unless a mark says that it was being deleted there. Then nothing is, and what is
left of it goes.

It may run beside servers that use the mirror: what looks wrong is looked at again when nobody is changing it, and
repaired as a change of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from objectstore.backends.reading import chunks
from objectstore.errors import Corrupted, NotFound, ObjectStoreError
from objectstore.values import GetOptions, ListQuery, ObjectInfo, PutOptions
from objectstore.wrappers.mirroring import marks
from objectstore.wrappers.mirroring.changes import Change, Changes
from objectstore.wrappers.mirroring.child import Child
from objectstore.wrappers.mirroring.marks import Mark

Kind: TypeAlias = Literal["missing", "different", "stale", "damaged", "lost", "other-etag", "unfinished"]

_PAGE: Final = 1000
_LOOKS: Final = 50  # at a key that somebody is changing
_PAUSE: Final = 0.1  # seconds between them


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be with one copy of an object."""

    kind: Kind
    name: str  # the key
    message: str  # which child, and what
    repaired: bool = False

    @property
    def lost(self) -> bool:
        """Whether no good copy is left."""
        return self.kind == "lost"


@dataclass(frozen=True, slots=True)
class _Copy:
    """What a child holds under a key."""

    child: Child
    info: ObjectInfo | None
    mark: Mark | None
    sha256: bytes | None  # of the bytes, if they were read, else as the child knows it
    damaged: bool = False

    @property
    def good(self) -> bool:
        return self.info is not None and not self.damaged


async def check(
    children: Sequence[Child], changes: Changes, *, deep: bool = False, repair: bool = False
) -> AsyncIterator[Finding]:
    """What differs between the children: nothing, when all is well.

    Sizes, etags, attributes and known digests are compared; `deep` reads every copy. `repair` mends all but what
    is lost.

    Raises:
        Unavailable: a child does not answer.
    """
    checker = _Checker(children, changes, deep=deep)
    async for key in checker.doubtful_keys():
        for finding in await (checker.mend(key) if repair else checker.look_twice(key)):
            yield finding


async def mend(key: str, children: Sequence[Child], changes: Changes) -> Sequence[Finding]:
    """What was wrong with the copies of one object, repaired where that could be done."""
    return await _Checker(children, changes, deep=False).mend(key)


class _Checker:
    def __init__(self, children: Sequence[Child], changes: Changes, *, deep: bool) -> None:
        self._children = children
        self._changes = changes
        self._deep = deep
        self._attributes = all(child.backend.capabilities.attributes for child in children)

    async def doubtful_keys(self) -> AsyncIterator[str]:
        """Keys that have to be looked at one by one; each once, but that it may change meanwhile."""
        marked: set[str] = set()
        for child in self._children[1:]:
            async for key in _marked(child):
                if key not in marked:
                    marked.add(key)
                    yield key
        async for key, infos in _everything(self._children):
            if key not in marked and (self._deep or not self._agree(infos)):
                yield key

    def _agree(self, infos: Sequence[ObjectInfo | None]) -> bool:
        first = infos[0]
        return first is not None and all(
            info is not None and info.etag == first.etag and not self._difference(info, first) for info in infos
        )

    def _difference(self, one: ObjectInfo, other: ObjectInfo) -> str:
        if one.size != other.size:
            return f"{one.size} bytes instead of {other.size}"
        if one.digests.get("sha-256", b"") != other.digests.get("sha-256", b"") and _known(one) and _known(other):
            return "other bytes"
        if self._attributes and one.attributes != other.attributes:
            return "another content type or metadata"
        return ""

    async def look_twice(self, key: str) -> Sequence[Finding]:
        """What is wrong with the key while nobody changes it."""
        found: Sequence[Finding] = ()
        for _ in range(_LOOKS):
            copies = await self._look(key, [await child.mark_at(marks.mark_key(key)) for child in self._children[1:]])
            found = self._judge(key, copies)
            if not found or all(copy.mark is None or copy.mark.dead is not False for copy in copies):
                break
            await asyncio.sleep(_PAUSE)
        return found

    async def mend(self, key: str) -> Sequence[Finding]:
        """What was wrong, and is as it should be now wherever that could be done."""
        found: Sequence[Finding] = ()
        try:
            async with self._changes.change(key) as change:
                change.nothing_changed()
                copies = await self._look(key, [change.inherited(child) for child in self._children[1:]])
                found = self._judge(key, copies)
                if found and not any(finding.lost for finding in found):
                    change.unsettle()
                    await self._even_out(key, copies, _good(copies), change)
                    found = [replace(finding, repaired=True) for finding in found]
        except ObjectStoreError as error:
            # A child that is away raises once more.
            found = found or await self.look_twice(key)
            return [replace(finding, message=f"{finding.message}; not repaired: {error}") for finding in found]
        return found

    async def _look(self, key: str, found: Sequence[Mark | None]) -> Sequence[_Copy]:
        copies = [
            await self._copy(child, key, mark) for child, mark in zip(self._children, (None, *found), strict=True)
        ]
        if not self._deep and _only_etags_differ(copies):
            # Nobody knows their digests, so the bytes have to tell whether they are the same object.
            return [await self._read(copy) for copy in copies]
        return copies

    async def _copy(self, child: Child, key: str, mark: Mark | None) -> _Copy:
        try:
            info = await child.current(key)
        except Corrupted:
            return _Copy(child, None, mark, None, damaged=True)
        except ObjectStoreError as error:
            raise child.told(error, "the check cannot go on") from error
        copy = _Copy(child, info, mark, None if info is None else info.digests.get("sha-256"))
        return await self._read(copy) if self._deep else copy

    async def _read(self, copy: _Copy) -> _Copy:
        if copy.info is None:
            return copy
        digest, size = hashlib.sha256(), 0
        try:
            async with copy.child.opened(copy.info.key, GetOptions()) as reading, aclosing(chunks(reading)) as body:
                async for chunk in body:
                    digest.update(chunk)
                    size += len(chunk)
        except NotFound:
            return replace(copy, info=None, sha256=None)
        except Corrupted:
            return replace(copy, damaged=True)
        except ObjectStoreError as error:
            raise copy.child.told(error, "the check cannot go on") from error
        sha256 = digest.digest()
        damaged = size != reading.info.size or sha256 != reading.info.digests.get("sha-256", sha256)
        return replace(copy, info=reading.info, sha256=sha256, damaged=damaged)

    def _judge(self, key: str, copies: Sequence[_Copy]) -> Sequence[Finding]:
        good = _good(copies)
        if good is None and any(copy.damaged for copy in copies):
            damaged = next(copy for copy in copies if copy.damaged)
            message = f"{damaged.child.name} has a damaged copy, and no other child has a whole one of it"
            return [Finding(kind="lost", name=key, message=message)]
        found = []
        for copy in copies:
            told = self._wrong(copy, good)
            if told is not None:
                kind, message = told
                kind = "stale" if copy.mark is not None and kind in {"missing", "different"} else kind
                found.append(Finding(kind=kind, name=key, message=f"{copy.child.name} {message}"))
            elif copy.mark is not None:
                message = f"{copy.child.name} is marked by a change that did not come to its end, but misses nothing"
                found.append(Finding(kind="unfinished", name=key, message=message))
        return found

    def _wrong(self, copy: _Copy, good: _Copy | None) -> tuple[Kind, str] | None:
        if good is None or good.info is None:
            return None if copy.info is None else ("different", "still has what was deleted")
        if copy is good:
            return None
        source = good.child.name
        if copy.damaged:
            return "damaged", f"has a damaged copy; that of {source} is good"
        if copy.info is None:
            return "missing", f"has no copy; {source} has one"
        difference = self._difference(copy.info, good.info)
        if not difference and copy.sha256 and good.sha256 and copy.sha256 != good.sha256:
            difference = "other bytes"
        if difference:
            return "different", f"has {difference}; that of {source} is good"
        if copy.info.etag != good.info.etag:
            return "other-etag", f"has the same object under another etag than {source}"
        return None

    async def _even_out(self, key: str, copies: Sequence[_Copy], good: _Copy | None, change: Change) -> None:
        wanted = None if good is None else good.info
        for copy in copies:
            child = copy.child
            wrong = self._wrong(copy, good)
            if wanted is None or good is None:
                await child.remove(key)
            elif wrong is not None and wrong[0] == "other-etag" and not child.first:
                await child.keep_etag(await child.backend.head(key), wanted.etag)
            elif wrong is not None:
                info = await _put(child, good, wanted)
                if child.first:
                    wanted = info  # its etag is the one outside
                else:
                    await child.keep_etag(info, wanted.etag)
            elif not child.first and copy.info is not None and copy.info.etag != wanted.etag:
                await child.keep_etag(await child.backend.head(key), wanted.etag)
            change.settle(child)


async def _put(child: Child, good: _Copy, wanted: ObjectInfo) -> ObjectInfo:
    options = PutOptions(
        attributes=wanted.attributes,
        size=wanted.size,
        digests=frozenset(wanted.digests),
        expected={} if good.sha256 is None else {"sha-256": good.sha256},
        etag=wanted.etag,
    )
    async with good.child.opened(wanted.key, GetOptions()) as reading, aclosing(chunks(reading)) as body:
        return await child.backend.put(wanted.key, body, options)


def _good(copies: Sequence[_Copy]) -> _Copy | None:
    """The copy that the others are to be like; None when there is to be none, or none is whole."""
    first, *others = copies
    if first.good:
        return first
    for copy in others:
        if not copy.good:
            continue
        if first.info is None and not first.damaged:
            if copy.mark is None or not copy.mark.deleting:
                return copy
        elif copy.mark is None and _may_be_the_same(copy, first.info):
            return copy
    return None


def _may_be_the_same(copy: _Copy, damaged: ObjectInfo | None) -> bool:
    wanted = None if damaged is None else damaged.digests.get("sha-256")
    return wanted is None or copy.sha256 in {None, wanted}


def _known(info: ObjectInfo) -> bool:
    return "sha-256" in info.digests


def _only_etags_differ(copies: Sequence[_Copy]) -> bool:
    infos = [copy.info for copy in copies if copy.info is not None]
    return (
        len({info.etag for info in infos}) > 1
        and len({info.size for info in infos}) == 1
        and not all(_known(info) for info in infos)
    )


async def _marked(child: Child) -> AsyncIterator[str]:
    """The keys that bear a mark on the child."""
    start: str | None = marks.MARKS
    while start is not None:
        page = await _page(child, ListQuery(prefix=marks.MARKS, start=start, limit=_PAGE))
        for name in page[0]:
            if (mark := await child.mark_at(name)) is not None:
                yield mark.key
        start = page[2]


async def _everything(children: Sequence[Child]) -> AsyncIterator[tuple[str, Sequence[ObjectInfo | None]]]:
    """Every key that any child holds, with what each of them knows of it."""
    start: str | None = ""
    while start is not None:
        query = ListQuery(start=start, limit=_PAGE, details=True)
        pages = [await _page(child, query) for child in children]
        # Up to where the shortest page goes, every child has told all that it has.
        bound = min((following for _, _, following in pages if following is not None), default=None)
        known = [dict(zip(keys, infos, strict=True)) for keys, infos, _ in pages]
        for key in sorted({key for keys, _, _ in pages for key in keys}):
            if not marks.is_reserved(key) and (bound is None or key < bound):
                yield key, [infos.get(key) for infos in known]
        start = marks.BEHIND if bound is not None and marks.is_reserved(bound) else bound


async def _page(child: Child, query: ListQuery) -> tuple[Sequence[str], Sequence[ObjectInfo], str | None]:
    try:
        page = await child.backend.list(query)
    except ObjectStoreError as error:
        raise child.told(error, "the check cannot go on") from error
    return page.keys, page.objects, page.next_start
