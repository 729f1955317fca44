"""The dashboard of AppNet for Grafana, as `make generate` writes it to appnet.json beside this file."""

from __future__ import annotations

import json
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import SortOrder, TooltipDisplayMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_ENDS = 'appnet_client=~"$client", appnet_server=~"$server", appnet_side=~"$side"'
_EDGE = "appnet_client, appnet_server, appnet_side"
_EDGE_SHOWN = "{{appnet_client}} → {{appnet_server}} ({{appnet_side}})"
_WIDE, _HALF, _THIRD, _LOW, _HIGH = 24, 12, 8, 4, 8  # of a grid that is 24 wide


def _rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{_ENDS}{more}}}[$__rate_interval]))"


def _quantiles(*metrics: str) -> list[prometheus.Dataquery]:
    """Of durations in seconds, of which each edge and side has one of the metrics."""
    rates = " or ".join(_rate(f"{it}_seconds_bucket", f"{_EDGE}, le") for it in metrics)
    return [_query(f"histogram_quantile({share}, {rates})", f"p{share * 100:g} {_EDGE_SHOWN}") for share in (0.5, 0.99)]


def _query(expression: str, shown: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(shown).datasource(_SOURCE).ref_id("A")


def _over_time(title: str, about: str, unit: str, *queries: prometheus.Dataquery) -> timeseries.Panel:
    panel = timeseries.Panel().title(title).description(about).datasource(_SOURCE).unit(unit).min(0)
    panel.span(_HALF).height(_HIGH).fill_opacity(8).show_points(VisibilityMode.NEVER)
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    for letter, it in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(it.ref_id(letter))
    return panel


def _now(title: str, about: str, expression: str, unit: str = "short") -> stat.Panel:
    panel = stat.Panel().title(title).description(about).datasource(_SOURCE).unit(unit).span(_THIRD).height(_LOW)
    return panel.with_target(_query(expression).instant()).no_value("0")


def _rows() -> table.Panel:
    """Match-action rows by how often they were taken."""
    per_second = _rate("appnet_row_hits_total", "appnet_element, appnet_handler, appnet_row")
    panel = table.Panel().title("Rows by hits per second").datasource(_SOURCE).span(_WIDE).height(_HIGH)
    panel.description("`appnetctl show ELEMENT --what table` shows the rows by these numbers.").unit("ops")
    return panel.with_target(_query(f"topk(50, {per_second})").instant().format(PromQueryFormat.TABLE))


def _variable(name: str, label: str, shown: str) -> dashboard.QueryVariable:
    query = f"label_values(appnet_calls_total, {label})"
    variable = dashboard.QueryVariable(name).label(shown).datasource(_SOURCE).query(query).multi(True)
    return variable.include_all(True).all_value(".*").refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def built() -> dashboard.Dashboard:
    """The whole dashboard."""
    page = dashboard.Dashboard("AppNet").uid("appnet").tags(["appnet", "grpc"]).refresh("10s").time("now-1h", "now")
    page.description("What the elements of AppNet do, from /metrics of the controller, `run` or `serve`.")
    page.tooltip(DashboardCursorSync.CROSSHAIR).editable()
    page.with_variable(dashboard.DatasourceVariable("source").label("Source").type("prometheus"))
    for it in (("client", "appnet_client", "From"), ("server", "appnet_server", "To"), ("side", "appnet_side", "Side")):
        page.with_variable(_variable(*it))
    _edges(page)
    _elements(page)
    _versions(page)
    return page


def _edges(page: dashboard.Dashboard) -> None:
    page.with_row(dashboard.Row("Edges"))
    calls, refused = _rate("appnet_calls_total", _EDGE), _rate("appnet_refusals_total", _EDGE)
    page.with_panel(_over_time("Calls", "Calls that reached a chain.", "reqps", _query(calls, _EDGE_SHOWN)))
    page.with_panel(
        _over_time(
            "Refused share",
            "Of all calls.",
            "percentunit",
            _query(f"({refused} or 0 * {calls}) / {calls}", _EDGE_SHOWN),
        )
    )
    quantiles = _quantiles("rpc_client_call_duration", "rpc_server_call_duration")
    page.with_panel(_over_time("Duration", "From the headers of a call to its end.", "s", *quantiles))
    flying = f"sum by ({_EDGE}) (appnet_calls_in_flight{{{_ENDS}}})"
    page.with_panel(_over_time("In flight", "Calls that have not ended.", "short", _query(flying, _EDGE_SHOWN)))
    about = "How long the chain had a call in hand, of one call in 64."
    page.with_panel(_over_time("Time in the chain", about, "s", *_quantiles("appnet_chain_duration")))
    read = _rate("appnet_message_bytes_total", f"{_EDGE}, appnet_direction")
    about = "Of messages that elements read, as they came."
    page.with_panel(_over_time("Bytes read", about, "Bps", _query(read, f"{{{{appnet_direction}}}} {_EDGE_SHOWN}")))


def _elements(page: dashboard.Dashboard) -> None:
    page.with_row(dashboard.Row("Elements"))
    refused = _rate("appnet_refusals_total", "appnet_element, rpc_response_status_code", ', appnet_element!=""')
    shown = "{{appnet_element}} {{rpc_response_status_code}}"
    page.with_panel(_over_time("Refusals", "By element and status.", "reqps", _query(refused, shown)))
    page.with_panel(
        _over_time(
            "Replies, evictions and lost records",
            "Calls that an element answered; entries that full Maps and Vecs let go; records that nobody fetched.",
            "ops",
            _query(_rate("appnet_replies_total", "appnet_element"), "{{appnet_element}} replies"),
            _query(_rate("appnet_evictions_total", "appnet_element"), "{{appnet_element}} evictions"),
            _query(_rate("appnet_records_dropped_total", "appnet_element"), "{{appnet_element}} lost records"),
        )
    )
    page.with_panel(
        _over_time(
            "Stores of shared state",
            "What an element's store answered, steps that ran again since another instance was faster, and errors.",
            "ops",
            _query(_rate("appnet_state_round_trips_total", "appnet_element"), "{{appnet_element}} round trips"),
            _query(_rate("appnet_state_conflicts_total", "appnet_element"), "{{appnet_element}} conflicts"),
            _query(_rate("appnet_state_errors_total", "appnet_element"), "{{appnet_element}} errors"),
        )
    )
    by = "appnet_element, appnet_variable"
    staleness, merges = _rate("appnet_state_staleness_total", by), _rate("appnet_state_merges_total", by)
    shown = "{{appnet_element}}.{{appnet_variable}}"
    about = "How old an instance's copy of weak state is before it merges, on average."
    page.with_panel(_over_time("Staleness", about, "ms", _query(f"{staleness} / {merges}", shown)))
    held = f"sum by ({by}, appnet_version) (appnet_state_entries{{{_ENDS}}})"
    about = "What Maps and Vecs hold, of all proxies together."
    page.with_panel(_over_time("State", about, "short", _query(held, f"{shown} {{{{appnet_version}}}}")))
    page.with_panel(_rows())


def _versions(page: dashboard.Dashboard) -> None:
    page.with_row(dashboard.Row("Versions and proxies"))
    by_version = _rate("appnet_calls_total", f"{_EDGE}, appnet_version")
    about = "An upgrade is a line that takes over from another."
    page.with_panel(
        _over_time("Calls by version", about, "reqps", _query(by_version, f"{{{{appnet_version}}}} {_EDGE_SHOWN}"))
    )
    unjudged = _rate("appnet_refusals_total", _EDGE, ', appnet_element=""')
    page.with_panel(
        _over_time(
            "Not judged", "Calls refused because no element could judge them.", "reqps", _query(unjudged, _EDGE_SHOWN)
        )
    )
    begun = f"sum by ({_EDGE}) (increase(appnet_chain_starts_total{{{_ENDS}}}[$__rate_interval]))"
    about = "Instances of chains that began: an upgrade or a restart in each processor is one."
    page.with_panel(_over_time("Upgrades and restarts", about, "short", _query(begun, _EDGE_SHOWN)))
    saving = "sum by (client, server, method) (appnet_replan_saving)"
    about = "What a suggested plan would save of the CPU for an RPC."
    shown = _query(saving, "{{client}} → {{server}} {{method}}")
    page.with_panel(_over_time("Saved by another plan", about, "percentunit", shown))
    connected = "sum(appnet_proxies) or sum(appnet_node_connected)"
    page.with_panel(_now("Connected", "Proxies of the controller, or nodes of `run` and `serve`.", connected))
    page.with_panel(_now("Served nothing", "Connected proxies that no configuration fits.", "sum(appnet_strangers)"))
    nacked = 'sum(appnet_node_acceptance{acceptance="nacked"})'
    page.with_panel(_now("Refused their version", "Nodes of `run` and `serve`.", nacked))


def text() -> str:
    """As JSON that Grafana imports."""
    return json.dumps(built().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201
