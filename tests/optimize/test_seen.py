"""What plans are made for where the traffic of a running application is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from appnet.application.load import LoadedChain, load
from appnet.compile.fit import Where
from appnet.compile.pipeline import plan_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from appnet.optimize.explain import explain, told_stays
from appnet.optimize.seen import Seen, seen

ECHO = Path("config/samples/echo/sample_echo_sidecar.yaml")
END = {"client": "frontend", "server": "server", "method": "echo.EchoService/echo", "version": "v1"}


def look(time: float, calls: int, rows: dict[tuple[str, str], int], ended: dict[str, int], **other: Any) -> Any:
    def of(element: str, count: int, **more: str) -> dict[str, Any]:
        side = "client" if element == "fault" else "server"
        return {**END, "side": side, "element": element, "handler": "req", **more, "count": count, **other}

    return {
        "time": time,
        "calls": [{**END, "side": "client", "count": calls, "in_flight": 0, "duration": None, **other}],
        "rows": [of(element, count, row=row) for (element, row), count in rows.items()],
        "refusals": [of(element, count, code="ABORTED") for element, count in ended.items()],
        "replies": [],
    }


@pytest.fixture(scope="module")
def chains() -> Sequence[LoadedChain]:
    return load(FileSource(ECHO)).chains


def between(chains: Sequence[LoadedChain], before: Any, after: Any) -> Seen:
    (found,) = seen(before, after, chains)
    return found


NOTHING = look(10.0, 0, {}, {})


def test_shares_are_of_what_reached_an_element(chains: Sequence[LoadedChain]) -> None:
    rows = {("fault", "1a"): 900, ("fault", "1b"): 100, ("firewall", "1a"): 300, ("firewall", "1a.1b"): 300}
    after = look(20.0, 1000, rows | {("firewall", "1b"): 600}, {"fault": 100, "firewall": 300})
    found = between(chains, NOTHING, after)
    assert found.reached == {"fault": 1000, "logging": 1000, "metrics": 1000, "firewall": 900}
    assert found.profile.refused == {"fault": 0.1, "firewall": 1 / 3, "logging": 0.0, "metrics": 0.0}
    assert found.profile.rate == 100.0


def test_only_what_is_new_counts(chains: Sequence[LoadedChain]) -> None:
    before = look(10.0, 5000, {("firewall", "1a"): 5000, ("firewall", "1b"): 0}, {"firewall": 5000})
    after = look(12.0, 5200, {("firewall", "1a"): 5000, ("firewall", "1b"): 200}, {"firewall": 5000})
    found = between(chains, before, after)
    assert (found.profile.rate, found.profile.refused["firewall"]) == (100.0, 0.0)
    again = look(12.0, 300, {("firewall", "1a"): 150, ("firewall", "1b"): 150}, {"firewall": 150})
    restarted = between(chains, before, again)
    assert (restarted.profile.rate, restarted.profile.refused["firewall"]) == (150.0, 0.5)


def test_two_processors_on_one_side_judge_the_same_calls(chains: Sequence[LoadedChain]) -> None:
    before, after = look(10.0, 0, {}, {}), look(20.0, 600, {}, {})
    (call,) = after["calls"]
    after["calls"] += [call | {"version": "v2", "count": 300}, call | {"version": "behind", "count": 850}]
    (found,) = seen(before, after, chains, {"v1": "sidecar", "v2": "sidecar", "behind": "ambient"})
    assert found.calls == {"client": 900}, "versions of one module judge one after the other"
    (found,) = seen(before, after, chains)
    assert found.calls == {"client": 1750}, "nobody says that these are two modules"


def test_few_calls_tell_nothing(chains: Sequence[LoadedChain]) -> None:
    found = between(chains, NOTHING, look(20.0, 99, {("firewall", "1a"): 99}, {"firewall": 99}))
    assert found.profile.refused == {}
    assert between(chains, NOTHING, NOTHING).profile.rate == 0.0


def test_other_edges_and_methods_do_not_count(chains: Sequence[LoadedChain]) -> None:
    for other in ({"client": "shop"}, {"server": "shop"}, {"method": "echo.EchoService/other"}):
        found = between(chains, NOTHING, look(20.0, 1000, {("firewall", "1a"): 1000}, {"firewall": 1000}, **other))
        assert (found.calls, found.ended) == ({}, {})


def test_streams_run_a_handler_more_often_than_there_are_calls(chains: Sequence[LoadedChain]) -> None:
    found = between(chains, NOTHING, look(20.0, 200, {("firewall", "1b"): 9000}, {"firewall": 100}))
    assert found.profile.refused["firewall"] == 0.5


def test_how_long_modules_have_calls_in_hand(chains: Sequence[LoadedChain]) -> None:
    def stays(*counts: int) -> dict[str, Any]:
        return {"scale": 3, "first": -160, "counts": list(counts), "sum": sum(counts) * 1e-6}

    before, after = look(10.0, 64, {}, {}, stay=stays(50, 0, 0)), look(20.0, 6400, {}, {}, stay=stays(50, 3, 17))
    found = between(chains, before, after)
    assert found.profile.stays == {"client": pytest.approx(2.0 ** (-157.5 / 8) * 1e6)}
    assert between(chains, NOTHING, before).profile.stays == {"client": pytest.approx(2.0 ** (-159.5 / 8) * 1e6)}
    assert between(chains, NOTHING, look(20.0, 64, {}, {}, stay=stays(9))).profile.stays == {}, "too few"
    optimized = plan_application(load(FileSource(ECHO)), Settings(), Where())[0]
    told = list(told_stays(explain(optimized, found.profile)))
    assert told == [f"in the module of client: {optimized.inside[0]:.2f} µs of CPU expected, 1.18 µs measured (median)"]
