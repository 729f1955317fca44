"""What `top` makes of two looks at the counts."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from appnet.cli.rates import rates, rates_shown

EDGE = {"client": "shop", "server": "stock", "side": "client", "method": "shop.Stock/get"}


def look(time: float, calls: dict[str, int], refused: int, counts: list[int], flying: int = 0) -> dict[str, Any]:
    duration = {"scale": 0, "first": -10, "counts": counts, "sum": 1.0}
    return {
        "time": time,
        "calls": [
            {**EDGE, "version": version, "count": count, "in_flight": flying, "duration": duration if not at else None}
            for at, (version, count) in enumerate(calls.items())
        ],
        "refusals": [
            {**EDGE, "version": "v1", "element": "wall", "handler": "req", "code": "ABORTED", "count": refused}
        ],
        "rows": [],
        "replies": [],
        "evictions": [],
        "dropped": [],
        "records": [{"element": "log", "variable": "seen", "count": 4, "latest": "[x]", "median": None, "p99": None}],
    }


def test_rates_are_of_what_is_new() -> None:
    found = rates(look(10.0, {"v1": 100}, 5, [90, 5]), look(12.0, {"v1": 140, "v2": 20}, 15, [90, 5, 60], flying=2))
    (calls,) = found["calls"]
    assert (calls["count"], calls["per_second"], calls["refused_per_second"], calls["in_flight"]) == (160, 30, 5, 4)
    assert calls["versions"] == {"v1": 20.0, "v2": 10.0}
    assert calls["p50"] == calls["p99"] == float(f"{2**-7.5:.3g}"), "of the 60 that ended meanwhile"
    assert [(it["element"], it["code"], it["count"], it["per_second"]) for it in found["refusals"]] == [
        ("wall", "ABORTED", 15, 5.0)
    ]
    assert found["records"][0]["per_second"] == 0


def test_nothing_new_has_no_quantiles_and_a_restart_counts_anew() -> None:
    still = look(10.0, {"v1": 100}, 5, [90])
    (calls,) = rates(still, {**still, "time": 11.0})["calls"]
    assert (calls["per_second"], calls["p50"], calls["p99"]) == (0, None, None)
    (calls,) = rates(still, look(12.0, {"v1": 30}, 0, [30]))["calls"]
    assert calls["per_second"] == 15


def test_many_series_take_no_time_for_each_pair() -> None:
    compared = 0

    class Method(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    now = look(10.0, {}, 0, [])
    now["calls"] = [
        {**EDGE, "method": Method(f"m{number}"), "version": "v1", "count": 1, "in_flight": 0, "duration": None}
        for number in range(500)
    ]
    assert len(rates(now, now)["calls"]) == 500
    assert compared < 20_000


def test_what_is_shown() -> None:
    out = Console(width=120, record=True, file=io.StringIO())
    out.print(rates_shown(rates(look(10.0, {"v1": 100}, 5, [90]), look(12.0, {"v1": 140}, 15, [90, 60]))))
    text = out.export_text()
    assert "shop → stock (client) get" in text
    assert "20.0" in text
    assert "wall" in text
    assert "log.seen" in text
    assert "'[x]'" in text
    assert "not taken" not in text


def test_counts_that_were_not_taken_are_told() -> None:
    now = {**look(12.0, {"v1": 140}, 15, [90]), "refused_points": 7}
    found = rates(look(10.0, {"v1": 100}, 5, [90]), now)
    assert found["refused_points"] == 7
    out = Console(width=120, record=True, file=io.StringIO())
    out.print(rates_shown(found))
    assert "7 counts were not taken: there are too many instances or series" in out.export_text()


def test_records_that_were_not_kept_are_told() -> None:
    after = look(3, {"v1": 1}, 0, [1]) | {"lost": ["12 records were not kept"]}
    found = rates(look(1, {"v1": 1}, 0, [1]), after)
    assert (found["lost"], found["seconds"]) == (["12 records were not kept"], 2.0)
    console = Console(file=io.StringIO(), width=200)
    console.print(rates_shown(found))
    assert "12 records were not kept" in console.file.getvalue()  # type: ignore[attr-defined]
