"""The method of prices: what probes add to an RPC, to prices by which each of them costs just that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appnet.measure.probes import Probe
from appnet.optimize.cost import KINDS, TargetCosts, operations_of

_SWEEPS = 50


@dataclass(frozen=True)
class Effort:
    """Every probe is loaded for ``seconds`` in each of ``rounds``."""

    rounds: int = 8
    seconds: float = 0.35


@dataclass(frozen=True)
class Measured:
    """Microseconds of CPU for an RPC: of the processor without elements, of the server, and what each
    probe adds, by target and by what it finds."""

    proxy: float
    server: float
    added: Mapping[str, Mapping[str, float]]


class CalibrationError(Exception):
    """What was measured makes no prices."""


def solve(probes: Sequence[Probe], added: Mapping[str, float]) -> TargetCosts:
    """The prices by which every probe costs what it ``added``, in microseconds by what it finds; none is below 0.

    The equations are all but triangular, so going through them again and again settles (Gauss-Seidel).
    """
    uses = {it.finds: _uses(it) for it in probes}
    prices = dict.fromkeys(uses, 0.0)
    for _ in range(_SWEEPS):
        for finds, use in uses.items():
            others = sum(count * prices[it] for it, count in use.items() if it != finds)
            prices[finds] = max(added[finds] - others, 0.0) / use[finds]
    rounded = {finds: float(f"{price:.3g}") for finds, price in prices.items()}
    module, request, response = (rounded[it] for it in ("module", "request_message", "response_message"))
    return TargetCosts(module, request, response, {kind: rounded[kind] for kind in KINDS})


def _uses(probe: Probe) -> dict[str, float]:
    """What the cost model says that an RPC through the probe is charged for, and how often."""
    element = probe.element
    found: dict[str, float] = defaultdict(float, module=1.0)
    for part, handler in (("request_message", element.req), ("response_message", element.resp)):
        if handler.effects.reads_message:
            found[part] = 1.0
    for operations in operations_of(element):
        for kind, count in operations.items():
            found[kind] += count
    return {it: probe.copies * count for it, count in found.items()}
