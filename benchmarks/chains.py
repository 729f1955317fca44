"""What chains of four, eight and twelve standard elements cost on the data plane, and what of it is Envoy's own.

    python -m benchmarks.chains [--rounds N] [--seconds X] [--rate X] [--cases a,b] [--record]

As ``benchmarks.dataplane``, which does the measuring: one Envoy for each case, all alive at once. Beside the chains
stand the chain of four by hand, and modules that decide nothing: what Envoy charges for having a module, and for what
the chain of four has to ask of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleFilter
from google.protobuf.wrappers_pb2 import BytesValue

from appnet.processors.envoy.build import HOSTS
from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.native.loader import dynamic_module
from appnet.processors.envoy.targets import WASM
from appnet.processors.options import ChainOptions
from appnet.system.zig import compile_c
from benchmarks.cases import BASELINE, Case
from benchmarks.dataplane import Plan, measure_all, parser
from benchmarks.elements import PARAMETERS, REFUSALS, Work, cases_of, requests

_FILTERS = Path(__file__).parent / "filters"
_FOUR = ("acl", "rate_limit", "headers", "firewall")
_EIGHT = (*_FOUR, "fault", "circuit_breaker", "admission_control", "metrics")
_TWELVE = (*_EIGHT, "concurrency_limit", "retry_budget", "timeout", "redact")
_NOTHING, _ASKS = "a module that does nothing", "what 4 elements ask of Envoy, and nothing else"


def all_cases() -> list[Case]:
    """Router alone, what is Envoy's own, the chain of four by hand, then chains on both targets."""
    chains = [Work(f"chain{len(it)}", f"{len(it)} elements", it) for it in (_FOUR, _EIGHT, _TWELVE)]
    nothing, asks = ("-DASKS=0",), ("-DASKS=1",)
    return [
        Case(BASELINE, "router only", omits="everything"),
        Case("nothing-native", f"{_NOTHING}, native", omits="everything", discovered=(_by_hand("floor", nothing),)),
        Case("asks-native", f"{_ASKS}, native", omits="every decision", discovered=(_by_hand("floor", asks),)),
        Case("nothing-wasm", f"{_NOTHING}, wasm", omits="everything", discovered=(_wasm_floor("nothing", nothing),)),
        Case("asks-wasm", f"{_ASKS}, wasm", omits="every decision", discovered=(_wasm_floor("asks", asks),)),
        Case(
            "chain4-by-hand",
            "4 elements, by hand in C",
            discovered=(_by_hand("four"),),
            refusals=frozenset({REFUSALS["firewall"]}),
        ),
        *cases_of(chains),
    ]


def _by_hand(name: str, flags: Sequence[str] = ()) -> TypedExtensionConfig:
    """A dynamic module as somebody would write it in C for Envoy."""
    library = dynamic_module(f"appnet_{name}", [_FILTERS / f"{name}.c"], flags=flags)
    filter_ = DynamicModuleFilter(filter_name=name)
    filter_.dynamic_module_config.name = library.stem.removeprefix("lib")
    filter_.dynamic_module_config.do_not_close = True
    filter_.filter_config.Pack(BytesValue(value=str(PARAMETERS["acl"]["allowed"]).encode()))
    config = TypedExtensionConfig(name=library.stem)
    config.typed_config.Pack(filter_)
    return config


def _wasm_floor(name: str, flags: Sequence[str]) -> TypedExtensionConfig:
    wasm = HOSTS[WASM]
    module = compile_c('#include "floor_wasm.c"\n', [_FILTERS], ["-O2", "-target", wasm.triple, *wasm.link, *flags])
    return wasm_filter(name, module.read_bytes(), ChainOptions("benchmark", "benchmark", "1", backend_count=1))


if __name__ == "__main__":
    plan = Plan(rounds=10, seconds=1.5)
    measure_all("chains", all_cases(), requests(), parser("chains", plan).parse_args())
