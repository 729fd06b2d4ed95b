"""Stores that hold only keys of a certain form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from objectstore.backends.contract import Backend
from objectstore.errors import InvalidKey
from objectstore.values import Capabilities, ListPage, ListQuery, Quota
from objectstore.wrappers.keymapping import KeyMapping
from objectstore.wrappers.merging import Source, merged

_URL: Final = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_NOTE: Final = "Objects of the store inside whose keys have another form are not seen; listings read past them."


class ValidKeys(KeyMapping):
    """Refuses keys that are not `valid`, for reading too. `form` says of one that is what it does.

    Objects that the inner store has under other keys are neither found nor listed.
    """

    def __init__(self, inner: Backend, valid: Callable[[str], bool], form: str, *, name: str) -> None:
        super().__init__(inner, name=name)
        self._valid = valid
        self._form = form

    @property
    def capabilities(self) -> Capabilities:
        told = super().capabilities
        return replace(told, quotas=self._inner.capabilities.quotas, notes=(*told.notes, _NOTE))

    def quota(self, quota: Quota) -> Quota:
        return quota

    def inside(self, key: str) -> str:
        if not self._valid(key):
            raise InvalidKey(f"{key[:80]!r} is no key of this store: one {self._form}")
        return key

    def outside(self, inner_key: str) -> str | None:
        return inner_key if self._valid(inner_key) else None

    async def list(self, query: ListQuery) -> ListPage:
        return await merged(query, [Source(self._inner.list, self._valid)])


def matching(inner: Backend, pattern: str) -> ValidKeys:
    """Keys match the regular expression, from their start; to their end only if it says so. Raises re.error."""
    compiled = re.compile(pattern)
    form = f"matches {pattern!r} from its start"
    return ValidKeys(inner, lambda key: compiled.match(key) is not None, form, name="RegexValidatingStore")


def only_urls(inner: Backend) -> ValidKeys:
    """Keys are http or https URLs with a host."""
    return ValidKeys(inner, is_url, "is an http or https URL", name="UrlValidatingStore")


def is_url(key: str) -> bool:
    """Whether it starts as a URL of the web does: what follows the host is not looked at."""
    if _URL.match(key) is None:
        return False
    try:
        parts = urlsplit(key)
        parts.port  # noqa: B018  raises for one that is no number
    except ValueError:
        return False
    return bool(parts.hostname)
