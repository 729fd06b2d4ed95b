"""Stores that make files of keys, behind a server: no request leads out of their folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from peer import Server, running

SECRET = b"what nobody is to see"
TARGETS = [
    "../outside/secret",
    "..%2Foutside%2Fsecret",
    "%2e%2e/outside/secret",
    "%2E%2E%2foutside%2fsecret",
    "a/../../outside/secret",
    "a/%2e%2e/%2e%2e/outside/secret",
    "./../outside/secret",
    "..//outside/secret",
    ".../../outside/secret",
    "..%5Coutside%5Csecret",
    "..%255coutside%255csecret",
    "%252e%252e%252foutside%252fsecret",
    "%c0%ae%c0%ae/outside/secret",
    "../outside/secret%00.txt",
    "..",
    ".",
    "link",
    "folder/secret",
    "folder/new",
    "folder/../../outside/secret",
    ".objectstore/../../outside/secret",
    ".objectstore/staging",
]


@pytest.fixture(
    scope="module",
    params=[("uvicorn", "FilesystemStore"), ("granian", "HashdirStore"), ("uvicorn", "SafeFilesystemStore")],
    ids=lambda one: one[1],
)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server over the folder `root`, with links in it that lead to the folder `outside`."""
    kind, store = request.param
    folder: Path = tmp_path_factory.mktemp("paths")
    root, outside = folder / "root", folder / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    (root / "link").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    config = folder / "storage.yaml"
    config.write_text(f"stores:\n  files:\n    type: {store}\n    config:\n      root_path: {root}\nmain: files\n")
    with running(folder, kind, environment={"STORAGE_CONFIG": str(config), "DATA_DIR": ""}) as server:
        yield server, outside


def seen(outside: Path) -> dict[str, bytes]:
    """All that is beside the root, but for what the server itself keeps there."""
    return {str(path.relative_to(outside)): path.read_bytes() for path in outside.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "target", [*TARGETS, "/etc/passwd", "%2Fetc%2Fpasswd", "{outside}/secret", "%2F{outside}/secret"]
)
def test_no_target_leads_out_of_the_root(served: tuple[Server, Path], target: str) -> None:
    server, outside = served
    path = "/objects/" + target.replace("{outside}", str(outside))
    beside = {one.name for one in outside.parent.iterdir()}
    for method, body in (("GET", None), ("PUT", b"overwritten"), ("GET", None), ("DELETE", None)):
        answer = server.ask(method, path, body)
        assert answer.status < 500
        assert SECRET not in answer.body
        assert b"root:" not in answer.body
    copied = server.ask("PUT", "/objects/copied", headers={"X-Copy-From": path.removeprefix("/objects/")})
    assert copied.status in {400, 404}
    begun = server.json("POST", "/uploads", {"key": target.replace("{outside}", str(outside))})
    assert begun.status < 500
    assert seen(outside) == {"secret": SECRET}
    assert {one.name for one in outside.parent.iterdir()} == beside
    assert "secret" not in server.ask("GET", "/objects").body.decode() if target == "folder/secret" else True


def test_a_folder_that_is_swapped_for_a_link_while_requests_run_leads_nowhere(served: tuple[Server, Path]) -> None:
    server, outside = served
    root = outside.parent / "root"
    place, real = root / "swapped", root / "real"
    place.mkdir()
    (place / "secret").write_bytes(b"harmless")
    ended = threading.Event()

    def swap() -> None:
        # The server may come between any two of these, and make the folder anew.
        steps = (
            lambda: place.rename(real),
            lambda: place.symlink_to(outside),
            place.unlink,
            lambda: real.rename(place),
        )
        while not ended.is_set():
            for step in steps:
                with suppress(OSError):
                    step()

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(40):
            answers = [
                server.ask("GET", "/objects/swapped/secret"),
                server.ask("PUT", f"/objects/swapped/new{number}", b"x"),
                server.ask("GET", "/objects?prefix=swapped/&details=true"),
                server.ask("DELETE", "/objects/swapped/secret")
                if number % 10 == 9
                else server.ask("HEAD", "/objects/x"),
            ]
            assert not any(SECRET in answer.body for answer in answers)
    finally:
        ended.set()
        thread.join()
    assert seen(outside) == {"secret": SECRET}
