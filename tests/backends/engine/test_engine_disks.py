"""A server on a disk that fills up, or that its file system gives up; and an index that is partly beyond reading."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.engine.scenes import LARGE, SMALL, assert_sound, seen
from objectstore.backends.engine import backup
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.schema import PAGE_SIZE
from peer import Answer, Server, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 64 * 1024 * 1024  # bytes of the disk
QUIET = {"SCRUB_INTERVAL": "0"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """One with ext4, which becomes read-only at the first error; mounted where `running` has its data."""
    image, place = tmp_path / "image", tmp_path / "data"
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root can mount a disk, and mkfs.ext4 has to be there")
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    place.mkdir()
    if not mounted(image, place):
        pytest.skip("nothing can be mounted here")
    (place / "lost+found").rmdir()
    yield image
    subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


def mounted(image: Path, place: Path) -> bool:
    command = ["mount", "-o", "loop,errors=remount-ro", str(image), str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def ready(server: Server, status: int) -> Answer:
    """What it says of itself, once the status is that; what was true a second ago may be said still."""
    deadline = time.monotonic() + 60
    while (answer := server.ask("GET", "/health/ready")).status != status:
        assert time.monotonic() < deadline, answer
    return answer


def served(server: Server, bodies: dict[str, bytes]) -> None:
    for key, body in bodies.items():
        assert server.ask("GET", f"/objects/{key}").body == body


def test_a_disk_that_is_full_refuses_writes_and_loses_nothing(disk: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    bodies = {"small": SMALL, "large": LARGE}
    with running(tmp_path, environment=QUIET) as server:
        for key, body in bodies.items():
            assert server.ask("PUT", f"/objects/{key}", body).status == 200
        foreign = os.open(data / "blobs" / "foreign", os.O_WRONLY | os.O_CREAT)
        free = os.statvfs(data)
        os.posix_fallocate(foreign, 0, (free.f_bavail - 8) * free.f_frsize)
        for body in (LARGE, bytes(60_000)):
            assert server.ask("PUT", "/objects/large", body).code == "storage_full"
        assert ready(server, 503).json["error"]["checks"]["store"]["code"] == "storage_full"
        served(server, bodies)
        os.ftruncate(foreign, 0)
        os.close(foreign)
        (data / "blobs" / "foreign").unlink()
        ready(server, 200)
        assert server.ask("PUT", "/objects/more", LARGE).status == 200
        served(server, bodies | {"more": LARGE})
    assert_sound(data)
    assert disk.stat().st_blocks * 512 < SIZE


def test_a_disk_that_its_file_system_gives_up_is_read_on(disk: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    bodies = {"small": SMALL, "large": LARGE}
    with running(tmp_path, environment=QUIET) as server:
        for key, body in bodies.items():
            assert server.ask("PUT", f"/objects/{key}", body).status == 200
        device = Path(subprocess.check_output(["findmnt", "-no", "SOURCE", str(data)], text=True).strip()).name
        trigger = Path(f"/sys/fs/ext4/{device}/trigger_fs_error")
        if not os.access(trigger, os.W_OK):
            pytest.skip("no error of the file system can be caused here")
        trigger.write_text("by a test\n")
        for body in (SMALL[1:], LARGE[1:]):
            assert server.ask("PUT", "/objects/small", body).status == 503
        assert server.ask("DELETE", "/objects/large").status == 503
        assert "read-only" in ready(server, 503).json["error"]["message"].lower()
        served(server, bodies)
    subprocess.run(["umount", str(data)], check=True)
    subprocess.run(["e2fsck", "-fy", str(disk)], check=False, capture_output=True)
    assert mounted(disk, data)
    assert seen(data).objects == bodies
    assert_sound(data)


def test_what_is_on_pages_beyond_reading_comes_from_a_backup(shim: Path, tmp_path: Path) -> None:
    data, kept, script = tmp_path / "data", tmp_path / "backup", tmp_path / "fails"

    async def fill() -> None:
        async with EngineBackend(data) as backend:
            await backend.put("large", LARGE)
            for number in range(10):
                await backend.put(f"fill/{number}", bytes(50_000))  # so that the index that is made anew is smaller
            for number in range(60):
                await backend.put(f"many/{number:02}", f"{number}".encode() * 500)
            await backend.delete_many([f"fill/{number}" for number in range(10)])

    asyncio.run(fill())
    backup.take(data, kept, now=NOW, share=False)
    before = seen(data)
    index = data / "index.sqlite3"
    script.write_text(f"read {errno.EIO} {index} {index.stat().st_size - 4 * PAGE_SIZE + 1}\n")
    environment = os.environ | {"LD_PRELOAD": str(shim), "FAILING_DISK": str(script)}

    def told(code: int, *words: str) -> list[dict[str, object]]:
        command = [sys.executable, "-m", "objectstore", "check", str(data), "--json", *words]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == code, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    lost = {str(one["name"]) for one in told(1, "--deep") if one["kind"] == "unreadable"}
    assert "many/59" in lost
    with running(tmp_path, environment=QUIET | {"LD_PRELOAD": str(shim), "FAILING_DISK": str(script)}) as server:
        answers = {key: server.ask("GET", f"/objects/{key}") for key in before.objects}
        assert {key: answer.status for key, answer in answers.items() if answer.status != 200} == dict.fromkeys(
            lost, 500
        )
        assert all(answer.body == before.objects[key] for key, answer in answers.items() if key not in lost)
    assert lost <= {str(one["name"]) for one in told(0, "--repair", "--from", str(kept)) if one["repaired"]}
    assert list(check(data, deep=True)) == []
    assert seen(data) == before
