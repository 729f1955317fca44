"""The benchmark of delivery measures what it says: on proxies few enough for a test."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.processors.envoy.cluster.identity import Said
from appnet.processors.envoy.targets import NATIVE, WASM
from benchmarks import delivery, fleet
from benchmarks.delivery import BACK, CHANGE, FIRST, MEMORY, PEAK, Control, Measured, measure, rows_of, versions_of
from benchmarks.results import Row


def measured(scale: float) -> Measured:
    taken = {FIRST: [scale], CHANGE: [scale, 3 * scale, 2 * scale], BACK: [scale]}
    return Measured(taken, taken, 100 + scale, 200 + scale)


def test_rows_are_medians_and_the_last_follows_the_line() -> None:
    found = {(it.case, it.metric): it.value for it in rows_of({100: measured(1.0), 200: measured(2.0)})}
    assert (found["100", CHANGE], found["100", f"{CHANGE}, longest"]) == (2.0, 3.0)
    assert (found["projected", CHANGE], found["projected", MEMORY]) == (200.0, 200.0)
    assert found["projected", PEAK] == 300.0


def test_one_size_projects_nothing() -> None:
    assert {it.case for it in rows_of({100: measured(1.0)})} == {"100"}


def test_simulated_proxies_say_as_much_of_themselves_as_real_ones() -> None:
    node = fleet.node_of(300)
    assert 55_000 < node.ByteSize() < 65_000
    said = Said.of(node)
    assert (said.name, said.account, said.labels) == ("echo-300", fleet.ACCOUNT, fleet.LABELS)
    assert said.targets("none")[0] == (WASM,)


@pytest.mark.e2e
def test_every_proxy_gets_every_version() -> None:
    found, size, _ = asyncio.run(delivery.run([4], 2, lambda _: None))
    (it,) = found.values()
    assert {what: len(several) for what, several in it.seconds.items()} == {FIRST: 1, CHANGE: 2, BACK: 2}
    assert size > 100_000
    assert it.peak >= it.memory > 10
    assert all(isinstance(row, Row) and row.value >= 0 for row in rows_of(found))


@pytest.mark.e2e
def test_proxies_that_refuse_are_not_measured(tmp_path: Path) -> None:
    tls, versions = delivery.certificate(tmp_path), versions_of(tmp_path)
    wrong = [
        [replace(it, segment=replace(it.segment, place=replace(it.segment.place, target=NATIVE))) for it in some]
        for some in versions
    ]
    chains = tuple(it.name for it in versions[0])
    control = Control(delivery.group_of(chains), tls, wrong)
    with pytest.raises(RuntimeError, match="2 of 2 proxies did not accept"):
        asyncio.run(measure(2, 1, control, tls.certificate, chains))
