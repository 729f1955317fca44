"""The table of a chain for hosts that have decoded messages, used directly: no gRPC frame, no HTTP, no protobuf."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appnet.application.proto import load_proto
from appnet.codegen.c import ChainSource, print_chain
from appnet.codegen.c.build import RUNTIME, compile_library
from appnet.codegen.c.slots import Instance, Judgement, SlotCall, SlotChain, SlotField, Verdict
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from appnet.language.messages import MethodSignature
from appnet.observe import otlp
from appnet.processors.envoy.build import build
from appnet.processors.envoy.targets import NATIVE
from tests.support.programs import program
from tests.support.sample import SAMPLE

FIELDS = {path: it.numbers for path, it in SAMPLE.request.fields.items()}
BACKENDS = 3


def chain_of(*sources: str, method: MethodSignature = SAMPLE) -> SlotChain:
    elements = [
        compile_element(TextSource(Path("e.appnet"), source), method, name=f"e{number}").element
        for number, source in enumerate(sources)
    ]
    return SlotChain(build(print_chain(ChainSource("chain", "7", [(method, elements)])), NATIVE))


def instance_of(*sources: str, method: MethodSignature = SAMPLE) -> Instance:
    chain = chain_of(*sources, method=method)
    return Instance(chain, now_ns=lambda: 10**9, wall_ns=lambda: 10**18, backend_count=BACKENDS)


def call_of(
    instance: Instance, metadata: dict[str, bytes] | None = None, answered: dict[str, bytes] | None = None
) -> SlotCall:
    (method,) = instance.chain.methods.values()
    return instance.call(method, {} if metadata is None else metadata, {} if answered is None else answered)


def message(fields: Mapping[str, Any]) -> dict[tuple[int, ...], Any]:
    return {FIELDS[path]: value for path, value in fields.items()}


def forwards(**fields: Any) -> Judgement:
    return Judgement(Verdict.FORWARD, message({path.replace("__", "."): it for path, it in fields.items()}))


# --- the table ---


def test_the_table_tells_what_a_host_needs_to_know() -> None:
    req = "set(rpc, 'inner.deep.weight', size(get(rpc, 'tags')) + size(get(rpc, 'text')))"
    resp = "if status(rpc) == 3:\n    set(rpc, 'counts', get(rpc, 'counts'))"
    chain = chain_of(program(req, resp=resp))
    assert (chain.name, chain.version) == ("chain", "7")
    (method,) = chain.methods.values()
    assert method.path == SAMPLE.full_name
    request = method.request
    assert set(request.fields) == {
        SlotField((30,), "string", True, None),
        SlotField((1,), "string", False, None),
        SlotField((13, 2047, 16), "uint32", False, None),
    }
    assert (request.needs_message, request.holds, request.empty, request.streams) == (True, False, False, False)
    assert method.response.fields == (SlotField((31,), "int64", True, "string"),)
    assert method.response.needs_status
    assert method.reply.fields == ()


def test_sides_that_do_nothing_and_stream_say_so() -> None:
    (method,) = chain_of(program(), method=replace(SAMPLE, server_streaming=True)).methods.values()
    assert method.request.empty
    assert not method.request.streams
    assert method.response.streams


def test_a_table_of_another_abi_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "other.c"
    source.write_text('#include "chain.h"\n__attribute__((visibility("default"))) extern const an_chain appnet_chain;\n'
                      "const an_chain appnet_chain = {.abi = AN_CHAIN_ABI + 1, .size = sizeof(an_chain)};\n")  # fmt: skip
    with pytest.raises(ValueError, match="a chain of ABI 3 is needed, not of 4"):
        SlotChain(compile_library([source], include=[RUNTIME]))


def test_no_call_is_made_of_a_method_that_there_is_not() -> None:
    instance = instance_of(program())
    assert not instance.chain.table.call_new(instance.handle, 1, 0)


# --- fields ---


def test_values_of_every_kind_come_and_go() -> None:
    numbers = {
        "small": -(2**31), "count": -(2**63), "port": 2**32 - 1, "big": 2**64 - 1, "swing": -1, "sway": 2**63 - 1,
        "plain": 7, "wide": 2**64 - 1, "drop": -7, "fall": -(2**40), "level": 7, "yes": True, "narrow": 0.5,
        "ratio": -0.0, "text": b"\xff\0", "blob": b"", "inner.deep.word": b"deep",
    }  # fmt: skip
    lines = "\n".join(f"set(rpc, '{path}', get(rpc, '{path}'))" for path in numbers)
    call = call_of(instance_of(program(lines)))
    judged = call.request(message(numbers))
    assert judged == Judgement(Verdict.FORWARD, message(numbers))
    assert str(judged.written[FIELDS["ratio"]]) == "-0.0"
    call.end()


def test_what_is_written_is_what_the_field_can_hold() -> None:
    call = call_of(instance_of(program("set(rpc, 'small', 4294967297)\nset(rpc, 'narrow', 0.1)")))
    assert call.request({}) == forwards(small=1, narrow=ctypes.c_float(0.1).value)
    call.end()


def test_lists_and_maps_come_and_go_in_their_order() -> None:
    req = """
