"""Keys sent to one place or another by their form.

A place is a store and a prefix in it. A key belongs to the first route whose pattern it matches, and is kept under
the prefix of that route. Stores are told apart as the objects that they are: each is a branch, which maps keys as
any wrapper of keys does; the router chooses the branch, and does what concerns several.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from objectstore.backends import reading
from objectstore.backends.contract import Backend, Uploads
from objectstore.backends.statistics import Level, Measured, levels_of, measured_of
from objectstore.core.digests import ALGORITHMS
from objectstore.errors import InvalidKey, NotFound, NotModified, ObjectStoreError, PreconditionFailed, UploadNotFound
from objectstore.values import (
    COMPLETE,
    UNCONDITIONAL,
    Body,
    Capabilities,
    CompleteOptions,
    Conditions,
    CopyOptions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
    Reading,
    Upload,
    UploadPage,
)
from objectstore.wrappers.forwarding import COPY, GET, PUT
from objectstore.wrappers.keymapping import KeyMapping
from objectstore.wrappers.merging import Source, merged
from objectstore.wrappers.prefix import Prefixed

NAME: Final = "RegexRoutingStore"
_NOTES: Final = (
    "What a key's own store can do holds for it, even where the stores together cannot.",
    "A listing reads past names in its stores that are no keys of it, and reads groups key by key.",
)


@dataclass(frozen=True, slots=True)
class Route:
    """Keys in which `pattern` is found, anywhere unless it says otherwise, are kept in `store` under `prefix`."""

    pattern: re.Pattern[str]
    store: Backend
    prefix: str = ""


class Routing:
    """Stores chosen by key: the first route that matches counts.

    A key that no route matches cannot be written, and is not found. Two keys that would meet in one place are one
    too many: the one that belongs to the earlier route is kept, the other refused.

    Opens and closes each store once. Uploads carry the number of their store in the order of the routes, so that
    unfinished ones are lost when routes to other stores are put before it.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        stores: dict[int, Backend] = {id(route.store): route.store for route in routes}
        self._routes = tuple(routes)
        self._branches = {name: _Branch(store, self._routes) for name, store in stores.items()}
        self._opened = AsyncExitStack()

    @property
    def capabilities(self) -> Capabilities:
        told = [branch.capabilities for branch in self._branches.values()]
        return Capabilities(
            name=NAME,
            persistent=all(one.persistent for one in told),
            shared=all(one.shared for one in told),
            write=any(one.write for one in told),
            delete=any(one.delete for one in told),
            listing=all(one.listing for one in told),
            ranges=all(one.ranges for one in told),
            conditions=all(one.conditions for one in told),
            attributes=all(one.attributes for one in told),
            digests=all(one.digests for one in told),
            notes=(*_NOTES, *dict.fromkeys(note for one in told for note in one.notes)),
        )

    @property
    def uploads(self) -> Uploads:
        return _RoutedUploads(self, tuple(self._branches.values()))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for branch in self._branches.values():
                await stack.enter_async_context(branch)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(exc_type, exc, traceback)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        return await self.taking(key).put(key, body, options)

    def get(self, key: str, options: GetOptions = GET) -> AbstractAsyncContextManager[Reading]:
        return self._holding(key).get(key, options)

    async def head(self, key: str) -> ObjectInfo:
        return await self._holding(key).head(key)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await self._holding(key).delete(key, conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        results: list[ObjectStoreError | None] = [NotFound(key) for key in keys]
        for branch in self._branches.values():
            held = [at for at, key in enumerate(keys) if self._branch_of(key) is branch]
            if held:
                outcomes = await branch.delete_many([keys[at] for at in held])
                for at, outcome in zip(held, outcomes, strict=True):
                    results[at] = outcome
        return results

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        here, there = self._holding(source), self.taking(target)
        if here is there:
            return await here.copy(source, target, options)
        async with _source(here, source, options.source) as opened:
            info = opened.info
            put = PutOptions(
                attributes=info.attributes if options.attributes is None else options.attributes,
                conditions=options.conditions,
                size=info.size,
                digests=ALGORITHMS.intersection(info.digests),
            )
            async with aclosing(reading.chunks(opened)) as body:
                return await there.put(target, body, put)

    async def list(self, query: ListQuery) -> ListPage:
        return await merged(query, [source for branch in self._branches.values() for source in branch.sources()])

    def measured(self) -> Sequence[Measured]:
        return measured_of(list(self._branches.values()))

    async def levels(self) -> Sequence[Level]:
        return await levels_of(list(self._branches.values()))

    async def check(self) -> None:
        for branch in self._branches.values():
            await branch.check()

    def taking(self, key: str) -> _Branch:
        """Where the key is to be written. Raises InvalidKey."""
        branch = self._branch_of(key)
        if branch is None:
            raise InvalidKey(f"no route of this store matches the key {key[:80]!r}")
        return branch

    def _holding(self, key: str) -> _Branch:
        branch = self._branch_of(key)
        if branch is None:
            raise NotFound(key)
        return branch

    def _branch_of(self, key: str) -> _Branch | None:
        route = _route_of(key, self._routes)
        return None if route is None else self._branches[id(route.store)]


def _route_of(key: str, routes: Sequence[Route]) -> Route | None:
    return next((route for route in routes if route.pattern.search(key)), None)


@asynccontextmanager
async def _source(branch: _Branch, key: str, conditions: Conditions) -> AsyncIterator[Reading]:
    async with AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(branch.get(key, GetOptions(conditions=conditions)))
        except NotModified:
            # There is no reader whose copy could be current.
            raise PreconditionFailed(key) from None
        yield opened


class _Branch(KeyMapping):
    """One store, with the keys whose routes lead to it."""

    def __init__(self, inner: Backend, routes: Sequence[Route]) -> None:
        super().__init__(inner, name=NAME)
        self._routes = routes
        self._here = tuple(route for route in routes if route.store is inner)

    def inside(self, key: str) -> str:
        route = _route_of(key, self._routes)
        if route is None or route.store is not self._inner:
            raise InvalidKey(f"no route to this store matches the key {key[:80]!r}")
        inner_key = route.prefix + key
        owner = self.outside(inner_key)
        if owner != key:
            raise InvalidKey(f"the routes give this key the place of {(owner or '')[:80]!r}; they have to differ")
        return inner_key

    def outside(self, inner_key: str) -> str | None:
        for route in self._here:
            key = inner_key[len(route.prefix) :]
            if key and inner_key.startswith(route.prefix) and _route_of(key, self._routes) is route:
                return key
        return None

    async def list(self, query: ListQuery) -> ListPage:
        return await merged(query, self.sources())

    def sources(self) -> Sequence[Source]:
        """A listing for each of the prefixes, of the keys that belong there."""
        return [self._source(prefix) for prefix in dict.fromkeys(route.prefix for route in self._here)]

    def _source(self, prefix: str) -> Source:
        return Source(Prefixed(self._inner, prefix).list, lambda key: self.outside(prefix + key) == key)


class _RoutedUploads:
    """Uploads of all branches; the id of one is the number of its branch, a dot, and the id there."""

    def __init__(self, routing: Routing, branches: Sequence[_Branch]) -> None:
        self._routing = routing
        self._branches = {f"{number}.": branch for number, branch in enumerate(branches)}

    async def begin(self, key: str, options: PutOptions) -> Upload:
        taking = self._routing.taking(key)
        label = next(label for label, branch in self._branches.items() if branch is taking)
        return _labelled(label, await taking.uploads.begin(key, options))

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        _, uploads, inner_id = self._find(upload_id)
        with _named(upload_id):
            return await uploads.put_part(inner_id, number, body, options)

    async def get(self, upload_id: str) -> Upload:
        label, uploads, inner_id = self._find(upload_id)
        with _named(upload_id):
            return _labelled(label, await uploads.get(inner_id))

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        _, uploads, inner_id = self._find(upload_id)
        with _named(upload_id):
            return await uploads.complete(inner_id, parts, options)

    async def abort(self, upload_id: str) -> None:
        _, uploads, inner_id = self._find(upload_id)
        with _named(upload_id):
            await uploads.abort(inner_id)

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        found: list[Upload] = []
        # The dot comes before every digit, so labels in order make ids in order.
        for label in sorted(self._branches):
            if start > label and not start.startswith(label):
                continue
            following: str | None = start[len(label) :] if start.startswith(label) else ""
            # One more than there is room for tells whether there is more.
            while following is not None and len(found) <= limit:
                uploads = self._branches[label].uploads
                page = await uploads.list(prefix=prefix, start=following, limit=limit + 1 - len(found))
                found += [_labelled(label, upload) for upload in page.uploads]
                following = page.next_start
        following = found[limit].upload_id if len(found) > limit else None
        return UploadPage(uploads=tuple(found[:limit]), next_start=following)

    async def expire(self, before: datetime) -> int:
        return sum([await branch.uploads.expire(before) for branch in self._branches.values()])

    def _find(self, upload_id: str) -> tuple[str, Uploads, str]:
        number, dot, inner_id = upload_id.partition(".")
        label = number + dot
        if label not in self._branches:
            raise UploadNotFound(upload_id)
        return label, self._branches[label].uploads, inner_id


def _labelled(label: str, upload: Upload) -> Upload:
    return replace(upload, upload_id=label + upload.upload_id)


@contextmanager
def _named(upload_id: str) -> Iterator[None]:
    """A branch that has no such upload knows it by the end of its id."""
    try:
        yield
    except UploadNotFound:
        raise UploadNotFound(upload_id) from None
