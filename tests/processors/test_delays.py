"""A request waits for as long as all its delays together say, on whatever proxy, and callers have no part in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import HeaderMutation

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Rpc
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language.operations.metadata import DELAY, HIDDEN_KEYS, HOST
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import native, wasm
from appnet.processors.envoy.harness.driver import EnvoyDriver
from appnet.processors.envoy.listeners import Sidecar, chain_listener, chain_routes
from appnet.processors.envoy.targets import NATIVE, TARGETS
from appnet.processors.processor import Delivered
from appnet.system.address import ANY_LOCAL_PORT
from tests.support.programs import program
from tests.support.raw_grpc import frame
from tests.support.sample import SAMPLE


def element(text: str) -> Element:
    return compile_element(TextSource(Path("it.appnet"), text), SAMPLE).element


def module(element: Element, target: str) -> bytes:
    return build(print_chain(ChainSource("delays", "1", ((SAMPLE, (element,)),))), target)


HEADERS = {":path": SAMPLE.full_name.encode(), "content-type": b"application/grpc"}
LONGER = element(program(f"delay(rpc, 0.25)\nset_metadata(rpc, 'told', get_metadata(rpc, '{DELAY}'))"))
AT_ONCE = element(program("set_metadata(rpc, 'ok', get(rpc, 'text'))"))
HOSTILE = {DELAY: b"soon", f"{DELAY}-percentage": b"0"}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("element", "wait_ms"), [(LONGER, 250), (AT_ONCE, 0)])
def test_what_a_caller_sends_is_no_delay_and_goes_no_further(element: Element, wait_ms: int, target: str) -> None:
    driver = EnvoyDriver(module(element, target), target, seed=1, hosts=1, now_ns=1)
    judgement = driver.request("it", SAMPLE.full_name, HOSTILE, b"")
    assert isinstance(judgement, Delivered)
    assert (judgement.wait_ms, HIDDEN_KEYS & set(judgement.metadata)) == (wait_ms, set())
    rpc = Rpc(SAMPLE, metadata=dict(HOSTILE))
    ChainInstance([element], Environment(lambda: 1)).request(rpc)
    assert (rpc.wait_ms, rpc.metadata) == (wait_ms, judgement.metadata)


@pytest.mark.parametrize("target", TARGETS)
def test_chains_of_one_proxy_add_up(target: str) -> None:
    harness = native.ModuleUnderTest if target == NATIVE else wasm.ModuleUnderTest
    before = {**HEADERS, DELAY: b"1000"}
    call = harness(module(LONGER, target)).call()
    call.request_headers(before)
    call.request_body(frame(b""), end=True)
    assert call.request.headers == {**HEADERS, DELAY: b"1250", "told": b""}
    call.end()


@pytest.mark.parametrize("delays", [True, False])
def test_no_proxy_passes_on_what_delays(delays: bool) -> None:
    sidecar = Sidecar("ingress", ["chain"], [ANY_LOCAL_PORT], delays=delays)
    manager, early = HttpConnectionManager(), HeaderMutation()
    chain_listener(sidecar).filter_chains[0].filters[0].typed_config.Unpack(manager)
    (extension,) = manager.early_header_mutation_extensions
    extension.typed_config.Unpack(early)
    assert {it.remove for it in early.mutations} == HIDDEN_KEYS
    assert list(chain_routes(sidecar).request_headers_to_remove) == [DELAY, HOST]
