"""Presence, groups, closed enums and many messages on the wire: bytes that nobody wrote stay, and protobuf agrees."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from appnet.application.proto import ProtoFile, load_proto
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Rpc
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness.calls import DeliveredBody
from appnet.processors.envoy.harness.native import ModuleUnderTest
from tests.codegen.fixture import frame
from tests.support.programs import program

PROTO = """syntax = "proto2";
package old;
service Old { rpc Call(In) returns (In); }
enum Rank { LOW = 1; HIGH = 5; }
enum State { NONE = 0; SOME = 5; }
message Part { optional string name = 1; optional int32 size = 2; repeated int32 marks = 3; }
message In {
  optional Rank rank = 1;
  repeated Rank ranks = 2;
  repeated Rank packed = 3 [packed = true];
  optional group Box = 4 { optional string name = 1; optional int32 size = 2; }
  repeated group Row = 5 { optional string name = 1; optional int32 size = 2; }
  oneof one { Rank level = 6; string text = 7; Part part = 8; }
  map<string, Part> parts = 9;
  repeated Part list = 10;
  optional string note = 11;
  optional int32 number = 12 [default = 7];
  map<int32, State> ranked = 13;
}
"""
STATE = "n: int\nm: uint\ns: string\nseen: bool"


@cache
def proto() -> ProtoFile:
    return load_proto(TextSource(Path("old.proto"), PROTO))


def message(**fields: Any) -> bytes:
    return proto().message_class("old.In")(**fields).SerializeToString()


def written_out(body: bytes) -> str:
    return str(proto().message_class("old.In").FromString(body))


CASES = {
    "a number without a name is unknown, and forwarded": (
        "n = get(rpc, 'rank')\nseen = has(rpc, 'rank')",
        b"\x08\x05\x08\x07",
        b"\x08\x05\x08\x07",
        {"n": 5, "seen": True},
    ),
    "what is written stands behind it": (
        "set(rpc, 'rank', 1)",
        b"\x08\x05\x08\x07\x5a\x01x",
        b"\x08\x05\x08\x07\x5a\x01x\x08\x01",
        {},
    ),
    "and before what never was": ("set(rpc, 'rank', 3)", b"\x08\x05", b"\x08\x05", {}),
    "clearing leaves it": (
        "clear(rpc, 'rank')\nseen = has(rpc, 'rank')",
        b"\x08\x05\x08\x07",
        b"\x08\x07",
        {"seen": False},
    ),
    "the first number is the default": ("n = get(rpc, 'rank')", b"\x08\x07", b"\x08\x07", {"n": 1}),
    "many of them": (
        "m = size(rpc, 'ranks')\nset(rpc, 'ranks', [1])",
        b"\x10\x05\x10\x07\x10\x01",
        b"\x10\x07\x10\x01",
        {"m": 2},
    ),
    "packed ones": (
        "m = size(rpc, 'packed')\nset(rpc, 'packed', [1, 1])",
        b"\x1a\x03\x05\x07\x01",
        b"\x18\x07\x1a\x02\x01\x01",
        {"m": 2},
    ),
    "entries of a map": (
        "m = size(rpc, 'ranked')\nset(rpc, 'ranked', {3: 5})",
        b"\x6a\x04\x08\x01\x10\x05\x6a\x04\x08\x02\x10\x07",
        b"\x6a\x04\x08\x02\x10\x07\x6a\x04\x08\x03\x10\x05",
        {"m": 1},
    ),
    "a member of a oneof": (
        "seen = has(rpc, 'text')\nset(rpc, 'text', 'b')",
        b"\x3a\x01a\x30\x07",
        b"\x3a\x01a\x30\x07\x3a\x01b",
        {"seen": True},
    ),
    "a group": (
        "s = get(rpc, 'box.name')\nset(rpc, 'box.size', 300)",
        b"\x23\x0a\x01a\x24\x5a\x01x",
        b"\x23\x0a\x01a\x10\xac\x02\x24\x5a\x01x",
        {"s": b"a"},
    ),
    "a group that is made": (
        "set(rpc, 'box.size', 3)\nseen = has(rpc, 'box')",
        b"",
        b"\x23\x10\x03\x24",
        {"seen": True},
    ),
    "many groups": (
        "m = size(rpc, 'row')\nset(rpc, 'row.size', [4, 5])",
        b"\x2b\x0a\x01a\x2c\x5a\x01x\x2b\x10\x01\x2c",
        b"\x2b\x0a\x01a\x10\x04\x2c\x5a\x01x\x2b\x10\x05\x2c",
        {"m": 2},
    ),
    "a Vec of another size": ("set(rpc, 'row.size', [4])", b"\x2b\x2c\x2b\x2c", b"\x2b\x2c\x2b\x2c", {}),
    "the last for each key": (
        "m = size(rpc, 'parts')\nset(rpc, 'parts.values.size', [8])",
        message(parts={"k": {"name": "old"}}) + message(parts={"k": {"name": "new"}}),
        message(parts={"k": {"name": "old"}}) + message(parts={"k": {"name": "new", "size": 8}}),
        {"m": 1},
    ),
    "those of each, one after the other": (
        "m = size(get(rpc, 'list.marks'))\nset(rpc, 'list.marks', [7, 8, 9])",
        message(list=[{"marks": [1, 2]}, {"name": "x"}, {"marks": [3]}]),
        message(list=[{"marks": [7, 8]}, {"name": "x"}, {"marks": [9]}]),
        {"m": 3},
    ),
    "a message with all that is in it": (
        "seen = has(rpc, 'part')\nclear(rpc, 'part')\nm = size(rpc, 'list')\nclear(rpc, 'list')",
        message(part={"name": "a"}, note="n", list=[{}, {}]),
        message(note="n"),
        {"seen": True, "m": 2},
    ),
    "what a oneof's member took the place of": ("clear(rpc, 'part')", b"\x3a\x01a\x42\x00\x30\x07", b"\x30\x07", {}),
    "nor does it come back by another": (
        "set(rpc, 'text', 'b')\nset(rpc, 'part.size', 2)\ns = get(rpc, 'part.name')",
        message(part={"name": "secret"}),
        message(part={"size": 2}),
        {"s": b""},
    ),
    "a default": ("seen = has(rpc, 'number')\nn = get(rpc, 'number')", b"", b"", {"seen": False, "n": 7}),
    "its own default is there": ("set(rpc, 'number', 7)\nseen = has(rpc, 'number')", b"", b"\x60\x07", {"seen": True}),
    "what is not there is not cleared": ("clear(rpc, 'note')\nclear(rpc, 'box')", b"\x08\x05", b"\x08\x05", {}),
    "the size as it came": ("set(rpc, 'note', 'long')\nm = byte_size(rpc)", b"\x5a\x01a", b"\x5a\x04long", {"m": 3}),
}


def element(name: str, req: str) -> Element:
    signature = proto().method("Call")
    return compile_element(TextSource(Path(f"{name}.appnet"), program(req, state=STATE)), signature, name="it").element


@pytest.mark.parametrize("name", CASES)
def test_bytes_before_and_after(name: str) -> None:
    req, before, after, state = CASES[name]
    signature = proto().method("Call")
    chain = ModuleUnderTest(build(print_chain(ChainSource("it", "1", [(signature, [element("it", req)])])), "native"))
    call = chain.call()
    assert call.run_request(signature.full_name, {}, [frame(before)]) == DeliveredBody(frame(after), {})
    call.end()
    written_out(after)  # which protobuf can read
    dumped = dict(line.removeprefix("it.").split(" = ", 1) for line in chain.state_dump().splitlines())
    assert {key: dumped[key] for key in state} == {key: _text(value) for key, value in state.items()}


def _text(value: Any) -> str:
    return f'"{value.hex()}"' if isinstance(value, bytes) else str(value).lower()


@pytest.mark.parametrize("size", [0, 2, 3])
def test_the_interpreter_writes_each_where_there_are_as_many(size: int) -> None:
    chain = ChainInstance([element("it", f"set(rpc, 'list.size', [{', '.join('5' * size)}])")], Environment(lambda: 0))
    rpc = Rpc(proto().method("Call"), {"list": 2, "list.size": [1, 0]})
    outcome = chain.request(rpc)
    assert outcome == Forwarded({"list.size": [5, 5]} if size == 2 else {})


def test_an_error_response_has_no_field_and_loses_none() -> None:
    text = program(state=STATE, resp="seen = has(rpc, 'box')\nm = size(rpc, 'list')\nclear(rpc, 'box')")
    it = compile_element(TextSource(Path("it.appnet"), text), proto().method("Call"), name="it").element
    chain = ChainInstance([it], Environment(lambda: 0))
    rpc = Rpc(proto().method("Call"))
    chain.request(rpc)
    rpc.message = {}
    assert chain.response(rpc, 5) == Forwarded({})
    assert chain.state_of("it") == {"n": 0, "m": 0, "s": b"", "seen": False}
