"""Prices of libraries, taken on this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.grpc.container import MACHINE
from appnet.ir.compile import compile_element
from appnet.measure.probes import METHOD, all_probes
from appnet.measure.solve import CalibrationError, Effort
from appnet.optimize.cost import KINDS, TargetCosts
from appnet.processors import registry
from appnet.processors.grpc.build import build_for
from appnet.processors.grpc.calibrate.calibrate import INTERCEPTORS, Loop, loop_library, with_interceptors
from tests.support.programs import program

LIBRARY = registry.processor("grpc")


def test_prices_are_measured_in_a_loop() -> None:
    steps: list[str] = []
    model = asyncio.run(LIBRARY.calibrate(Effort(rounds=1, seconds=0.1), steps.append))
    assert steps[0] == "building probes for libraries"
    assert "by `python -m benchmarks.probes` on " in model.measured, "what is around a chain was measured elsewhere"
    prices = model.targets["library"]
    assert prices.module > INTERCEPTORS["module"]
    # Eight digests of short texts cannot go unnoticed, whatever else the machine does.
    assert prices.operations["signature"] > 0.1
    assert model.crossing == LIBRARY.prices.crossing


def test_what_interceptors_take_is_added_to_what_chains_do() -> None:
    """A write costs a chain about a nanosecond, beside 330 of the interceptors: that is there, too."""
    zero = TargetCosts(0.0, 0.0, 0.0, dict.fromkeys(KINDS, 0.0))
    assert with_interceptors(zero).operations["write"] == INTERCEPTORS["write"]
    chain = replace(zero, module=0.0367, operations={**zero.operations, "write": 0.000782, "signature": 1.88})
    prices = with_interceptors(chain)
    assert prices.operations["write"] > INTERCEPTORS["write"]
    assert prices.operations["write"] == pytest.approx(0.330782)
    assert prices.module == pytest.approx(0.0987)
    assert (prices.operations["signature"], prices.response_message) == (1.88, INTERCEPTORS["response_message"])


def test_shipped_prices_say_where_they_were_measured() -> None:
    assert "cores of" in LIBRARY.prices.measured
    sidecar = registry.processor("sidecar").prices
    assert (LIBRARY.prices.crossing, LIBRARY.prices.proxy) == (sidecar.crossing, sidecar.proxy)
    assert LIBRARY.prices.targets["library"].module < sidecar.targets["native"].module


def test_a_probe_that_lets_no_call_through_is_an_error() -> None:
    method = replace(METHOD, full_name="/probe.Probe/Refuse")
    text = program("send(err('no'), Up)")
    element = compile_element(TextSource(Path("refuse.appnet"), text), method).element
    code = build_for(print_chain(ChainSource("refuses", "1", ((method, (element,)),))), MACHINE)
    probe = replace(all_probes()[0], element=element)
    with pytest.raises(CalibrationError, match="the probe module was not let through"):
        Loop(probe, code, loop_library()).microseconds(10)
