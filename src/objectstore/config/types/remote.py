"""Services spoken to over the network: Redis, HTTP, mediastore, another server of this kind."""

from __future__ import annotations

from typing import Final

from objectstore.config.storetype import StoreType

REMOTE: Final[tuple[StoreType, ...]] = ()
