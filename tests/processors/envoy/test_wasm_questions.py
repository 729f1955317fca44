"""What a wasm chain asks its proxy: each question costs as much as a small chain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language import Given
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import wasm as wasm_harness
from appnet.processors.envoy.harness.calls import Action
from appnet.processors.envoy.targets import WASM
from tests.support.raw_grpc import frame, string_field
from tests.support.signatures import ECHO

ELEMENTS = Path("config/samples/elements")
REQUEST = {
    ":path": b"/echo.EchoService/echo", "content-type": b"application/grpc", "session": b"s1", "x-tenant": b"caller",
}  # fmt: skip
TENANT_GATE = """state:
    pass

init():
    pass

req(rpc):
    tenant = get_metadata(rpc, 'x-tenant')
    match tenant == 'default':
        true => send(rpc, Down)
        false => send(err(tenant, PERMISSION_DENIED), Up)

resp(rpc):
    send(rpc, Up)
"""


def element(name: str, parameters: dict[str, str] | None = None, source: str | None = None) -> Element:
    given = {key: Given(value) for key, value in (parameters or {}).items()}
    path = ELEMENTS / f"{name}.appnet"
    text = FileSource(path) if source is None else TextSource(path, source)
    return compile_element(text, ECHO, parameters=given).element


def instance(elements: Sequence[Element]) -> wasm_harness.ModuleUnderTest:
    source = print_chain(ChainSource("questions", "1", [(ECHO, elements)]))
    return wasm_harness.ModuleUnderTest(build(source, WASM))


def test_headers_are_asked_for_once():
    acl = element("acl", {"header": "session", "allowed": "s1,"})
    chain = instance([acl, *(element(name) for name in ("headers", "firewall"))])
    chain.call().request_headers(REQUEST)  # one call of 64 is timed, and asks for the time twice in each event
    call = chain.call()
    asked = []
    for event in (
        lambda: call.request_headers(REQUEST),
        lambda: call.request_body(frame(string_field(1, b"hello")), end=True),
        lambda: call.response_headers({":status": b"200"}),
    ):
        before = chain.host_calls
        event()
        asked.append(chain.host_calls - before)
    assert asked == [3, 1, 1]  # all headers, the time (calls are timed), and one set; the message; one set
    assert call.request.headers["x-tenant"] == b"default"


def test_what_an_element_set_is_what_the_next_one_reads():
    chain = instance([element("headers"), element("gate", source=TENANT_GATE), element("firewall")])
    call = chain.call()
    assert call.request_headers(REQUEST) is Action.HOLD
    assert call.request_body(frame(string_field(1, b"hello")), end=True) is Action.CONTINUE


def test_held_headers_are_the_calls_own():
    chain = instance([element("firewall"), element("gate", source=TENANT_GATE)])
    stranger, guest = chain.call(), chain.call()
    assert stranger.request_headers(REQUEST) is Action.HOLD
    assert guest.request_headers({**REQUEST, "x-tenant": b"default"}) is Action.HOLD
    message = frame(string_field(1, b"hello"))
    assert stranger.request_body(message, end=True) is Action.REPLY
    assert guest.request_body(message, end=True) is Action.CONTINUE
