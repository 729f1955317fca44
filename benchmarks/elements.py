"""What each standard element costs on the data plane.

    python -m benchmarks.elements [--rounds N] [--seconds X] [--rate X] [--cases a,b] [--record]

As ``benchmarks.dataplane``, which does the measuring: one Envoy for each element and target, all alive at once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appnet.application.proto import load_proto
from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import FileSource
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language import Given
from appnet.measure.load import Request
from appnet.processors.envoy.build import build
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.options import ChainOptions
from benchmarks.cases import BASELINE, KEY_HEADER, REFUSED_KEY, Case
from benchmarks.dataplane import Plan, measure_all, message, parser
from benchmarks.signing import RUN_KEY

SAMPLES = Path(__file__).parent.parent / "config" / "samples"
METHOD = load_proto(FileSource(SAMPLES / "echo" / "echo.proto")).method("echo")

_USER, _KEY = "benchmark", "a key of the benchmark"
_MUCH = 1e12
_KEYS = (*(f"user-{number:04}" for number in range(33)), REFUSED_KEY)

PARAMETERS: Mapping[str, Mapping[str, str | int | float]] = {
    "acl": {"header": KEY_HEADER, "allowed": "".join(f"{key}," for key in _KEYS)},
    "auth": {"key": _KEY},
    "bandwidth_limit": {"rate": _MUCH, "burst": _MUCH},
    "cache": {},
    "canary": {"share": 0.0, "canaries": 0},
    "circuit_breaker": {"failures": 1_000_000},
    "concurrency_limit": {"limit": 1_000_000},
    "rate_limit": {"rate": _MUCH, "burst": _MUCH},
    "sticky": {"header": KEY_HEADER},
    "timeout": {"limit": 60.0},
}
"""Such that calls pass, where an element's own values would have calls of this load refused."""

REFUSALS = {"fault": (14, "fault injected"), "firewall": (7, "firewall")}  # one call in a hundred each
_CHOOSE_HOST = frozenset({"canary", "prequal_client", "servicerouter_client", "sticky"})
_PAIRS = {"encrypt": "decrypt", "compress": "decompress"}  # of which one half alone makes no sense


@dataclass(frozen=True)
class Work:
    """The elements of one case, in order."""

    name: str
    title: str
    elements: Sequence[str] = field(default=())


def all_work() -> list[Work]:
    """Each standard element alone, with its partner where it has one."""
    names = sorted(path.stem for path in (SAMPLES / "elements").glob("*.appnet"))
    return [
        Work(name, f"{name} and {_PAIRS[name]}" if name in _PAIRS else name, (name, *_partner(name)))
        for name in names
        if name not in _PAIRS.values()
    ]


def _partner(name: str) -> tuple[str, ...]:
    return (_PAIRS[name],) if name in _PAIRS else ()


def all_cases() -> list[Case]:
    """Router alone, then each element on the targets that it can run on."""
    return [Case(BASELINE, "router only", omits="everything"), *cases_of(all_work())]


def cases_of(all_of_it: Sequence[Work]) -> list[Case]:
    """Each piece of work on the targets that it can run on."""
    cases = []
    for work in all_of_it:
        elements = [element(it) for it in work.elements]
        replies = any(it.req.effects.can_reply for it in elements)
        targets = (NATIVE,) if replies else (NATIVE, WASM)  # on wasm a second filter would be measured, too
        cases += [_case(work, elements, target) for target in targets]
    return cases


def _case(work: Work, elements: Sequence[Element], target: str) -> Case:
    name = f"{work.name}-{target}"
    module = build(print_chain(ChainSource("benchmark", "1", ((METHOD, elements),))), target)
    options = ChainOptions("benchmark", "benchmark", "1", backend_count=1)
    loader = loader_library().stem.removeprefix("lib")
    native = target == NATIVE
    filter_ = native_filter(name, module, options, loader, RUN_KEY) if native else wasm_filter(name, module, options)
    return Case(
        name,
        f"{work.title}, {target}",
        discovered=(filter_,),
        refusals=frozenset(REFUSALS[it] for it in work.elements if it in REFUSALS),
        chooses_host=not _CHOOSE_HOST.isdisjoint(work.elements),
    )


def element(name: str) -> Element:
    """A standard element with its parameters."""
    given = {key: Given(value) for key, value in PARAMETERS.get(name, {}).items()}
    return compile_element(FileSource(SAMPLES / "elements" / f"{name}.appnet"), METHOD, parameters=given).element


def requests() -> list[Request]:
    """Echo messages as in ``benchmarks.dataplane``, with a user and the token that proves it."""
    claim = f"{_USER} {METHOD.full_name}".encode()
    token = hmac.new(_KEY.encode(), claim, hashlib.sha256).hexdigest()
    return [
        Request(
            message(key),
            metadata=((KEY_HEADER, key), ("user", _USER), ("token", token)),
            weight=1 if key == REFUSED_KEY else 3,
        )
        for key in _KEYS
    ]


if __name__ == "__main__":
    plan = Plan(rounds=6, seconds=1.5)
    measure_all("elements", all_cases(), requests(), parser("elements", plan).parse_args())
