"""`objectstore cp -r` of many small files, beside loops that move them one by one: `python -m bench.copying`.

Against one server, both on the cores that there are. Each round measures all rows, so that what else the machine does
falls on all. Of so many files a loop takes one: it is slow, and its rate is as good.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.many import SIZE, Took, environment, files_in, make_files, run
from bench.processes import Program
from objectstore import RestStore

_LOOPED: Final = 5
_PUT: Final = "loop of `put`"
_DOWNLOAD: Final = "loop of `download`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One work, measured once."""

    rate: float  # files a second
    client: float  # seconds of a processor, for a file
    server: float  # the same


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.copying", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of each")
    parser.add_argument("--rounds", type=int, default=1)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        make_files(where / "files", told.files, told.size)
        with _serving(where) as (server, url, token):
            copying = Copying(where, Program(server), url, token)
            rounds = [copying.round(turn) for turn in range(told.rounds)]
    print_table(rounds)


class Copying:
    """The works, in the order of the table."""

    def __init__(self, where: Path, server: Program, url: str, token: str) -> None:
        self._where = where
        self._files = where / "files"
        self._paths = files_in(self._files)
        self._server = server
        self._url, self._token = url, token
        self._env = environment(url, token)
        self._command("ls")  # which compiles the program, where it is not yet

    def round(self, turn: int) -> dict[str, Line]:
        there, back = f"os:cp{turn}/", f"{self._where}/back{turn}/"
        number = len(self._paths)
        up = partial(self._command, "cp", "-r", f"{self._files}/")
        down = partial(self._command, "cp", "-r", there, back)
        return {
            _PUT: self._measured(len(self._few), partial(self._put, f"loop{turn}/")),
            "`cp -r`": self._measured(number, partial(up, there)),
            "`cp -r --jobs 16`": self._measured(number, partial(up, f"os:cp16-{turn}/", "--jobs", "16")),
            "`cp -r` again, all skipped by their digests": self._measured(number, partial(up, there)),
            "`sync` again, all skipped by their times": self._measured(
                number, partial(self._command, "sync", f"{self._files}/", there)
            ),
            _DOWNLOAD: self._measured(len(self._few), partial(self._download, f"loop{turn}/")),
            "`cp -r` to a folder": self._measured(number, down),
            "`cp -r` to a folder again, all skipped by their digests": self._measured(number, down),
        }

    @property
    def _few(self) -> list[Path]:
        return self._paths[::_LOOPED]

    def _measured(self, number: int, work: Callable[[], Took]) -> Line:
        before = self._server.cpu_seconds()
        took = work()
        served = self._server.cpu_seconds() - before
        return Line(rate=number / took.seconds, client=took.cpu / number, server=served / number)

    def _command(self, *arguments: str) -> Took:
        return run(["-m", "objectstore", *arguments, "--quiet"], self._env)

    def _put(self, prefix: str) -> Took:
        with RestStore.create(self._url, self._token) as store:
            began, used = time.perf_counter(), time.process_time()
            for path in self._few:
                store.put(f"{prefix}{path.name}", path)
            return Took(seconds=time.perf_counter() - began, cpu=time.process_time() - used)

    def _download(self, prefix: str) -> Took:
        into = self._where / prefix
        into.mkdir()
        with RestStore.create(self._url, self._token) as store:
            began, used = time.perf_counter(), time.process_time()
            for path in self._few:
                store.download(f"{prefix}{path.name}", into / path.name)
            return Took(seconds=time.perf_counter() - began, cpu=time.process_time() - used)


def print_table(rounds: list[dict[str, Line]]) -> None:
    """The medians; the ratios are made within a round."""
    print("| | files/s | beside the loop | client, µs a file | server, µs a file |\n|---|---|---|---|---|")
    loop = _PUT
    for name in rounds[0]:
        loop = name if name == _DOWNLOAD else loop
        lines = [one[name] for one in rounds]
        ratio = statistics.median(one[name].rate / one[loop].rate for one in rounds)
        beside = "" if name == loop else f"× {ratio:.1f}"
        rate, client, server = (
            statistics.median(values)
            for values in zip(*((line.rate, line.client, line.server) for line in lines), strict=True)
        )
        print(f"| {name} | {rate:.0f} | {beside} | {client * 1e6:.0f} | {server * 1e6:.0f} |")


@contextmanager
def _serving(where: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A server with its URL and token, once it has told them."""
    command = [sys.executable, "-m", "objectstore", "serve", "--port", "0", "--data", f"{where}/data"]
    with subprocess.Popen(
        [*command, "--log-level", "error"], stdout=subprocess.PIPE, text=True, process_group=0
    ) as server:
        try:
            said: dict[str, str] = {}
            for line in server.stdout or ():
                name, _, value = line.strip().partition(" ")
                said[name.rstrip(":")] = value
                if name == "serving":
                    break
            yield server, said["serving"].split()[0], said["token"]
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
