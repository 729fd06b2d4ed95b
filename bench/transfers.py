"""How much faster many small files go than one by one. `python -m bench.transfers [--files 10000] [--rounds 3]`.

Against one server, in turns, so that what else the machine does falls on all: `upload_dir` of files of 4 KiB beside a
loop of `put`, `get_many` beside a loop of `get`. Ratios are what matters.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.seeding import KIB
from objectstore import RestStore

_SIZE: Final = 4 * KIB
_LOOPED: Final = 10  # of so many files the loop takes one: it is slow, and its rate is as good
_FOLDERS: Final = 100


@contextmanager
def _serving(folder: Path) -> Iterator[RestStore]:
    command = [sys.executable, "-m", "objectstore", "serve", "--data", str(folder / "data"), "--port", "0"]
    told = folder / "told"
    with told.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            with RestStore.create(*_greeting(told, server), max_retries=8) as store:
                store.exists("absent")
                yield store
        finally:
            server.terminate()


def _greeting(told: Path, server: subprocess.Popen[bytes]) -> tuple[str, str]:
    """The URL and the token, once the server has told them."""
    while server.poll() is None:
        text = told.read_text()
        url, token = re.search(r"http://[\w.:]+\d", text), re.search(r"token: (os_\S+)", text)
        if url is not None and token is not None:
            return url[0], token[1]
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{told.read_text()}")


def _rate(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def _round(store: RestStore, source: Path, files: list[Path], turn: int) -> dict[str, float]:
    few = files[::_LOOPED]
    keys = [f"{turn}/all/{path.relative_to(source)}" for path in files]
    found = {
        "put, one by one": _rate(len(few), lambda: [store.put(f"{turn}/few/{path.name}", path) for path in few]),
        "upload_dir": _rate(len(files), lambda: store.upload_dir(source, f"{turn}/all/").check()),
        "get, one by one": _rate(len(few), lambda: [store.get(key) for key in keys[::_LOOPED]]),
        "get_many": _rate(len(files), lambda: sum(isinstance(data, bytes) for _, data in store.get_many(keys))),
        "upload_dir, all the same": _rate(
            len(files), lambda: store.upload_dir(source, f"{turn}/all/", skip_same=True).check()
        ),
        "download_dir": _rate(
            len(files), lambda: store.download_dir(f"{turn}/all/", source.with_name(f"back{turn}")).check()
        ),
    }
    found["upload_dir over put"] = found["upload_dir"] / found["put, one by one"]
    found["get_many over get"] = found["get_many"] / found["get, one by one"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.transfers", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source"
        files = [source / str(number % _FOLDERS) / str(number) for number in range(told.files)]
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(_SIZE))
        with _serving(folder) as store:
            rounds = [_round(store, source, files, turn) for turn in range(told.rounds)]
        for work in rounds[0]:
            values = [one[work] for one in rounds]
            unit = "×" if " over " in work else "/s"
            spread = " ".join(f"{value:.1f}" for value in values)
            print(f"{work:28} {statistics.median(values):10.1f} {unit}   ({spread})")


if __name__ == "__main__":
    main()
