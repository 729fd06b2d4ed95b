"""Stores in this process, with the verbs of the clients: what `open_store` opens."""

from objectstore.library.aio import AsyncStore
from objectstore.library.opening import Opening, open_store
from objectstore.library.readers import AsyncStoreReader, StoreReader
from objectstore.library.sync import Store

__all__ = ["AsyncStore", "AsyncStoreReader", "Opening", "Store", "StoreReader", "open_store"]
