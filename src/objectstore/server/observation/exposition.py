"""Totals of all workers → what Prometheus reads, in its own format or in OpenMetrics, as it asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from objectstore.server.observation.families import FAMILIES, Family, Labels
from objectstore.server.observation.tally import Series


def expose(totals: Mapping[Series, float], accept: str) -> tuple[bytes, str]:
    """The text, and its content type. `accept` is the header of the request."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Totals(totals))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Totals(Collector):
    def __init__(self, totals: Mapping[Series, float]) -> None:
        self._by_name: dict[str, dict[Labels, float]] = defaultdict(dict)
        for (name, *labels), value in sorted(totals.items()):
            self._by_name[name][tuple(labels)] = value

    def collect(self) -> Iterable[Metric]:
        for family in FAMILIES:
            values = self._by_name.get(family.name, {})
            if not values and not family.labels and family.kind == "counter":
                values = {(): 0.0}  # so that its first increase shows
            yield _metric(family, values)


def _metric(family: Family, values: Mapping[Labels, float]) -> Metric:
    found: Metric
    if family.kind == "histogram":
        found = histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, buckets, total in _histograms(family, values):
            histogram.add_metric(labels, buckets, total)
    else:
        of_kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        found = plain = of_kind(family.name, family.help, labels=family.labels)
        for labels, value in values.items():
            plain.add_metric(labels, value)
    return found


def _histograms(
    family: Family, values: Mapping[Labels, float]
) -> Iterator[tuple[Labels, list[tuple[str, float]], float]]:
    # Prometheus has each bucket count what the smaller ones count, too.
    bounds = [*map(str, family.bounds), "+Inf"]
    for labels in dict.fromkeys(series[:-1] for series in values):
        counts = (values.get((*labels, part), 0.0) for part in family.parts[:-1])
        yield labels, list(zip(bounds, accumulate(counts), strict=True)), values.get((*labels, "sum"), 0.0)
