"""Wrappers that keep objects in more than one store."""

from __future__ import annotations

from typing import Final

from objectstore.config.storetype import StoreType

COPIES: Final[tuple[StoreType, ...]] = ()
