"""The table of store types: whoever adds one adds an entry to the file of its kind."""

from __future__ import annotations

from typing import Final

from objectstore.config.storetype import StoreType
from objectstore.config.types.bodies import BODIES
from objectstore.config.types.cloud import CLOUD
from objectstore.config.types.copies import COPIES
from objectstore.config.types.keys import KEYS
from objectstore.config.types.local import LOCAL
from objectstore.config.types.remote import REMOTE

TYPES: Final[tuple[StoreType, ...]] = (*LOCAL, *CLOUD, *REMOTE, *KEYS, *BODIES, *COPIES)
