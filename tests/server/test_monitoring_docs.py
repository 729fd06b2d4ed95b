"""docs/monitoring.md tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

from objectstore.server.observation.families import FAMILIES
from peer import Server

TEXT = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


def test_every_metric_is_in_the_table_as_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \| (.+) \|$", TEXT, re.MULTILINE)
    described = [(family.sample, family.kind, family.labels, family.help) for family in FAMILIES]
    assert [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows] == described


def test_the_table_names_what_a_scrape_tells(server: Server) -> None:
    told = re.findall(r"^# TYPE (\w+)", server.ask("GET", "/metrics").body.decode(), re.MULTILINE)
    assert sorted(told) == sorted(family.sample for family in FAMILIES)
