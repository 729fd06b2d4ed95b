"""All rows, in the order of the table."""

from __future__ import annotations

from typing import Final

from bench.rows import backends, clients, large, listing, small, strain
from bench.rows.row import Row

ROWS: Final[tuple[Row, ...]] = (*small.ROWS, *large.ROWS, *listing.ROWS, *strain.ROWS, *clients.ROWS, *backends.ROWS)
ON_REQUEST: Final[tuple[Row, ...]] = (listing.MOST,)
# Enough to see where one stands, in less than two minutes.
QUICK: Final = ("get-1k", "head", "get-64k", "put-1k", "put-64k", "get-1g", "put-1g", "page-1m", "client-sync")
