"""What the data plane is compared at: one way each to make an Envoy do the work of the sample chain.

The work: refuse 1 call in 100 with ABORTED "fault_injected"; note the request's and the response's ``Body``; refuse
calls whose ``Body`` is ``test`` with ABORTED "firewall"; note how long the rest took; send the notes to a telemetry
service. Notes and key list are state of the proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.rbac.v3.rbac_pb2 import RBAC as Rules  # noqa: N811
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.message import Message

from appnet.application.load import load
from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.build import build
from appnet.processors.envoy.filters import native_filter, wasm_filter
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.options import ChainOptions
from benchmarks.signing import RUN_KEY

SAMPLE = Path(__file__).parent.parent / "config" / "samples" / "echo" / "sample_echo_sidecar.yaml"
_CHAIN = ("fault", "logging", "firewall", "metrics")
_WITHOUT_NOTES = ("fault", "firewall")

KEY_HEADER = "x-key"
"""Every request carries its key in this header as well, for filters that cannot read the message."""

REFUSED_KEY = "test"
_ABORTED = 10


@dataclass(frozen=True)
class Case:
    """A proxy's filters.

    ``inline`` are configurations that stand in the listener, ``discovered`` ones that come by ECDS, as AppNet's do.
    ``omits`` says in words what part of the work is left out. ``refusals`` end one call in a hundred each.
    ``chooses_host``: calls go to the host that the filters name. ``resources``: what the proxy needs besides.
    """

    name: str
    title: str
    omits: str = ""
    inline: tuple[Message, ...] = ()
    discovered: tuple[TypedExtensionConfig, ...] = ()
    refusals: frozenset[tuple[int, str]] = field(default=frozenset())
    chooses_host: bool = False
    resources: tuple[Message, ...] = ()


BASELINE = "router"


def all_cases() -> list[Case]:
    """Router alone, AppNet's chain in its two forms, Lua, Envoy's own filters."""
    chain = frozenset({(_ABORTED, "fault_injected"), (_ABORTED, "firewall")})
    own = frozenset({(_ABORTED, "fault filter abort"), (7, "RBAC: access denied")})
    options = ChainOptions("benchmark", "benchmark", "1", backend_count=1)
    loader = loader_library().stem.removeprefix("lib")
    native = native_filter("native", chain_module(NATIVE), options, loader, RUN_KEY)
    wasm = wasm_filter("wasm", chain_module(WASM), options)
    quiet_native = native_filter("native-quiet", chain_module(NATIVE, _WITHOUT_NOTES), options, loader, RUN_KEY)
    quiet_wasm = wasm_filter("wasm-quiet", chain_module(WASM, _WITHOUT_NOTES), options)
    return [
        Case(BASELINE, "router only", omits="everything"),
        Case("native", "AppNet, native module", discovered=(native,), refusals=chain),
        Case("wasm", "AppNet, WebAssembly", discovered=(wasm,), refusals=chain),
        Case(
            "native-quiet",
            "AppNet, native, fault and firewall",
            discovered=(quiet_native,),
            omits="no notes",
            refusals=chain,
        ),
        Case(
            "wasm-quiet",
            "AppNet, WebAssembly, fault and firewall",
            discovered=(quiet_wasm,),
            omits="no notes",
            refusals=chain,
        ),
        Case("lua", "Envoy's Lua filter", inline=(_lua(),), refusals=chain),
        Case(
            "envoy",
            "Envoy's fault and RBAC filters",
            omits=f"no notes; refuses by the header {KEY_HEADER}, since RBAC cannot read messages",
            inline=(_fault(), _rbac()),
            refusals=own,
        ),
    ]


def chain_module(target: str, names: Sequence[str] = _CHAIN) -> bytes:
    """These elements of the sample as one chain, built as users get it."""
    edge = load(FileSource(SAMPLE)).chains[0]
    elements = tuple(edge.elements[name] for name in names)
    return build(print_chain(ChainSource("benchmark", "1", ((edge.method, elements),))), target)


def _lua() -> Lua:
    lua = Lua()
    lua.default_source_code.inline_string = (Path(__file__).parent / "filters" / "chain.lua").read_text()
    return lua


def _fault() -> HTTPFault:
    fault = HTTPFault()
    fault.abort.grpc_status = _ABORTED
    fault.abort.percentage.numerator = 1
    fault.abort.percentage.denominator = FractionalPercent.HUNDRED
    return fault


def _rbac() -> RBAC:
    rbac = RBAC()
    rbac.rules.action = Rules.DENY
    policy = rbac.rules.policies["keys"]
    header = policy.permissions.add().header
    header.name = KEY_HEADER
    header.string_match.exact = REFUSED_KEY
    policy.principals.add().any = True
    return rbac
