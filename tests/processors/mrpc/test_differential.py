"""The host in Rust does what the interpreter does: every verdict, field, record and state, on both sides."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from appnet.application.model import Side
from appnet.ir.needs import Need, needs
from appnet.language.messages import Field
from appnet.language.types import VecType
from appnet.processors.mrpc import requests
from appnet.processors.mrpc.bincode import Writer
from appnet.processors.mrpc.bundle import function_id
from appnet.processors.mrpc.engines import ENGINE, TARGETS
from tests.processors.mrpc.chains import ECHO, LAYOUTS, Module, compile_chains
from tests.processors.mrpc.compare import SEED, Comparison, Host
from tests.processors.mrpc.crate import METHODS, NEEDS_CARGO, HostError, encode, index_of
from tests.support.programs import program

pytestmark = NEEDS_CARGO

ELEMENTS = Path(__file__).parents[3] / "config/samples/elements"
ROUNDS = int(os.environ.get("APPNET_MRPC_ROUNDS", "1"))
"""More of them for `make fuzz`."""

_HOSTS = {Need.HOSTS, Need.METADATA, Need.ROUTE}


def _on_both(*needed: Need) -> dict[Side, set[Need]]:
    return {side: set(needed) for side in Side}


_BACK: dict[Side, set[Need]] = {Side.CLIENT: {Need.CHANGE_RESPONSE}}
_FORTH: dict[Side, set[Need]] = {Side.SERVER: {Need.CHANGE_REQUEST}}
_LACKING: dict[str, dict[Side, set[Need]]] = {
    "acl": _on_both(Need.METADATA),
    "admission_control": _on_both(Need.STATUS),
    "auth": _on_both(Need.METADATA, Need.STATUS),
    "bandwidth_limit": _on_both(Need.STATUS),
    "cache": _on_both(Need.REPLY),
    "canary": _on_both(*_HOSTS),
    "circuit_breaker": _on_both(Need.STATUS),
    "compress": _BACK | _FORTH,
    "concurrency_limit": _on_both(Need.STATUS),
    "decompress": _BACK | _FORTH,
    "decrypt": _BACK | _FORTH,
    "delay": _on_both(Need.DELAY),
    "encrypt": _BACK | _FORTH,
    "fault": _on_both(Need.STATUS),
    "firewall": {},
    "headers": _on_both(Need.METADATA),
    "logging": {},
    "metrics": {},
    "mirror": _on_both(Need.METADATA),
    "mutation": _FORTH,
    "prequal_client": _on_both(*_HOSTS),
    "prequal_server": _on_both(Need.METADATA),
    "rate_limit": _on_both(Need.STATUS),
    "redact": _BACK,
    "retry_budget": _on_both(Need.METADATA, Need.STATUS),
    "servicerouter_client": _on_both(*_HOSTS),
    "servicerouter_server": _on_both(Need.METADATA),
    "sticky": _on_both(*_HOSTS),
    "timeout": {
        Side.CLIENT: {Need.DEADLINE, Need.STATUS, Need.CHANGE_RESPONSE}, Side.SERVER: {Need.DEADLINE, Need.STATUS},
    },
}  # fmt: skip
"""What each standard element needs that mRPC does not give on a side, which keeps it from there."""

_ASKS_FOR_MORE = {Need.DEADLINE, Need.HOSTS, Need.METADATA, Need.REPLY, Need.ROUTE}
"""What the host does not have either. Codes of refusals and delays it has, though applications do not see the first."""

_SCHEMA = METHODS[LAYOUTS].method(LAYOUTS).request


Body = tuple[str, str]
"""State, and statements of a handler."""


def _counted(field: Field, body: str) -> str:
    return f"if has(rpc, '{field.path}'):\n    times = times + 100\n{body}" if field.presence else body


def _reads(field: Field) -> Body:
    return f"kept: {field.type}\ntimes: int", _counted(field, f"kept = get(rpc, '{field.path}')\ntimes = times + 1")


def _swaps(field: Field) -> Body:
    """Puts what the last call had into this one; within many messages, into the first of them."""
    path = field.path
    if field.within:
        body = f"all = get(rpc, '{path}')\nfirst = get(all, 0, kept)\nset(all, 0, kept)\nkept = first\nset(rpc, '{path}', all)"
        assert isinstance(field.type, VecType)
        return f"kept: {field.type.item}\ntimes: int", body
    body = f"now = get(rpc, '{path}')\nset(rpc, '{path}', kept)\nkept = now\ntimes = times + 1"
    return f"kept: {field.type}\ntimes: int", _counted(field, body)


def _clears(field: Field) -> Body:
    state, reads = _reads(field)
    return state, f"{reads}\nif times % 2 == 0:\n    clear(rpc, '{field.path}')"


def _sent(body: Body, *, server: bool) -> Sequence[str]:
    """A program that has the statements where this side sends messages."""
    state, text = body
    return [program(state=state, resp=f"{text}\nsend(rpc, Up)") if server else program(text, state=state)]


def _field_programs(*, server: bool) -> dict[str, Sequence[str]]:
    """For each field: reads it on both ways; writes it, and clears it, where this side sends the message."""
    found: dict[str, Sequence[str]] = {}
    for number, field in enumerate(_SCHEMA.fields.values()):
        state, reads = _reads(field)
        found[f"reads{number}"] = [program(reads, resp=f"{reads}\nsend(rpc, Up)", state=state)]
        found[f"swaps{number}"] = _sent(_swaps(field), server=server)
        if not field.within:
            found[f"clears{number}"] = _sent(_clears(field), server=server)
    for number, field in enumerate(it for it in _SCHEMA.messages.values() if it.many or not it.within):
        asks = f"if size(rpc, '{field.path}') > 1:" if field.many else f"if has(rpc, '{field.path}'):"
        text = f"{asks}\n    times = times + 1\n"
        found[f"asks{number}"] = _sent(("times: int", text), server=server)
        if not field.within:
            found[f"takes{number}"] = _sent(("times: int", f"{text}    clear(rpc, '{field.path}')"), server=server)
    return found


def _run(comparison: Comparison, calls: int) -> None:
    source = random.Random(SEED)
    for _ in range(ROUNDS):
        for chain in range(len(comparison.module.chains)):
            comparison.run(chain, calls, source)
        comparison.check_state()


@pytest.mark.parametrize("server", [False, True], ids=["client", "server"])
def test_every_kind_of_field(server: bool):
    module = compile_chains(LAYOUTS, _field_programs(server=server))
    comparison = Comparison(module, server)
    _run(comparison, 6)
    assert comparison.seen["written"] > 200
    assert comparison.seen["refused"] > 0  # texts that are not UTF-8


def _text(name: str) -> str:
    return (ELEMENTS / f"{name}.appnet").read_text()


def test_which_standard_elements_mrpc_takes():
    found: dict[str, dict[Side, set[Need]]] = {}
    target = TARGETS[ENGINE]
    for name in sorted(it.stem for it in ELEMENTS.glob("*.appnet")):
        (chain,) = _compiled({name: [_text(name)]}).chains
        asked = {it.need for it in needs(chain.elements[0], chain.signature)}
        lacking = {side: asked - (target.alone - target.not_at[side]) for side in Side}
        found[name] = {side: those for side, those in lacking.items() if those}
    assert found == _LACKING


@pytest.mark.parametrize("side", Side)
def test_standard_elements_alone_and_together(side: Side):
    """All that mRPC takes on this side, and more that the host can run."""
    server = side is Side.SERVER
    taken = {name for name, lacking in _LACKING.items() if side not in lacking}
    can = {name for name, lacking in _LACKING.items() if not (lacking.get(side) or set()) & _ASKS_FOR_MORE}
    texts: dict[str, Sequence[str]] = {name: [_text(name)] for name in sorted(can)}
    texts = {name: chain for name, chain in texts.items() if _fits(_compiled({name: chain}), server=server)}
    assert taken <= set(texts)
    texts["together"] = [text for name in texts for text in texts[name] if name not in {"compress", "decompress"}]
    comparison = Comparison(_compiled(texts), server)
    _run(comparison, 40)
    assert len(texts) > 10
    assert comparison.seen["forwarded"] > 50
    assert comparison.seen["refused"] > 3
    assert comparison.seen["records"] > 10


def _compiled(texts: Mapping[str, Sequence[str]]) -> Module:
    return compile_chains(ECHO, texts)


def _fits(module: Module, *, server: bool) -> bool:
    """Whether the elements write only to messages that this side sends."""
    (element,) = module.chains[0].elements
    handler = element.req if server else element.resp
    return not any(it.written for it in handler.effects.fields)


@pytest.mark.parametrize(
    "name",
    sorted(it for it, lacking in _LACKING.items() if Need.METADATA in lacking.get(Side.CLIENT, ()) and it != "mirror"),
)
def test_what_asks_for_metadata_is_refused_by_the_host_as_well(name: str):
    module = _compiled({name: [_text(name)]})
    with pytest.raises(HostError, match="metadata, peers or deadlines"):
        Host(module, server=False)


def test_messages_whose_metadata_would_be_lost_are_refused():
    """`mirror` only writes metadata: its code does not say so."""
    host = Host(_compiled({"echo": [_text("mirror")]}), server=False)
    message = METHODS[ECHO].bytes_class("echo.Msg")(Body=b"word")
    kind, told = index_of(message.DESCRIPTOR), encode(message)
    outcomes = [host.process.message((1, it), function_id(ECHO), kind, told, goes_out=True) for it in range(100)]
    refused = sum(it is None for it in outcomes)
    report = requests.read_answer(
        (answer := host.process.ask(b"h", Writer().bytes(requests.report("")))).raw(len(answer))
    )
    assert isinstance(report, requests.Report)
    assert 0 < refused <= 100
    assert (report.failed, report.refused) == (refused, 0)
