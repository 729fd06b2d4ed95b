"""The client that awaits."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TypeAlias

from objectstore.client.sync import Data

AsyncData: TypeAlias = Data | AsyncIterable[bytes]
"""What can be stored: as `Data`, or chunks of bytes as they come."""


class AsyncRestStore:
    """As `RestStore`, with `await`, `async for` and `async with`, and `aclose`."""
