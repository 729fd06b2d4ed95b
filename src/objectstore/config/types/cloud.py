"""Object stores of clouds: S3 and what speaks like it, GCS, Azure."""

from __future__ import annotations

from typing import Final

from objectstore.config.storetype import StoreType

CLOUD: Final[tuple[StoreType, ...]] = ()
