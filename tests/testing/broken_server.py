"""`python broken_server.py DEFECT,… serve …`: the command line over a server with these defects.

The processes that a server starts import this file again, or are copies, so that they have the defect, too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

from objectstore.backends.engine.backend import EngineBackend
from objectstore.cli.main import main
from objectstore.server import leaving, traffic
from objectstore.values import UNCONDITIONAL, Conditions

VARIABLE = "BROKEN_SERVER"
LONG = 1.0  # seconds
_class: Any = EngineBackend  # for a type checker that rightly does not like what is done to it here


def deletes_nothing() -> None:
    async def delete(_backend: EngineBackend, _key: str, _conditions: Conditions = UNCONDITIONAL) -> None:
        """Nothing is done."""

    _class.delete = delete


def forgets_connections() -> None:
    kept: list[object] = []
    enter = traffic.Traffic.enter

    def enter_and_open(self: traffic.Traffic, scope: Any, receive: Any) -> Any:
        kept.append(open(os.devnull, "rb"))  # noqa: SIM115, PTH123  the defect
        return enter(self, scope, receive)

    changed: Any = traffic.Traffic
    changed.enter = enter_and_open


def ends_at_once() -> None:
    put = EngineBackend.put

    async def put_slowly(backend: EngineBackend, key: str, body: Any, options: Any) -> Any:
        await asyncio.sleep(LONG)  # so that some are under way at any moment
        return await put(backend, key, body, options)

    async def leave(_stop: object = None) -> None:
        os._exit(0)

    _class.put = put_slowly
    changed: Any = leaving
    changed.leave = leave


DEFECTS: dict[str, Callable[[], None]] = {
    "deletes nothing": deletes_nothing,
    "forgets connections": forgets_connections,
    "ends at once": ends_at_once,
}


def break_it(defects: str) -> None:
    for defect in defects.split(","):
        DEFECTS[defect]()


if VARIABLE in os.environ:
    break_it(os.environ[VARIABLE])

if __name__ == "__main__":
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = sys.argv.pop(1)
        break_it(os.environ[VARIABLE])
    main()
