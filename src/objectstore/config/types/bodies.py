"""Wrappers that store bodies in another form."""

from __future__ import annotations

from typing import Final

from objectstore.config.storetype import StoreType

BODIES: Final[tuple[StoreType, ...]] = ()
