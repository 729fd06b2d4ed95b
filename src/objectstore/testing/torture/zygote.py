"""A process that has everything imported and nothing opened, and forks the lives of the server that is tortured.

Most of a start is importing; a life that is forked only does what comes after that, which is the same: it reads
its arguments, opens the store, binds, and starts its workers, by forks as well. It leads a process group of its own.

The process is told by lines of JSON on stdin and answers each by one: `start` by the number of the process,
`poll` by how the process ended or null, `wait` by how it ended. It ends with its stdin, and so do the lives that still
run then: whatever became of who started them, no server goes on alone.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Final, Self

ARGUMENT: Final = "--zygote"
_PATIENCE: Final = 10.0  # seconds for it to end lives that nobody else did
_NEEDED: Final = (
    "granian.server",
    "uvicorn",
    "uvicorn.supervisors",
    "uvloop",
    "objectstore.cli.application",
    "objectstore.cli.serve",
    "objectstore.cli.launch",
    "objectstore.cli.worker",
    "objectstore.cli.backup",
    "objectstore.cli.check",
    "objectstore.cli.info",
    "objectstore.cli.restore",
    "objectstore.config.build",
    "objectstore.config.settings",
    "objectstore.backends.engine.backend",
    "objectstore.server.assembly",
    "objectstore.server.framework",
    "objectstore.server.limits",
    "objectstore.server.quotas",
)


class Zygote:
    """The process, as the run has it. Raises RuntimeError when it has ended by itself."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own program
            [*command, ARGUMENT],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the run, which ends it
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Its output may be open elsewhere: in a life, and in what tracks the resources of lives.
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        self._process.kill()
        self._process.wait()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Fork a life with these arguments, and this besides the environment that all have; its process."""
        return int(self._ask("start", [list(arguments), dict(environment), str(log)]))

    def poll(self, process: int) -> int | None:
        """How the process ended, as `subprocess` has it; None: it lives."""
        code: int | None = self._ask("poll", process)
        return code

    def wait(self, process: int) -> int:
        """How the process ended, when it has."""
        return int(self._ask("wait", process))

    def _ask(self, order: str, about: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.write(json.dumps([order, about]) + "\n")
            stdin.flush()
        if not (line := stdout.readline()):
            raise RuntimeError(f"the process that starts servers ended by itself with {self._process.wait()}")
        return json.loads(line)


def forks(arguments: Sequence[str]) -> None:
    """Be that process, if these arguments say so. Returns in each life, with the arguments that it was given."""
    if list(arguments) != [ARGUMENT]:
        return
    for name in _NEEDED:
        import_module(name)
    resource_tracker.ensure_running()  # here, else each life starts one
    ended: dict[int, int] = {}
    living: set[int] = set()
    for line in iter(sys.stdin.readline, ""):
        order, about = json.loads(line)
        if order == "start":
            process = os.fork()
            if not process:
                _become(*about)
                return
            # By both, so that the group is there when either goes on.
            with suppress(OSError):
                os.setpgid(process, process)
            ended.pop(process, None)  # of an earlier one of the same number
            living.add(process)
            answer: int | None = process
        else:
            if about not in ended:
                found, status = os.waitpid(about, 0 if order == "wait" else os.WNOHANG)
                if found:
                    ended[about] = os.waitstatus_to_exitcode(status)
                    living.discard(about)
            answer = ended.get(about)
        print(json.dumps(answer), flush=True)  # noqa: T201  to the run
    for process in living:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    sys.exit(0)


def _become(arguments: Sequence[str], environment: Mapping[str, str], log: str) -> None:
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for fd, place in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(fd, place)
    os.close(nothing)
    os.close(written)
    os.environ.update(environment)
    sys.argv[1:] = arguments
    # The servers ask for workers that begin with nothing, and import everything again.
    multiprocessing.set_start_method("fork", force=True)
    vars(multiprocessing)["set_start_method"] = lambda *_arguments, **_options: None
    vars(import_module("uvicorn._subprocess"))["spawn"] = multiprocessing.get_context("fork")
