"""Many small objects, fetched and stored side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from objectstore.client.sources import Data
from objectstore.client.steps import Work
from objectstore.client.transfers.jobs import Job, Upload
from objectstore.errors import ObjectStoreError
from objectstore.values import UNCONDITIONAL, Attributes, Conditions
from objectstore.wire import flows
from objectstore.wire.retries import Retries

MANY: Final = 32  # small objects under way at once
Items: TypeAlias = Mapping[str, Data] | Iterable[tuple[str, Data]]


def fetches(keys: Iterable[str], retries: Retries) -> Iterator[Work[tuple[str, bytes | ObjectStoreError]]]:
    if isinstance(keys, str):
        raise TypeError("get_many takes several keys, as in [key]; a single one is for get")
    return (_fetch(key, retries) for key in keys)


def _fetch(key: str, retries: Retries) -> Work[tuple[str, bytes | ObjectStoreError]]:
    try:
        return key, (yield from flows.get(key, None, UNCONDITIONAL, retries))
    except ObjectStoreError as error:
        return key, error


def uploads_of(items: Items, attributes: Attributes, conditions: Conditions) -> Iterator[Job]:
    pairs = items.items() if isinstance(items, Mapping) else items
    return (Upload(source=data, key=key, attributes=attributes, conditions=conditions) for key, data in pairs)
