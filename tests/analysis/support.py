"""Elements for tests of the analysis."""

from collections.abc import Iterator
from pathlib import Path

from appnet.analysis.decision import Counterexample
from appnet.analysis.runs import Runs
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from tests.support.programs import program
from tests.support.signatures import KV


def random_runs(
    first: Element, second: Element, method: MethodSignature, *, seed: int, from_init: int, from_states: int
) -> Iterator[Counterexample]:
    """So many random runs, of values that the two elements may care about; what came of them is left empty."""
    runs = Runs(first, second, method, seed)
    for number in range(from_init + from_states):
        yield runs.one(from_init=number < from_init)


def element(name: str, req: str = "", **parts: str) -> Element:
    """An element of `/kv.Store/get`; see `program` for the parts."""
    return compile_element(TextSource(Path(f"{name}.appnet"), program(req, **parts)), KV).element


COUNTER = element("counter", "calls = calls + 1", state="calls: int")
FIREWALL = element(
    "firewall",
    """
    match get(rpc, 'key') == 'bad':
        true => send(err('firewall', PERMISSION_DENIED), Up)
        false => pass
    """,
)
FAULT = element(
    "fault",
    """
    match randomf(0, 1) < 0.5:
        true => send(err('fault', UNAVAILABLE), Up)
        false => pass
    """,
)
LOG = element("log", "set(keys, size(keys), get(rpc, 'key'))", state="keys: Vec<string>")
STAMP = element("stamp", "set_metadata(rpc, 'X-Stamp', to_string(get(rpc, 'score')))")
