"""Wrappers that look at calls and keys, and leave bodies as they are."""

from __future__ import annotations

from typing import Final

from objectstore.config.storetype import StoreType

KEYS: Final[tuple[StoreType, ...]] = ()