tags = get(rpc, 'tags')
set(tags, size(tags), 'more')
set(rpc, 'tags', tags)
counts = get(rpc, 'counts')
set(counts, 'b', 5)
set(rpc, 'counts', counts)
weights = get(rpc, 'weights')
delete(weights, 2)
set(rpc, 'weights', weights)
flags = get(rpc, 'inner.flags')
set(rpc, 'inner.flags', flags)
set(rpc, 'steps', get(rpc, 'steps'))
"""
    call = call_of(instance_of(program(req)))
    given = {
        "tags": [b"a", b"\xff" * 300], "counts": {b"b": 1, b"a": -2}, "weights": {2: 0.5}, "inner.flags": [True, False],
    }  # fmt: skip
    judged = call.request(message(given))
    assert judged == forwards(
        tags=[b"a", b"\xff" * 300, b"more"],
        counts={b"a": -2, b"b": 5},
        weights={},
        inner__flags=[True, False],
        steps=[],
    )
    assert list(judged.written[FIELDS["counts"]]) == [b"a", b"b"]  # the newest last
    call.end()


def test_absent_fields_read_as_declared(tmp_path: Path) -> None:
    proto = tmp_path / "old.proto"
    proto.write_text('syntax = "proto2";\npackage old;\nservice S { rpc Do(M) returns (M); }\n'
                     'message M { optional string name = 1 [default = "ann"]; optional int32 age = 2 [default = -3]; }\n')  # fmt: skip
    method = load_proto(FileSource(proto)).method("Do")
    call = call_of(
        instance_of(program("send(err(concat(get(rpc, 'name'), to_string(get(rpc, 'age')))), Up)"), method=method)
    )
    assert call.request({(2,): 0}).text == b"ann0"
    assert call.request({}).text == b"ann-3"
    call.end()


def test_a_written_member_of_a_oneof_ends_the_others() -> None:
    call = call_of(instance_of(program("set(rpc, 'points', 3)\nset(rpc, 'text', get(rpc, 'cash'))")))
    judged = call.request(message({"cash": b"all"}))
    assert replace(judged, cleared=()) == forwards(points=3, text=b"")
    assert FIELDS["cash"] in judged.cleared
    call.end()


# --- verdicts ---


def test_a_refusal_ends_the_call_and_passes_those_who_had_forwarded() -> None:
    counts = program(
        "send(rpc, Down)", state="errors: int", init="errors = 0", resp="if status(rpc) == 7:\n    errors = errors + 1"
    )
    refuses = program("send(err(get(rpc, 'text'), PERMISSION_DENIED), Up)")
    instance = instance_of(counts, refuses)
    call = call_of(instance)
    assert call.request(message({"text": b"no \xff"})) == Judgement(Verdict.REFUSE, {}, 7, b"no \xff")
    call.end()
    assert instance.state_dump() == "e0.errors = 1\n"


REPLIES = """state:
    pass
init():
    pass
req(rpc):
    answer = reply()
    set(answer, 'text', 'mine')
    set(answer, 'tags', get(rpc, 'tags'))
    set(answer, 'cash', 'gone')
    send(answer, Up)
resp(rpc):
    send(rpc, Up)
