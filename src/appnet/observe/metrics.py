"""Metrics of a control plane, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from appnet.observe.forward import Forwarder
from appnet.observe.kept import Kept
from appnet.observe.points import (
    ATTRIBUTES,
    CALLS,
    CONFLICTS,
    DURATIONS,
    ENTRIES,
    EVICTIONS,
    IN_FLIGHT,
    MERGES,
    MESSAGE_BYTES,
    RECORDS_DROPPED,
    REFUSALS,
    REPLIES,
    ROUND_TRIPS,
    ROW_HITS,
    SPANS_DROPPED,
    STALENESS,
    STARTS,
    STAYS,
    STORE_ERRORS,
    Histogram,
)
from appnet.observe.signals import Signal
from appnet.observe.store import RecordStore
from appnet.observe.totals import Totals

_COUNTERS = {
    CALLS: "Calls that reached a chain.",
    REFUSALS: "Calls that an element refused, or that could not be judged.",
    REPLIES: "Calls that an element answered.",
    ROW_HITS: "How often rows of match-action tables were taken.",
    MESSAGE_BYTES: "Bytes of the messages that elements read, as they came.",
    STARTS: "Instances of chains that were called: a version that is brought adds one in each processor.",
    EVICTIONS: "What full Maps and Vecs of an element's state let go.",
    RECORDS_DROPPED: "Records that nobody fetched in time.",
    SPANS_DROPPED: "Spans that there was no room for, or that the collector refused.",
    ROUND_TRIPS: "Answers of the store about an element's strong state.",
    CONFLICTS: "Batches of an element's steps that ran again, since another instance was faster.",
    MERGES: "Merges of a variable of weak state.",
    STALENESS: "Milliseconds from each merge to the next: by then, how old an instance's copy of weak state was.",
    STORE_ERRORS: "Requests that the store of an element's state did not answer, or not as it should.",
}

_GAUGES = {IN_FLIGHT: "Calls that have not ended.", ENTRIES: "What Maps and Vecs of an element's state hold."}
_OCTAVES = 28
_HISTOGRAMS = {
    **{name: (f"How long calls took, at the {side}.", -20) for side, name in DURATIONS.items()},
    STAYS: ("How long the chain had a call in hand, of one call in 64.", -27),
}
"""What each is, and the octave in which the shortest times of it are."""


def metrics_page(families: Iterable[Metric]) -> web.Response:
    """The page with these families."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(list(families)))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def record_metrics(store: RecordStore) -> CounterMetricFamily:
    """How many records of each stream have come."""
    records = CounterMetricFamily("appnet_records", "Records of elements.", labels=["element", "variable"])
    for key, count in store.counts().items():
        records.add_metric([key.element, key.variable], count)
    return records


def kept_metrics(kept: Kept, forwarder: Forwarder | None) -> Iterator[Metric]:
    """How much is kept, and what was neither kept nor forwarded."""
    yield CounterMetricFamily("appnet_records_unkept", "Records that came too fast, or found no room.", kept.dropped)
    told = "Spans that came too fast, or found no room."
    yield CounterMetricFamily("appnet_spans_unkept", told, kept.dropped_spans)
    yield GaugeMetricFamily("appnet_store_bytes", "What telemetry takes on disk.", kept.size)
    if forwarder is not None:
        told = "Records, points and spans that went no further."
        dropped = CounterMetricFamily("appnet_forward_dropped", told, labels=["signal"])
        for signal in Signal:
            dropped.add_metric([signal.value], forwarder.dropped[signal])
        yield dropped


def chain_metrics(totals: Totals) -> Iterator[Metric]:
    """What chains count, by the names that Prometheus makes of OpenTelemetry's; and what of it was not taken."""
    yield CounterMetricFamily("appnet_points_refused", "Counts for which there was no room.", totals.refused)
    for name, about in _COUNTERS.items():
        counter = CounterMetricFamily(_name(name), about, labels=list(map(_name, ATTRIBUTES[name])))
        for key, value in totals.by([name], ATTRIBUTES[name]).items():
            counter.add_metric(key, int(value) if isinstance(value, int) else value.count)
        yield counter
    for name, about in _GAUGES.items():
        gauge = GaugeMetricFamily(_name(name), about, labels=list(map(_name, ATTRIBUTES[name])))
        for key, value in totals.by([name], ATTRIBUTES[name], living=True).items():
            gauge.add_metric(key, value if isinstance(value, int) else value.count)
        yield gauge
    for name, (about, first) in _HISTOGRAMS.items():
        took = HistogramMetricFamily(f"{_name(name)}_seconds", about, labels=list(map(_name, ATTRIBUTES[name])))
        for key, value in totals.by([name], ATTRIBUTES[name]).items():
            if isinstance(value, Histogram):
                took.add_metric(key, _octaves(value, first), value.sum)
        yield took


def _name(name: str) -> str:
    return name.replace(".", "_")


def _octaves(histogram: Histogram, first: int) -> list[tuple[str, float]]:
    """Cumulative buckets that end at powers of two; those of chains begin at the ``first``."""
    found = []
    for octave in range(first + 1, first + _OCTAVES + 1):
        end = octave << histogram.scale if histogram.scale >= 0 else octave >> -histogram.scale
        below = sum(histogram.counts[: max(0, end - histogram.first)])
        found.append((repr(2.0**octave), float(below)))
    return [*found, ("+Inf", float(histogram.count))]


class _Metrics(Collector):
    """Families that were made already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
