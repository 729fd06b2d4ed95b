"""Part of a store as a store of its own: the keys under a prefix, told without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from objectstore.backends.contract import Backend
from objectstore.errors import QuotaExceeded
from objectstore.values import Capabilities, ListPage, ListQuery, Quota, Usage
from objectstore.wrappers.keymapping import KeyMapping


class Prefixed(KeyMapping):
    """Keeps `key` as `prefix + key`. The prefix is raw: "a" and the key "b" make "ab", "a/" makes "a/b"."""

    def __init__(self, inner: Backend, prefix: str) -> None:
        super().__init__(inner, name="PrefixStore")
        self._prefix = prefix

    def inside(self, key: str) -> str:
        return self._prefix + key

    def outside(self, inner_key: str) -> str | None:
        # The prefix itself may be an object of the inner store; without its prefix it has no key.
        if not inner_key.startswith(self._prefix) or len(inner_key) == len(self._prefix):
            return None
        return inner_key[len(self._prefix) :]

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, quotas=self._inner.capabilities.quotas)

    def quota(self, quota: Quota) -> Quota:
        return replace(quota, prefix=self._prefix + quota.prefix)

    async def usage(self, prefixes: Sequence[str]) -> Sequence[Usage]:
        found = await super().usage([self._prefix + prefix for prefix in prefixes])
        return [replace(one, prefix=prefix) for one, prefix in zip(found, prefixes, strict=True)]

    @contextmanager
    def told(self) -> Iterator[None]:
        try:
            with super().told():
                yield
        except QuotaExceeded as error:
            prefix = error.prefix.removeprefix(self._prefix)
            raise QuotaExceeded(prefix, error.resource, error.limit, error.used) from error

    async def list(self, query: ListQuery) -> ListPage:
        # A character more than the prefix, NUL being the first: the object that the prefix itself names has no key.
        start = max(query.start, "\0")
        page = await self._inner.list(replace(query, prefix=self._prefix + query.prefix, start=self._prefix + start))
        cut = len(self._prefix)
        # Behind all that has the prefix there is nothing of ours.
        following = page.next_start if page.next_start and page.next_start.startswith(self._prefix) else None
        return ListPage(
            keys=tuple(key[cut:] for key in page.keys),
            prefixes=tuple(group[cut:] for group in page.prefixes),
            objects=tuple(replace(info, key=info.key[cut:]) for info in page.objects),
            next_start=None if following is None else following[cut:],
        )
