"""Nobody but the server's own account can read what a server writes, whatever its umask."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstore.backends.zip.archive import Archive
from objectstore.backends.zip.journal import Journal
from peer import Server, running

# One server that writes to every kind of place there is on a local disk.
CONFIG = """\
stores:
  all: {{type: MirroringStore, base: [engine, files, safe, hashed, rows]}}
  engine: {{type: EngineStore, config: {{path: {folder}/engine}}}}
  files: {{type: FilesystemStore, config: {{root_path: {folder}/files}}}}
  safe: {{type: SafeFilesystemStore, config: {{root_path: {folder}/safe}}}}
  hashed: {{type: HashdirStore, config: {{root_path: {folder}/hashed}}}}
  rows: {{type: SqliteStore, config: {{db_path: {folder}/rows.sqlite3}}}}
main: all
"""
UMASKS = (0o000, 0o022)


@contextlib.contextmanager
def serving(folder: Path, umask: int) -> Iterator[Server]:
    """A server that was started, as its tokens were made, under that umask."""
    config = folder / "storage.yaml"
    config.write_text(CONFIG.format(folder=folder / "data"))
    environment = {"DATA_DIR": "", "STORAGE_CONFIG": str(config), "TMPDIR": str(folder / "tmp")}
    before = os.umask(umask)
    try:
        with running(folder, "granian", environment=environment) as server:
            yield server
    finally:
        os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """What others than the owner may do anything with, and its mode."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if mode & 0o077 and path.name not in {"server.log", "storage.yaml"}:
            found[str(path.relative_to(folder))] = oct(mode & 0o777)
    return found


def use(server: Server) -> None:
    """Everything that writes: objects of both sizes, overwritten, deleted, in parts, left unfinished, and links."""
    large = bytes(range(256)) * 4096
    for key, body in (("a", b"small"), ("folder/b", large), ("folder/b", large[1:]), ("gone", large)):
        assert server.ask("PUT", f"/objects/{key}", body, {"X-Object-Meta-Site": "north"}).status == 200
    assert server.ask("DELETE", "/objects/gone").status == 204
    for key in ("finished", "unfinished"):
        upload = server.json("POST", "/uploads", {"key": key}).json["upload_id"]
        etag = server.ask("PUT", f"/uploads/{upload}/parts/1", large).json["etag"]
        if key == "finished":
            parts = {"parts": [{"n": 1, "etag": etag}]}
            assert server.json("POST", f"/uploads/{upload}/complete", parts).status == 200
    assert server.json("POST", "/links", {"key": "a"}).status == 201


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_what_a_server_writes_is_its_own(tmp_path: Path, umask: int) -> None:
    for name in ("tmp", "data"):
        (tmp_path / name).mkdir(mode=0o700)
    with serving(tmp_path, umask) as server:
        use(server)
        assert open_to_others(tmp_path) == {}
    assert open_to_others(tmp_path) == {}
    written = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()}
    assert {("data", name) for name in ("engine", "files", "safe", "hashed", "rows.sqlite3")} <= written
    assert {("links.key",), ("tokens.json",)} <= written


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_a_zip_file_and_what_it_is_mended_with_are_private_too(tmp_path: Path, umask: int) -> None:
    seen: list[str] = []
    before = os.umask(umask)
    try:

        def look(step: str) -> None:
            seen.append(step)
            assert open_to_others(tmp_path) == {}

        archive = Archive(tmp_path / "objects.zip", clock=lambda: datetime.now(UTC), step=look)
        journal = Journal(tmp_path / "objects.zip")
        with (tmp_path / "objects.zip").open("rb") as file:
            journal.write(file.fileno(), 0, b"tail")
        look("journal")
        assert archive.writable
    finally:
        os.umask(before)
    assert {path.name for path in tmp_path.iterdir()} == {"objects.zip", "objects.zip.journal"}
