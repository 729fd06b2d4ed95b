"""docs/deployment.md tells the truth: its commands run, and what it says of Docker is said of the files there are."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from deploy.composed import ROOT, TEMPLATE, dotenv, program, variables
from objectstore.config.settings import Settings
from peer import Server, add_token, free_port, running, wait_until_healthy

TEXT: Final = (ROOT / "docs" / "deployment.md").read_text()
COMPOSE: Final = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def lines(language: str) -> list[str]:
    return [line for block in blocks(language) for line in block.splitlines()]


SERVING: Final = [line for line in lines("bash") if re.match(r"objectstore serve|DATA_DIR=\S+ uvicorn", line)]
DOCKER: Final = [shlex.split(line) for line in dict.fromkeys(lines("docker"))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("deployment")) as server:
        yield server


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_commands_run_one_after_the_other(server: Server, tmp_path: Path) -> None:
    for name in ("dotenv.template", "storage.yaml.template"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    for line in lines("bash"):
        if line not in SERVING:
            command = ["bash", "-euc", line.replace("localhost:8000", f"127.0.0.1:{server.port}")]
            done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
            assert done.returncode == 0, (line, done.stderr)
            assert "healthy" in done.stdout or "curl" not in line
    assert {path.name for path in tmp_path.iterdir()} >= {"tokens.json", ".env", "storage.yaml", "data"}


@pytest.mark.parametrize("line", SERVING)
def test_a_server_starts_as_written(line: str, tmp_path: Path) -> None:
    port = free_port()
    command = ["bash", "-c", "exec env " + line.replace("8000", str(port))]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=log, stderr=log) as process,
    ):
        wait_until_healthy(process, port)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert (tmp_path / "objectstore-data" / "FORMAT").exists()


def test_there_is_a_server_of_each_kind() -> None:
    assert len(SERVING) == 2


@pytest.mark.parametrize("option", ["A", "B", "C"])
def test_the_variables_of_an_option_are_those_of_the_template(option: str) -> None:
    place = TEXT.index(f"*Option {option}: ")
    shown = re.findall(r"^```env\n(.*?)^```$", TEXT[place:], re.MULTILINE | re.DOTALL)[0]
    freed = set(dotenv(option).splitlines()) - set(TEMPLATE.splitlines())
    assert set(shown.splitlines()) == freed


def test_what_is_set_is_a_setting() -> None:
    of_storage_yaml = set(re.findall(r"\$\{(\w+)", (ROOT / "storage.yaml.template").read_text()))
    set_there = variables("\n".join(lines("env")))
    assert set_there <= {name.upper() for name in Settings.model_fields} | variables(TEMPLATE) | of_storage_yaml


def test_every_variable_of_the_host_is_told() -> None:
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", TEXT, re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert used <= table
    assert {name for name in variables(TEMPLATE) if not name.startswith("S3_")} <= table


def test_the_defaults_that_are_told_are_those_of_the_compose_file() -> None:
    for name, default in re.findall(r"\$\{(\w+):-([^$}]+)\}", COMPOSE):
        told = re.findall(rf"^\| `{name}` \| (.*?) \|", TEXT, re.MULTILINE)[0]
        if not default.startswith(("files", "/dev/null")):
            assert told == f"`{default}`"


@pytest.mark.parametrize("words", [words for words in DOCKER if words[1] == "compose"], ids=" ".join)
def test_a_command_of_compose_exists(words: list[str]) -> None:
    command, arguments = words[2], words[3:]
    done = subprocess.run([program(), command, "--help"], capture_output=True, text=True, check=True)
    for one in arguments:
        if one.startswith("-"):
            assert re.search(rf"(^|\s){one}\b", done.stdout), one
        else:
            assert one in yaml.safe_load(COMPOSE)["services"]


def test_what_docker_is_told_is_in_the_dockerfile() -> None:
    for name in re.findall(r"--build-arg (\w+)=", TEXT):
        assert re.search(rf"^ARG {name}=", DOCKERFILE, re.MULTILINE), name
    folders = set(re.findall(r"-v \S+?:(/[\w/]+)", " ".join(lines("docker")))) - {"/work"}
    assert folders == {"/var/lib/objectstore"}
    for folder in folders:
        assert f'VOLUME ["{folder}"]' in DOCKERFILE
        assert f"WORKDIR {folder}" in DOCKERFILE  # beside which the tokens are


def test_the_commands_in_containers_run(tmp_path: Path) -> None:
    inside = [shlex.join(words[words.index("objectstore") :]) for words in DOCKER if "objectstore" in words]
    assert len(inside) == 3
    (tmp_path / "objectstore-data").mkdir()
    # As `objectstore serve` does at its first start.
    first = "objectstore token add first --ttl 1 --scope read --file objectstore-data/tokens.json"
    for line in (first, *inside):
        script = line.replace("/work/", f"{tmp_path}/")
        subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=environment(), check=True, capture_output=True)


def test_the_commands_of_a_service_run(tmp_path: Path) -> None:
    """In a folder instead of the whole machine, with the environment that is here instead of a new one."""
    places = {name: str(tmp_path / name.removeprefix("/")) for name in ("/etc/systemd/system", "/var/lib/objectstore")}
    for place in places.values():
        Path(place).mkdir(parents=True)
    tokens = Path(places["/var/lib/objectstore"], "tokens.json")
    add_token(tokens, "first")  # as `objectstore serve` does at its first start
    done = 0
    for line in lines("root"):
        command = line.removeprefix("sudo ").replace("/opt/objectstore/bin/", f"{Path(sys.executable).parent}/")
        for old, new in places.items():
            command = command.replace(old, new)
        if "systemctl" in line:
            assert shlex.split(line)[-1] == "objectstore"
        elif "pip install" in line:
            assert Path(ROOT, shlex.split(line)[-1]).exists()
            continue
        elif not command.startswith(("python3 -m venv", "journalctl")):
            subprocess.run(["bash", "-euc", command], cwd=ROOT, env=environment(), check=True, capture_output=True)
            done += 1
    assert done == 3
    assert Path(places["/etc/systemd/system"], "objectstore.service").exists()
    assert "api-user" in tokens.read_text()
    assert '"first"' not in tokens.read_text()


def test_what_kubectl_is_told_of_is_there() -> None:
    manifest = (ROOT / "deploy" / "kubernetes.yaml").read_text()
    for line in lines("kubectl"):
        for file in re.findall(r"-f (\S+)", line):
            assert (ROOT / file).exists()
        for name in re.findall(r"secret generic (\S+)|service/(\S+)", line):
            assert f"{name[0] and 'secretName: '}{''.join(name)}" in manifest


def test_every_file_that_is_named_is_there() -> None:
    for name in re.findall(r"\]\(([^)#]+)", TEXT):
        if "://" not in name:
            assert (ROOT / "docs" / name).exists(), name
    for name in re.findall(r"`(deploy/[\w./-]+|[\w.-]+\.template|docker-compose\.yml|Dockerfile)`", TEXT):
        assert (ROOT / name).exists(), name


def test_every_anchor_is_a_heading() -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", TEXT):
        text = (ROOT / "docs" / target).read_text() if target else TEXT
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}, anchor
