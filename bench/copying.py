"""`objectstore cp -r` of many small files, beside a loop that puts them one by one: `python -m bench.copying`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from objectstore import RestStore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of each")
    parser.add_argument("--jobs", type=int, nargs="+", default=[16], help="objects under way at once")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where, "files")
        for number in range(told.files):
            path = folder / f"{number // 100}" / f"{number}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(told.size))
        command = [sys.executable, "-m", "objectstore", "serve", "--port", "0", "--data", f"{where}/data"]
        with subprocess.Popen(
            [*command, "--log-level", "error"], stdout=subprocess.PIPE, text=True, process_group=0
        ) as server:
            try:
                compare(server, folder, told.jobs)
            finally:
                server.terminate()


def compare(server: subprocess.Popen[str], folder: Path, jobs: list[int]) -> None:
    said = {}
    for line in server.stdout or ():
        name, _, value = line.strip().partition(" ")
        said[name.rstrip(":")] = value
        if name == "serving":
            break
    url, token = said["serving"].split()[0], said["token"]
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with RestStore.create(url, token) as store:
        begun = time.perf_counter()
        for path in paths:
            store.put(f"loop/{path.relative_to(folder)}", path)
        alone = time.perf_counter() - begun
    print(f"one by one:     {len(paths) / alone:8.0f} files/s  {alone:6.1f} s")
    env = {**os.environ, "OBJECTSTORE_URL": url, "OBJECTSTORE_TOKEN": token}
    for number in jobs:
        for name in ("cp -r", "again"):
            begun = time.perf_counter()
            command = [sys.executable, "-m", "objectstore", "cp", "-r", f"{folder}/", f"os:cp{number}/"]
            subprocess.run([*command, "--jobs", str(number), "--quiet"], env=env, check=True)
            took = time.perf_counter() - begun
            print(f"{name} --jobs {number:<3} {len(paths) / took:8.0f} files/s  {took:6.1f} s  × {alone / took:.1f}")


if __name__ == "__main__":
    main()
