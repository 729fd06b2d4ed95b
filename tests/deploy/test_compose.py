"""docker-compose.yml and its templates: every option by variables alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from deploy.composed import OPTIONS, ROOT, TEMPLATE, Composed, compose, dotenv, program, variables
from objectstore.config.build import build
from objectstore.config.schema import load, load_all
from objectstore.config.settings import Settings, load_settings

OF_THE_CONTAINER: Final = {"HOST", "PORT", "DATA_DIR", "STORAGE_CONFIG", "AUTH_TOKENS_FILE"}
OF_THE_HOST: Final = {"HOST_PORT", "TOKENS_FILE", "STORAGE_CONFIG", "HOST_STORAGE_PATH"}
S3: Final = {"S3_BUCKET": "b", "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "secret"}


@pytest.fixture(params=OPTIONS)
def option(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def composed(option: str, tmp_path: Path) -> Composed:
    return compose(tmp_path, option)


def test_each_option_is_a_matter_of_variables(option: str, composed: Composed) -> None:
    mounts, environment = composed.mounts, composed.environment
    assert set(mounts) == {"/var/lib/objectstore", "/data", "/app/tokens.json", "/app/storage.yaml"}
    assert mounts["/app/tokens.json"]["source"] == str(composed.folder / "tokens.json")
    assert mounts["/var/lib/objectstore"]["type"] == "volume"
    if option == "default":
        assert environment["STORAGE_CONFIG"] == ""
        assert mounts["/app/storage.yaml"]["source"] == "/dev/null"
    else:
        assert environment["STORAGE_CONFIG"] == "/app/storage.yaml"
        assert mounts["/app/storage.yaml"]["source"] == str(composed.folder / "storage.yaml")
    assert environment["STORAGE_NAME"] == {"A": "memory", "C": "s3"}.get(option, "")
    if option == "B":
        assert mounts["/data"]["type"] == "bind"
        assert mounts["/data"]["source"] == str(composed.folder / "data")
    else:
        assert mounts["/data"]["type"] == "volume"


def test_no_folder_is_made_by_accident(composed: Composed) -> None:
    for target in ("/app/tokens.json", "/app/storage.yaml"):
        mount = composed.mounts[target]
        assert mount["read_only"]
        assert not mount["bind"].get("create_host_path", False)
    text = (ROOT / "docker-compose.yml").read_text()
    assert text.count("type: bind") == text.count("create_host_path: false") == 2


def test_the_server_may_do_little(composed: Composed) -> None:
    service = composed.service
    assert service["user"] == "1000:1000"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_it_works_without_a_dotenv_file(tmp_path: Path) -> None:
    assert compose(tmp_path, None).service["ports"][0]["published"] == "8000"


def test_the_variables_of_the_host(tmp_path: Path) -> None:
    changed = {
        "HOST_PORT": "9000",
        "TOKENS_FILE": "/etc/objectstore/tokens.json",
        "HOST_STORAGE_PATH": "/srv/objects",
        "STORAGE_CONFIG": "../other.yaml",
        "RUN_AS": "1234:1234",
    }
    composed = compose(tmp_path, "B", **changed)
    assert composed.service["ports"] == [{"mode": "ingress", "target": 8000, "published": "9000", "protocol": "tcp"}]
    assert composed.service["user"] == "1234:1234"
    assert composed.mounts["/app/tokens.json"]["source"] == "/etc/objectstore/tokens.json"
    assert composed.mounts["/data"]["source"] == "/srv/objects"
    assert composed.mounts["/app/storage.yaml"]["source"] == str(tmp_path.parent / "other.yaml")


def test_the_port_may_be_for_this_machine_alone(tmp_path: Path) -> None:
    port = compose(tmp_path, "default", HOST_PORT="127.0.0.1:9000").service["ports"][0]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "9000", 8000)


def test_every_setting_reaches_the_server(tmp_path: Path) -> None:
    wanted = {name.upper(): f"value of {name}" for name in Settings.model_fields} | {"S3_SECRET_KEY": "'a$b${c}'"}
    found = compose(tmp_path, "C", **{name: value for name, value in wanted.items() if name != "STORAGE_CONFIG"})
    for name in wanted.keys() - OF_THE_CONTAINER:
        assert found.environment[name] == wanted[name].strip("'")
    assert {name: found.environment[name] for name in OF_THE_CONTAINER} == {
        "HOST": "0.0.0.0",  # noqa: S104  in the container
        "PORT": "8000",
        "DATA_DIR": "",
        "STORAGE_CONFIG": "/app/storage.yaml",
        "AUTH_TOKENS_FILE": "/app/tokens.json",
    }


def test_the_end_is_given_longer_than_the_server_takes(composed: Composed) -> None:
    assert int(composed.service["stop_grace_period"].removesuffix("s")) > load_settings().shutdown_timeout + 5


def test_every_variable_of_the_template_means_something() -> None:
    compose_file = (ROOT / "docker-compose.yml").read_text()
    storage = (ROOT / "storage.yaml.template").read_text()
    used = set(re.findall(r"\$\{(\w+)", compose_file + storage)) | {name.upper() for name in Settings.model_fields}
    assert variables(TEMPLATE) <= used
    assert OF_THE_HOST | {"WORKERS", "LOG_LEVEL", "STORAGE_NAME"} <= variables(TEMPLATE)


def test_the_template_of_stores_has_one_for_each_option() -> None:
    file = ROOT / "storage.yaml.template"
    assert set(load_all(file, S3).stores) == {"memory", "filesystem", "s3", "engine"}
    assert load(file, {}).name == "filesystem"  # which needs none of the variables of S3
    assert load(file, {}).values["root_path"] == Path("/data")
    for name in ("memory", "s3", "engine"):
        build(load(file, S3, name))
    for option in ("A", "C"):
        name = re.findall(r"^STORAGE_NAME=(\w+)", dotenv(option), re.MULTILINE)[0]
        assert name in yaml.safe_load(file.read_text())["stores"]


def test_a_mistake_in_the_file_would_be_told(tmp_path: Path) -> None:
    """That is, what reads it here does check it."""
    text = (ROOT / "docker-compose.yml").read_text()
    (tmp_path / "docker-compose.yml").write_text(
        text.replace("read_only: true\n    tmpfs", "readonly: true\n    tmpfs")
    )
    done = subprocess.run([program(), "config"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "readonly" in done.stderr
