"""Opens the stores of a storage.yaml one after the other, to see whether they open, and what they can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from objectstore.config.build import build
from objectstore.config.schema import StorageFile, StoreConfig
from objectstore.errors import ConfigurationError, ObjectStoreError
from objectstore.values import Capabilities

Probed: TypeAlias = Mapping[str, Capabilities]
"""What each store can do, by its name."""


async def probe(described: StorageFile) -> Probed:
    """Open and close every store, those that others wrap before them, so that the one that fails is the one told of.

    Raises:
        ConfigurationError: one cannot be opened, also because what it needs is away.
    """
    found: dict[str, Capabilities] = {}
    # All are constructed before any is opened: that finds what is not installed, and writes nothing.
    for config in described.stores.values():
        build(config)
    for config in described.stores.values():
        await _probe(config, found)
    return found


async def _probe(config: StoreConfig, found: dict[str, Capabilities]) -> None:
    if config.name in found:
        return
    for base in config.bases:
        await _probe(base, found)
    try:
        async with build(config) as backend:
            found[config.name] = backend.capabilities
    except (ObjectStoreError, OSError) as error:
        raise ConfigurationError(
            f"{config.place}: store {config.name!r} ({config.type_name}) cannot be opened: {error}"
        ) from error
