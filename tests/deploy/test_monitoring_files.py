"""The Grafana dashboard and the alert rules ask for what a server really tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectstore.server.observation.families import FAMILIES
from peer import running

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())
SCRAPED = {"job", "instance", "le"}  # labels that Prometheus itself adds, and those of buckets
NAME = re.compile(r"\b(?:objectstore|process)_\w+")


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> list[str]:
    of_panels = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    of_variables = [one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    of_alerts = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    return [*of_panels, *of_variables, *of_alerts]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all samples that a server tells, or would once there is something to tell."""
    names = set()
    with running(tmp_path_factory.mktemp("scraped")) as server:
        server.ask("PUT", "/objects/k", bytes(100_000))
        for line in server.ask("GET", "/metrics").body.decode().splitlines():
            kind = re.match(r"# TYPE (\w+) (\w+)", line)
            if kind and kind[2] == "histogram":
                names |= {kind[1] + suffix for suffix in ("_bucket", "_sum", "_count")}
            elif kind:
                names.add(kind[1])
            elif not line.startswith("#"):
                assert re.match(r"\w+", line)[0] in names  # type: ignore[index]  # every line begins with one
    return names


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_told(expression: str, told: set[str]) -> None:
    asked = set(NAME.findall(expression))
    assert asked
    assert asked <= told


@pytest.mark.parametrize("expression", expressions())
def test_the_labels_that_are_asked_for_are_those_of_the_metric(expression: str) -> None:
    families = {family.sample: set(family.labels) for family in FAMILIES}
    for name, selector in re.findall(rf"({NAME.pattern})\{{([^}}]*(?:\{{key\}}[^}}]*)?)\}}", expression):
        asked = set(re.findall(r'(\w+)=~?"', selector))
        assert asked <= families[re.sub("_(bucket|sum|count)$", "", name)] | SCRAPED, name
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")}
    known = set().union(*(families[re.sub("_(bucket|sum|count)$", "", name)] for name in NAME.findall(expression)))
    assert grouped <= known | SCRAPED


def test_every_metric_of_the_server_is_watched() -> None:
    shown = " ".join(expressions())
    left_out = {"process_virtual_memory_bytes", "process_start_time_seconds"}
    assert {family.sample for family in FAMILIES if family.sample not in shown} == left_out


def test_the_dashboard_is_one_that_grafana_loads() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["uid"]
    assert "id" not in DASHBOARD  # which is of one Grafana only
    ids = Counter(panel["id"] for panel in panels())
    assert max(ids.values()) == 1
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for panel in panels():
        assert panel["title"]
        assert {"x", "y", "w", "h"} == set(panel["gridPos"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references) > 0


def test_no_two_panels_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_tells_whom_it_is_about_and_how_bad_it_is() -> None:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert "$labels.instance" in rule["annotations"]["summary"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_understands_all_of_it(tmp_path: Path) -> None:
    rules = [
        {"record": f"r{number}", "expr": re.sub(r"\$__rate_interval", "5m", expression)}
        for number, expression in enumerate(expressions())
        if not expression.startswith("label_values")
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    for file in (tmp_path / "rules.yml", DEPLOY / "prometheus-alerts.yml"):
        subprocess.run(["promtool", "check", "rules", str(file)], check=True, capture_output=True)
