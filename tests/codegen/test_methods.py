"""An element on several methods: one state, whatever the messages; on both targets as by the interpreter."""

from pathlib import Path

import pytest

from appnet.application.proto import load_proto
from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.diagnostic import InternalError
from appnet.diagnostics.source import FileSource, TextSource
from appnet.interpret import ChainInstance, Environment, Refused, Rpc, dump
from appnet.ir import compile_element
from appnet.processors.processor import Denied
from tests.differential.compare import AS_HTTP, BACKENDS, SEED, Subject
from tests.support.calls import Clock
from tests.support.raw_grpc import frame, string_field

PROTO = """syntax = "proto3";
package shop;
service Shop { rpc get(Key) returns (Key); rpc put(Entry) returns (Key); }
message Key { string key = 1; }
message Entry { int64 value = 1; string key = 7; }
"""
QUOTA = """state:
    seen: Map<string, int>
    @capacity(2)
    last: Vec<string>
    calls: Vec<string>

init():
    pass

req(rpc):
    key = get(rpc, 'key')
    count = get(seen, key, 0) + 1
    set(seen, key, count)
    set(calls, size(calls), method())
    match count <= 2:
        true => send(rpc, Down)
        false => send(err(method(), RESOURCE_EXHAUSTED), Up)

resp(rpc):
    send(rpc, Up)
"""
CALLS = [("get", "a"), ("put", "a"), ("get", "a"), ("put", "a"), ("put", "b"), ("get", "b"), ("get", "b")]
KEY_NUMBERS = {"get": 1, "put": 7}


@pytest.fixture
def methods(tmp_path: Path):
    file = tmp_path / "shop.proto"
    file.write_text(PROTO)
    return {name: load_proto(FileSource(file)).method(name) for name in ("get", "put")}


@pytest.mark.parametrize("subject", AS_HTTP, ids=lambda subject: subject.name)
def test_one_state_for_all_methods(subject: Subject, methods):
    bound = {
        name: (signature, [compile_element(TextSource(Path("quota.appnet"), QUOTA), signature).element])
        for name, signature in methods.items()
    }
    module = subject.harness(
        subject.compile(print_chain(ChainSource("quota", "1", list(bound.values())))),
        seed=SEED, backend_count=BACKENDS, now_ns=0,
    )  # fmt: skip
    others = {signature.full_name: elements for signature, elements in bound.values()}
    reference = ChainInstance(bound["get"][1], Environment(Clock(), SEED, BACKENDS), others=others)
    refusals = []
    for name, key in CALLS:
        signature = methods[name]
        expected = reference.request(Rpc(signature, {"key": key.encode()}))
        call = module.call()
        got = call.run_request(signature.full_name, {}, [frame(string_field(KEY_NUMBERS[name], key.encode()))])
        refused = isinstance(expected, Refused)
        refusals.append(refused)
        assert isinstance(got, Denied) is refused
        if isinstance(expected, Refused):
            assert got == Denied(expected.code, expected.text)
        call.end()
    assert refusals == [False, False, True, True, False, False, True]
    assert module.state_dump() == dump(reference)
    assert [value for _, value in module.records()] == [methods[name].full_name for name, _ in CALLS]


def test_an_element_of_another_state_is_another_element(methods):
    other = QUOTA.replace("calls: Vec<string>", "calls: Vec<string>\n    more: int")
    sources = {"get": QUOTA, "put": other}
    bound = [
        (signature, [compile_element(TextSource(Path("quota.appnet"), sources[name]), signature).element])
        for name, signature in methods.items()
    ]
    with pytest.raises(InternalError, match="same state on all methods"):
        print_chain(ChainSource("quota", "1", bound))
