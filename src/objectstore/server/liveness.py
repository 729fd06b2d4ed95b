"""That the process lives, told without the framework: whoever started it waits for this answer."""

from __future__ import annotations

from typing import Final

from objectstore import __version__
from objectstore.server.exchange import Exchange
from objectstore.server.publicpaths import HEALTH
from objectstore.wire.records import JSON, dump

LIVES: Final = {"status": "healthy", "service": "objectstore", "version": __version__}
_BODY: Final = dump(LIVES)
_PATH: Final = HEALTH.encode()


def asks_for_life(exchange: Exchange) -> bool:
    return exchange.raw_path == _PATH and exchange.method == "GET"


async def tell_of_life(exchange: Exchange) -> None:
    exchange.route = HEALTH
    await exchange.respond(200, [(b"content-length", b"%d" % len(_BODY)), (b"content-type", JSON)], _BODY)
