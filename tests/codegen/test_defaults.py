"""What fields read as where the message does not have them: as protobuf says, interpreted and on both targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appnet.application.proto import ProtoFile, load_proto
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import FileSource, TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Refused, Rpc
from appnet.ir.compile import compile_element
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import native as native_harness
from appnet.processors.envoy.harness import wasm as wasm_harness
from appnet.processors.envoy.harness.calls import DeliveredBody
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.processor import Denied
from tests.codegen.fixture import frame
from tests.support.programs import program

PROTO = r"""
syntax = "proto2";
package old;
message Inner { optional string word = 1 [default = "in\"ner\n"]; required int32 must = 2; }
message Old {
  optional string name = 1 [default = "caf\303\251"];
  optional bytes raw = 2 [default = "\000\377z"];
  optional int64 low = 3 [default = -9223372036854775808];
  optional uint64 high = 4 [default = 18446744073709551615];
  optional bool yes = 5 [default = true];
  optional double far = 6 [default = -inf];
  optional float near = 7 [default = 1.1];
  optional sint32 plain = 8;
  optional Inner inner = 9;
  optional double minus = 10 [default = -0.0];
}
service Archive { rpc Keep(Old) returns (Old); }
"""
SHOWN = ("name", "low", "high", "yes", "far", "near", "plain", "inner.word", "inner.must", "minus")
ALL = "text = to_string(get(rpc, 'raw'))\n" + "\n".join(
    f"text = concat(concat(text, '|'), to_string(get(rpc, '{path}')))" for path in SHOWN
)
REFUSES = f"{ALL}\nsend(err(text), Up)"


@pytest.fixture(scope="module")
def proto(tmp_path_factory: pytest.TempPathFactory) -> ProtoFile:
    path = tmp_path_factory.mktemp("proto") / "old.proto"
    path.write_text(PROTO)
    return load_proto(FileSource(path))


def text_of(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, float):
        return (f"{value:.6f}").encode()
    return value if isinstance(value, bytes) else str(value).encode()


def read(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = getattr(message, name)
    return message


@pytest.mark.parametrize("target", [NATIVE, WASM])
@pytest.mark.parametrize("present", [False, True])
def test_absent_fields_read_as_the_declared_defaults(proto: ProtoFile, target: str, present: bool) -> None:
    message = proto.message_class("old.Old")()
    if present:  # and zeros that are there are no defaults
        message.name, message.low, message.high, message.yes, message.far, message.near = "", 0, 0, False, 0.0, 0.0
        message.inner.word = "w"
    signature = proto.method("Keep")
    element = compile_element(TextSource(Path("it.appnet"), program(REFUSES)), signature).element
    expected = b"|".join([message.raw, *(text_of(read(message, path)) for path in SHOWN)])
    values = {path: read(message, path) for path in ("name", "low", "high", "yes", "far", "near") if present}
    if present:
        values |= {"name": b"", "inner.word": b"w"}
    outcome = ChainInstance([element], Environment(lambda: 0)).request(Rpc(signature, values))
    assert outcome == Refused(10, expected)
    chain = harness(target)(build(print_chain(ChainSource("it", "1", [(signature, [element])])), target))
    call = chain.call()
    assert call.run_request(signature.full_name, {}, [frame(message.SerializePartialToString())]) == Denied(
        10, expected
    )
    call.end()


@pytest.mark.parametrize("target", [NATIVE, WASM])
def test_an_error_response_reads_as_the_declared_defaults(proto: ProtoFile, target: str) -> None:
    signature = proto.method("Keep")
    source = program(resp="send(err(get(rpc, 'name'), DATA_LOSS), Up)")
    element = compile_element(TextSource(Path("it.appnet"), source), signature).element
    chain = ChainInstance([element], Environment(lambda: 0))
    rpc = Rpc(signature)
    assert isinstance(chain.request(rpc), Forwarded)
    assert chain.response(rpc, 14) == Refused(15, "café".encode())
    module = harness(target)(build(print_chain(ChainSource("it", "1", [(signature, [element])])), target))
    call = module.call()
    assert isinstance(call.run_request(signature.full_name, {}, [frame(b"")]), DeliveredBody)
    assert call.run_response({}, [], 14) == Denied(15, "café".encode())
    call.end()


def harness(target: str) -> Any:
    return native_harness.ModuleUnderTest if target == NATIVE else wasm_harness.ModuleUnderTest
