"""A client process: does the workload of its threads while it is told to, and hands over what it saw.

It is told on stdin: `go ROUND`, `pause`. After a pause it prints its `Record` as one line of JSON. It ends with
its stdin.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Final

from objectstore.testing.torture.actor import Actor, Unanswered, connect
from objectstore.testing.torture.history import merged, to_json
from objectstore.testing.torture.workload import tasks

TOKEN_VARIABLE: Final = "OBJECTSTORE_TORTURE_TOKEN"  # noqa: S105  the name of one
_AWAY: Final = 0.01  # seconds before another request to a server that does not answer


def main(url: str, seed: int, number: int, threads: int) -> None:
    """Be client `number` of the server at `url`."""
    with connect(url, os.environ[TOKEN_VARIABLE]) as store:
        running: list[threading.Thread] = []
        actors: list[Actor] = []
        stop = threading.Event()
        for line in sys.stdin:
            match line.split():
                case ["go", turn]:
                    stop.clear()
                    places = [f"{turn}.{number}.{thread}" for thread in range(threads)]
                    actors = [Actor(store, seed, place) for place in places]
                    running = [
                        threading.Thread(target=_work, args=(actor, seed, place, stop), daemon=True)
                        for actor, place in zip(actors, places, strict=True)
                    ]
                    for thread in running:
                        thread.start()
                case _:
                    stop.set()
                    for thread in running:
                        thread.join()
                    print(json.dumps(to_json(merged(actor.record for actor in actors))), flush=True)  # noqa: T201  to the run


def _work(actor: Actor, seed: int, place: str, stop: threading.Event) -> None:
    for task in tasks(seed, place):
        if stop.is_set():
            return
        try:
            actor.perform(task)
        except Unanswered:
            stop.wait(_AWAY)
        except Exception as error:  # noqa: BLE001  nothing may go unseen
            actor.record.complaints.append(f"{task.kind} {task.key!r}: unexpected {type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
