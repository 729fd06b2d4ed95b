"""deploy/kubernetes.yaml: its objects refer to each other, to the image and to settings that there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
import yaml

from deploy.composed import ROOT
from objectstore.auth.linksecret import FILE_NAME
from objectstore.config.settings import Settings, load_settings
from objectstore.server.health import router

DOCUMENTS: Final = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text()))
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
BY_KIND: Final[Mapping[str, Mapping[str, Any]]] = {one["kind"]: one for one in DOCUMENTS}
POD: Final = BY_KIND["Deployment"]["spec"]["template"]
CONTAINER: Final = POD["spec"]["containers"][0]


def test_there_is_one_of_each_kind() -> None:
    assert [one["kind"] for one in DOCUMENTS] == ["ConfigMap", "PersistentVolumeClaim", "Deployment", "Service"]
    assert {one["apiVersion"] for one in DOCUMENTS} == {"v1", "apps/v1"}


def test_the_deployment_and_the_service_select_the_pod() -> None:
    labels = POD["metadata"]["labels"].items()
    assert BY_KIND["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert BY_KIND["Service"]["spec"]["selector"].items() <= labels


def test_every_reference_leads_somewhere() -> None:
    volumes = {one["name"]: one for one in POD["spec"]["volumes"]}
    assert {one["name"] for one in CONTAINER["volumeMounts"]} == set(volumes)
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == name_of("PersistentVolumeClaim")
    assert CONTAINER["envFrom"] == [{"configMapRef": {"name": name_of("ConfigMap")}}]
    ports = {one["name"]: one["containerPort"] for one in CONTAINER["ports"]}
    assert {one["targetPort"] for one in BY_KIND["Service"]["spec"]["ports"]} <= set(ports)
    assert {CONTAINER[probe]["httpGet"]["port"] for probe in PROBES} <= set(ports)
    assert list(ports.values()) == [int(re.findall(r"PORT=(\d+)", DOCKERFILE)[0])]


def name_of(kind: str) -> str:
    name: str = BY_KIND[kind]["metadata"]["name"]
    return name


PROBES: Final = {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/health/ready"}


@pytest.mark.parametrize(("probe", "path"), PROBES.items())
def test_a_probe_asks_what_the_server_answers_without_a_token(probe: str, path: str) -> None:
    assert CONTAINER[probe]["httpGet"]["path"] == path
    assert path in {getattr(route, "path", None) for route in router.routes}


def test_everything_set_is_a_setting() -> None:
    given = {one["name"]: one["value"] for one in CONTAINER["env"]} | BY_KIND["ConfigMap"]["data"]
    assert {name.lower() for name in given} <= set(Settings.model_fields)
    assert all(isinstance(value, str) for value in given.values())
    assert load_settings(**{name.lower(): value for name, value in given.items()}).workers == 1


def test_paths_are_in_volumes() -> None:
    places = {one["mountPath"]: one.get("readOnly", False) for one in CONTAINER["volumeMounts"]}
    paths = {one["name"]: one["value"].rpartition("/")[0] for one in CONTAINER["env"]}
    assert places[paths["DATA_DIR"]] is False
    assert places[paths["AUTH_TOKENS_FILE"]] is True
    assert f'VOLUME ["{paths["DATA_DIR"]}"]' in DOCKERFILE


def test_the_secret_of_links_is_where_it_can_be_made_and_backups_find_it() -> None:
    given = {one["name"]: one["value"] for one in CONTAINER["env"]}
    assert given["LINK_SECRET_FILE"] == f"{given['DATA_DIR']}/{FILE_NAME}"


def test_the_pod_may_do_little() -> None:
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"]
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}\n" in DOCKERFILE
    assert container["readOnlyRootFilesystem"]
    assert not container["allowPrivilegeEscalation"]
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert CONTAINER["resources"]["requests"]
    assert CONTAINER["resources"]["limits"]["memory"]


def test_one_server_at_a_time_has_the_data() -> None:
    spec = BY_KIND["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_the_end_is_given_longer_than_the_server_takes() -> None:
    pause = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["spec"]["terminationGracePeriodSeconds"] > pause + load_settings().shutdown_timeout + 5
