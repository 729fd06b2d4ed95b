"""What a server tells at `/metrics`, read by the Prometheus library."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from peer import Server


def parse(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Scrape:
    """One answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.samples = parse(text)

    def value(self, name: str, **labels: str) -> float:
        """A sample that has just these labels; 0 when there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """The sum of samples that have at least these labels."""
        wanted = set(labels.items())
        return sum(value for (one, found), value in self.samples.items() if one == name and wanted <= found)


def scrape(server: Server) -> Scrape:
    answer = server.ask("GET", "/metrics")
    assert answer.status == 200, answer.body
    return Scrape(answer.body.decode())
