"""Elements for tests of the analysis."""

from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from tests.support.programs import program
from tests.support.signatures import KV


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
