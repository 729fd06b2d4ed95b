"""Run targets: `python -m fuzz --seconds 60 keys ranges`. What fails is shown and kept in the current folder.

Each runs in a process of its own, forked off one that has imported and instrumented everything, which takes longest.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["objectstore", "fuzz"]):
    from fuzz.targets import CORPUS, TARGETS

_SLOWEST = 10  # seconds that one input may take
_LARGEST = 4096  # bytes of one input
_MEMORY = 2048  # MiB


def main() -> int:
    """How many targets failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=10, help="for each target (10)")
    parser.add_argument("--runs", type=int, default=-1, help="inputs for each target, if that is over earlier (any)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices; 0: another one each time (0)")
    asked = parser.parse_args()
    unknown = set(asked.names) - TARGETS.keys()
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = [name for name in asked.names or TARGETS if not _passes(name, asked.seconds, asked.runs, asked.seed)]
    print(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return len(failed)


def _passes(name: str, seconds: int, runs: int, seed: int) -> bool:
    print(f"--- {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            # The fuzzer ends the process without a word to Python: what its files lie in is the parent's to remove.
            tempfile.tempdir = folder
            # What is found goes into the first folder; those in the repository stay small.
            found = tempfile.mkdtemp()
            options = [
                f"-max_total_time={seconds}",
                f"-runs={runs}",
                f"-seed={seed}",
                f"-timeout={_SLOWEST}",
                f"-rss_limit_mb={_MEMORY}",
                f"-max_len={_LARGEST}",
                f"-artifact_prefix={name}-",
                "-verbosity=0",
                "-print_final_stats=0",
            ]
            _fuzz(TARGETS[name], [*options, found, str(CORPUS / name)])
        _, status = os.waitpid(child, 0)
    return status == 0


def _fuzz(target: Callable[[bytes], None], options: list[str]) -> None:
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    sys.exit(min(main(), 100))
