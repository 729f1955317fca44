"""What Grafana and Prometheus are told to ask for is there: by metrics and labels that the pages really have."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import promql_parser
import pytest
import yaml
from prometheus_client.metrics_core import Metric

from appnet.compile.fit import Where
from appnet.control.replan import Replanner
from appnet.deploy.kubernetes.operator.pages import Pages
from appnet.deploy.local.status import StatusServer
from appnet.observe import OtlpReceiver
from appnet.observe.forward import Collector
from appnet.observe.kept import Keep
from appnet.observe.telemetry import Telemetry
from appnet.optimize import Settings
from appnet.system.address import ANY_LOCAL_PORT

CONFIG = Path(__file__).parents[2] / "config"
DASHBOARD = json.loads((CONFIG / "grafana" / "appnet.json").read_text())
ALERTS = [
    rule
    for group in yaml.safe_load((CONFIG / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
SAMPLE_LABELS = {"__name__", "instance", "job", "le"}


class _Machine:
    """What the status page looks at."""

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.controller = SimpleNamespace(running=None, replanner=Replanner(Settings(), Where()))
        self.telemetry = Telemetry(OtlpReceiver(), Keep(Path("nowhere")), None)


def shown() -> dict[str, set[str]]:
    """The labels of each metric that some page has, by the names of its samples."""
    forwarding = Telemetry(OtlpReceiver(), Keep(Path("nowhere")), Collector("http", "otel", 4318))
    cluster = Pages(ANY_LOCAL_PORT, forwarding)
    machine = StatusServer(cast("Any", _Machine()), ANY_LOCAL_PORT, print)
    found: dict[str, set[str]] = {}
    for it in [*cluster._families(), *machine._families("v1", {})]:
        for name in _samples(it):
            found.setdefault(name, set()).update(it._labelnames)
    return found


def _samples(family: Metric) -> list[str]:
    endings = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
    return [family.name + it for it in endings[family.type]]


def panels(of: Any = None) -> Iterator[dict[str, Any]]:
    for it in (of or DASHBOARD)["panels"]:
        yield it
        yield from panels(it) if "panels" in it else ()


def queries() -> Iterator[tuple[str, str]]:
    for panel in panels():
        for it in panel.get("targets", ()):
            expression = it["expr"].replace("$__rate_interval", "5m")
            yield panel["title"], re.sub(r"\$(client|server|side)", ".*", expression)
    for it in ALERTS:
        yield it["alert"], it["expr"]


def asked(expression: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels that an expression names."""
    metrics: set[str] = set()
    labels: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            metrics.add(node.name)
            labels.update(it.name for it in node.matchers.matchers)
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return metrics, labels


def test_the_committed_dashboard_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("dashboard", CONFIG / "grafana" / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (CONFIG / "grafana" / "appnet.json").read_text() == module.text(), "run `make generate`"


@pytest.mark.parametrize(
    ("where", "expression"), list(queries()), ids=[f"{i}-{it[0]}" for i, it in enumerate(queries())]
)
def test_what_is_asked_for_is_shown(where: str, expression: str) -> None:
    there = shown()
    metrics, labels = asked(expression)
    assert metrics
    assert metrics <= there.keys(), where
    assert labels <= SAMPLE_LABELS.union(*(there[it] for it in metrics)), where


def test_variables_are_of_labels_that_are_shown() -> None:
    queried = [it["query"] for it in DASHBOARD["templating"]["list"] if it["type"] == "query"]
    assert len(queried) == 3
    for it in queried:
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", it)
        assert found is not None
        assert found[2] in shown()[found[1]]


def test_every_metric_of_chains_is_on_the_dashboard_or_watched() -> None:
    looked_at = set[str]().union(*(asked(it)[0] for _, it in queries()))
    chains = {it for it in shown() if it.startswith(("appnet_", "rpc_"))}
    left_out = {it.rpartition("_")[0] + "_bucket" for it in chains if it.endswith(("_count", "_sum"))}
    unseen = {it for it in chains - looked_at if not it.endswith(("_count", "_sum"))}
    assert left_out <= looked_at
    assert unseen == {"appnet_records_total", "appnet_version_info", "appnet_store_bytes"}


def test_targets_of_a_panel_have_letters_of_their_own() -> None:
    for it in panels():
        letters = [target["refId"] for target in it.get("targets", ())]
        assert len(set(letters)) == len(letters)
        assert all(letters)


def test_alerts_only_speak_of_labels_that_they_have() -> None:
    for it in ALERTS:
        told = " ".join(it["annotations"].values())
        named = set(re.findall(r"\$labels\.(\w+)", told))
        modifiers = re.findall(r"by \(([^)]*)\)", it["expr"])
        kept = {label.strip() for one in modifiers for label in one.split(",")}
        assert named <= kept | (asked(it["expr"])[1]) | _plain(it["expr"]), it["alert"]


def _plain(expression: str) -> set[str]:
    """The labels of what is not summed up."""
    if "by (" in expression or "sum(" in expression:
        return set()
    metrics, _ = asked(expression)
    return {"instance"}.union(*(shown()[it] for it in metrics))
