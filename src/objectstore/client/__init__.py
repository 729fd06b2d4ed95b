"""Drivers of the flows in `wire.flows`: one that blocks, one that awaits."""

from objectstore.client.aio import AsyncRestStore
from objectstore.client.sync import RestStore

__all__ = ["AsyncRestStore", "RestStore"]
