"""The Dockerfile is built for real, and its image serves every option of docker-compose.yml."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, moto
from deploy.composed import OPTIONS, Composed, compose
from deploy.image import Image, Mount, built
from deploy.test_locks import pinned_here
from peer import Answer, Server, add_token, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ACCOUNT: Final = 1000


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built(tmp_path_factory.mktemp("image")) as image:
        yield image


def test_the_image_says_how_it_is_run(image: Image) -> None:
    assert image.configuration["User"] == f"{ACCOUNT}:{ACCOUNT}"
    assert image.configuration["Cmd"] == ["objectstore", "serve"]
    assert image.configuration["StopSignal"] == "SIGTERM"
    assert list(image.configuration["Volumes"]) == ["/var/lib/objectstore"]
    assert list(image.configuration["ExposedPorts"]) == ["8000/tcp"]
    assert image.configuration["Labels"]["org.opencontainers.image.title"] == "objectstore"


def test_the_image_holds_what_is_locked_and_nothing_to_build_with(image: Image) -> None:
    code = "import sys, importlib.metadata as m; print(sys.version.split()[0], *(d.name for d in m.distributions()))"
    version, *found = image.run(["python", "-c", code]).stdout.lower().replace("_", "-").split()
    assert set(found) == pinned_here("deploy/image.lock", {"python_full_version": version}) | {"objectstore"}
    assert not [name for name in ("gcc", "pip", "curl", "git") if list(image.root.glob(f"**/bin/{name}"))]
    assert not (image.root / "build").exists()


def test_the_image_is_unhealthy_when_nothing_answers(image: Image) -> None:
    kind, *command = image.configuration["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert image.run(command, PORT=str(free_port())).returncode != 0


@pytest.fixture(scope="module")
def s3() -> Iterator[Mapping[str, str]]:
    with moto() as server:
        server.make_bucket("images")
        yield {
            "S3_BUCKET": "images",
            "S3_ENDPOINT": server.url,
            "S3_ACCESS_KEY": ACCESS_KEY,
            "S3_SECRET_KEY": SECRET_KEY,
        }


@pytest.mark.parametrize("option", OPTIONS)
def test_the_image_serves(option: str, image: Image, s3: Mapping[str, str], tmp_path: Path) -> None:
    changed: Mapping[str, str] = {"default": {"WORKERS": "2"}, "C": s3}.get(option, {})
    composed = compose(tmp_path / "project", option, **changed)
    tokens = composed.folder / "tokens.json"
    token = add_token(tokens, "api-user", scopes=("read", "write", "delete"))
    (composed.folder / "data").mkdir()
    for path in (tokens, composed.folder / "data"):
        os.chown(path, ACCOUNT, ACCOUNT)  # which a user of that number need not do
    mounts = [*mounted(composed, tmp_path)]
    port, log = free_port(), tmp_path / "log"
    with image.serving(port, log, environment=composed.environment, mounts=mounts) as process:
        server = Server(port, token, process, tmp_path)
        stored = server.ask("PUT", "/objects/a%2Fb", b"kept")
        assert stored.status == 200, stored.body + log.read_bytes()
        assert server.ask("GET", "/objects/a/b").body == b"kept"
        assert server.json("POST", "/links", {"key": "a/b"}).status == 201
        ready = server.ask("GET", "/health/ready").json
        assert ready["persistent"] is (option != "A")
        _, *command = image.configuration["Healthcheck"]["Test"]
        assert image.run(command, PORT=str(port)).returncode == 0
        if option == "default":
            other = add_token(tokens, "other")
            assert soon(lambda: server.ask("GET", "/objects/a/b", token=other)).body == b"kept"
    if option == "default":
        assert (tmp_path / "objects" / "objectstore-data" / "FORMAT").exists()
    if option == "B":
        assert (composed.folder / "data" / "a" / "b").read_bytes() == b"kept"


def mounted(composed: Composed, folder: Path) -> Iterator[Mount]:
    """The mounts of the service; a volume is a folder here, as open as the image has it."""
    for target, mount in composed.mounts.items():
        source = Path(mount["source"])
        if mount["type"] == "volume":
            source = folder / mount["source"]
            source.mkdir()
            source.chmod(0o1777)
        yield Mount(source, target, bool(mount.get("read_only")))


def soon(ask: Callable[[], Answer]) -> Answer:
    deadline = time.monotonic() + 60
    while (answer := ask()).status == 401 and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer
