"""docs/operations.md tells the truth: its commands run, one after the other, beside a server."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from cli.served import invoke, serving
from deploy.composed import ROOT, program

TEXT: Final = (ROOT / "docs" / "operations.md").read_text()
SERVER: Final = "objectstore-data"


def lines(language: str) -> list[str]:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_commands_run_one_after_the_other(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path / SERVER)) as server:
        assert server.command("put", "-", "lab-7/a", stdin=b"x").returncode == 0
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for line in lines("bash"):
            words = shlex.split(line)
            if words[0] == "objectstore":
                code = server.command(*words[1:], cwd=tmp_path).returncode
            else:
                environment = server.environment() | {"PATH": path}
                code = subprocess.run(["bash", "-euc", line], cwd=tmp_path, env=environment, check=False).returncode
            assert code == 0, line
    assert (tmp_path / "restored" / "FORMAT").exists()


def test_the_line_of_cron_is_a_command(tmp_path: Path) -> None:
    (line,) = lines("cron")
    command = shlex.split(line)[5:]
    assert command[:2] == ["objectstore", "backup"]
    answer = invoke(*[word.replace("/srv", str(tmp_path)).replace("/mnt", str(tmp_path)) for word in command[1:]])
    assert answer.returncode == 2
    assert b"not a data directory" in answer.stderr, "so its options are right"


def test_what_is_said_of_docker_is_said_of_the_files_there_are(tmp_path: Path) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for words in map(shlex.split, lines("docker")):
        if words[1] == "run":
            assert "object-store_objects:/var/lib/objectstore" in words
            assert "\nname: object-store\n" in text
            assert "- objects:/var/lib/objectstore" in text
            command = [word.replace("/var/lib", str(tmp_path)).replace("/backup", f"{tmp_path}/b") for word in words]
            answer = invoke(*command[command.index("objectstore") + 1 :])
            assert b"not a data directory" in answer.stderr
            continue
        assert words[:2] == ["docker", "compose"]
        # Of up and ps nothing can be tried here but their options and the file.
        plain = [word for word in words[2:] if word not in {"up", "ps", "-d", "--build", "--no-deps", "server-1"}]
        assert plain == ["-f", "deploy/compose-cluster.yml"]


def test_the_files_of_the_cluster_are_made_by_the_commands(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for line in lines("cluster"):
        subprocess.run(["bash", "-euc", line], cwd=tmp_path, env=os.environ | {"PATH": path}, check=True)
    folder = tmp_path
    assert {"tokens.json", "links.key", ".env"} <= {entry.name for entry in folder.iterdir()}
    for name in ("compose-cluster.yml", "cluster"):
        (folder / name).symlink_to(ROOT / "deploy" / name)
    command = [program(), "-f", "compose-cluster.yml", "config", "--environment"]
    told = subprocess.run(command, cwd=folder, env={"PATH": path}, check=True, capture_output=True, text=True).stdout
    assert "S3_ACCESS_KEY=objectstore" in told


def test_every_file_and_page_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(deploy/[\w./-]*\w|docker-compose\.yml)`", TEXT))
    assert named >= {"deploy/compose-cluster.yml", "deploy/objectstore.service", "deploy/kubernetes.yaml"}
    for name in named:
        assert (ROOT / name).exists(), name
    for page, anchor in re.findall(r"\]\(([\w-]+\.md)(?:#([\w-]+))?\)", TEXT):
        headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}, (page, anchor)