"""


def test_a_reply_passes_those_who_had_forwarded() -> None:
    changes = program(resp="set(rpc, 'extra', get(rpc, 'text'))\nset(rpc, 'points', size(get(rpc, 'tags')))")
    call = call_of(instance_of(changes, REPLIES))
    judged = call.request(message({"tags": [b"a", b"b"]}))
    assert judged.verdict is Verdict.ANSWER
    assert judged.written == message(
        {"text": b"mine", "tags": [b"a", b"b"], "cash": b"gone", "extra": b"mine", "points": 2}
    )
    assert list(judged.written) == [FIELDS[it] for it in ("text", "tags", "cash", "extra", "points")]
    call.end()


def test_a_reply_can_be_refused_on_its_way_back() -> None:
    refuses = program(resp="send(err(get(rpc, 'text'), ABORTED), Up)")
    call = call_of(instance_of(refuses, REPLIES))
    assert call.request({}) == Judgement(Verdict.REFUSE, {}, 10, b"mine")
    call.end()


def test_a_response_passes_all_where_no_request_was_judged() -> None:
    instance = instance_of(program(resp="set(rpc, 'count', get(rpc, 'count') + 1)"))
    call = call_of(instance)
    assert instance.chain.methods[SAMPLE.full_name].request.empty
    assert call.open().verdict is Verdict.FORWARD
    assert call.response(message({"count": 41})) == forwards(count=42)
    call.end()


def test_an_error_response_has_no_fields() -> None:
    resp = "text = concat(get(rpc, 'text'), to_string(status(rpc)))\nset(rpc, 'text', 'lost')\nsend(err(text, ABORTED), Up)"
    call = call_of(instance_of(program(resp=resp)))
    call.request({})
    assert call.end_response(14) == Judgement(Verdict.REFUSE, {}, 10, b"14")
    call.end()


# --- around messages ---


def test_metadata_are_the_hosts() -> None:
    req = "who = get_metadata(rpc, 'Who')\nset_metadata(rpc, 'Seen', who)\nset_metadata(rpc, 'grpc-x', 'reserved')"
    resp = "set_metadata(rpc, 'back', get_metadata(rpc, 'from'))"
    metadata, answered = {"who": b"ann"}, {"from": b"me"}
    call = call_of(instance_of(program(req, resp=resp)), metadata, answered)
    call.request({})
    assert metadata == {"who": b"ann", "seen": b"ann"}
    assert answered == {"from": b"me"}
    call.response({})
    assert answered == {"from": b"me", "back": b"me"}
    call.end()


def test_a_call_counts_for_its_host_until_its_response_ends() -> None:
    counts = """
(load, _since) = get_load(2)
set(loads, size(loads), load)
set_metadata(rpc, 'dst', get(rpc, 'text'))
"""
    instance = instance_of(program(counts, state="loads: Vec<int>"), method=replace(SAMPLE, server_streaming=True))
    streamed, failed, cut = (call_of(instance) for _ in range(3))
    for call in (streamed, failed, cut):
        call.request(message({"text": b"2"}))
        assert call.destination == 2
    assert loads(instance) == [0, 1, 2]
    streamed.response({})
    other = call_of(instance)
    other.request(message({"text": b"9"}))
    assert other.destination is None
    assert streamed.end_response(0).verdict is Verdict.FORWARD
    assert failed.end_response(14).verdict is Verdict.FORWARD
    other.request(message({"text": b"9"}))
    cut.end()
    other.request(message({"text": b"9"}))
    assert loads(instance) == [3, 1, 0]
    for call in (streamed, failed, other):
        call.end()


def loads(instance: Instance) -> list[int]:
    """What was recorded since the last time."""
    batch = otlp.ExportLogsServiceRequest.FromString(instance.take_telemetry())
    return [it.body.int_value for it in batch.resource_logs[0].scope_logs[0].log_records]


def test_records_and_state_leave_by_the_table() -> None:
    record = program(
        "set(seen, size(seen), get(rpc, 'text'))\nlast = get(rpc, 'text')",
        state="seen: Vec<string>\nlast: string",
        init="pass",
    )
    instance = instance_of(record)
    assert instance.take_telemetry() == b""
    call = call_of(instance)
    call.request(message({"text": b"ann"}))
    call.end()
    batch = otlp.ExportLogsServiceRequest.FromString(instance.take_telemetry())
    (scope,) = batch.resource_logs[0].scope_logs
    assert scope.scope.name == "e0.seen"
    assert [(it.body.string_value, it.time_unix_nano) for it in scope.log_records] == [("ann", 10**18)]
    assert instance.take_telemetry() == b""
    assert instance.state_dump() == 'e0.last = "616e6e"\n'


def test_what_is_kept_of_a_stream_lasts_while_messages_go() -> None:
    keeps = program(
        "set(first, rpc_id(), get(first, rpc_id(), get(rpc, 'text')))\nset(rpc, 'text', get(first, rpc_id(), ''))",
        state="first: Map<uint, string>",
    )
    instance = instance_of(keeps, method=replace(SAMPLE, client_streaming=True))
    call = call_of(instance)
    for number in range(200):
        assert call.request(message({"text": b"%d" % number * 100})) == forwards(text=b"0" * 100)
    call.end()
