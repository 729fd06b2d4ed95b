"""A client process: active clients and idle connections, while it is told so on stdin, a line at a time.

`hold` opens the idle connections; `begin` begins with the work; `leaving`: the server is about to be told to end;
`returned`: it is back; `end`: come to an end, look at every key, and hang up. Each is answered by a line of JSON, the
last one by the `Record`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from contextlib import suppress
from typing import Any, Final

import uvloop

from objectstore.testing.soak.actor import Actor
from objectstore.testing.soak.idle import Idle
from objectstore.testing.soak.record import to_json
from objectstore.testing.soak.workload import Sizes
from objectstore.testing.soak.world import Share, World

TOKEN_VARIABLE: Final = "OBJECTSTORE_SOAK_TOKEN"  # noqa: S105  the name of one
_OPENING: Final = 120.0  # seconds
_MOSTLY: Final = 0.95


async def serve(world: World) -> None:
    """Do what is said on stdin."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    idle = Idle(world)
    actors = [Actor(world.share.first + number, world) for number in range(world.share.active)]
    async with asyncio.TaskGroup() as group:
        holding: asyncio.Task[None] | None = None
        working: list[asyncio.Task[None]] = []
        while line := await lines.readline():
            match line.strip():
                case b"hold":
                    holding = group.create_task(idle.run())
                    # Those that were opened first may have been closed again before the last one is.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_OPENING):
                            await idle.opened(round(world.share.idle * _MOSTLY))
                    _tell({"idle": idle.count})
                case b"begin":
                    working = [group.create_task(actor.run()) for actor in actors]
                    _tell({})
                case b"leaving":
                    world.leaving()
                    for actor in actors:
                        actor.watch()
                    _tell({})
                case b"returned":
                    world.returned()
                    _tell({})
                case _:
                    world.over = True
                    await asyncio.gather(*working)
                    break
        if holding is not None:
            holding.cancel()
    _tell(to_json(world.record))


def _tell(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201  to the run


def main(share: dict[str, Any]) -> None:
    """Be the process with that share of the work."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sizes = Sizes(**share.pop("sizes"))
    world = World(share=Share(**share, sizes=sizes), token=os.environ[TOKEN_VARIABLE])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(world))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
