"""The spans of native modules: whose trace they are part of, what they say, and what goes on as the context."""

from __future__ import annotations

import random
import struct
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from appnet.application.model import EdgeEnd, Side
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.ir.compile import compile_element
from appnet.observe.spans import Span, decode_spans
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness.native import ModuleUnderTest
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.options import ChainOptions
from tests.support.sample import SAMPLE
from tests.support.wire import encode

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = (f"00-{TRACE}-{PARENT}-{flags}" for flags in ("01", "00"))
ZEROS = f"00-{'0' * 32}-{PARENT}-01"
SECRET = "open-sesame-7781"
ALL = 2**32 - 1

GUARD = """
state:
    seen: Map<string, int>

init():
    pass

req(rpc):
    match get(rpc, 'text') == 'bad':
        true => send(err(get(rpc, 'extra'), PERMISSION_DENIED), Up)
        false =>
            foreach(get(rpc, 'tags'), lambda(tag):
                match tag == 'known':
                    true => set(seen, tag, 1)
                    false => pass
            )
            send(rpc, Down)

resp(rpc):
    match status(rpc) == 0:
        true => send(rpc, Up)
        false => send(rpc, Up)
"""
OTHER = """
state:
    unused: int

init():
    pass

req(rpc):
    match get(rpc, 'count') > 10:
        true => send(rpc, Down)
        false => send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@cache
def binary(*programs: str) -> bytes:
    elements = [
        compile_element(TextSource(Path(f"{name}.appnet"), it), SAMPLE, name=name).element
        for name, it in zip(("other", "guard"), programs, strict=False)
    ]
    return build(print_chain(ChainSource("probe", "1", [(SAMPLE, elements)])), NATIVE)


def chain(side: Side = Side.CLIENT, programs: tuple[str, ...] = (OTHER, GUARD)) -> ModuleUnderTest:
    end = EdgeEnd("shop", "stock", side)
    resource = ChainOptions("shop", "shop-sidecar", "v1", end=end).resource()
    return ModuleUnderTest(binary(*programs), resource=resource)


def call(module: ModuleUnderTest, metadata: dict[str, str], **fields: Any) -> tuple[Any, dict[str, str], list[Span]]:
    """What became of a call, the metadata that went on, and the spans that the module has made."""
    encoded = {key: it.encode("latin-1") for key, it in metadata.items()}
    body = encode(random.Random(1), {key: it.encode() if isinstance(it, str) else it for key, it in fields.items()})
    one = module.call()
    done = one.run_request(SAMPLE.full_name, encoded, [b"\0" + struct.pack(">I", len(body)) + body], b"host")
    passed = {key: it.decode("latin-1") for key, it in one.request.headers.items()}
    module.now_ns += 2_000_000
    if "bad" not in fields.values():
        one.run_response({}, [b"\0\0\0\0\0"], 0)
    one.end()
    spans = decode_spans(module.take_spans())
    return done, passed, spans


def events(span: Span) -> list[tuple[Any, ...]]:
    names = ("element", "handler", "row", "verdict")
    return [tuple(it.attributes.get(f"appnet.{name}") for name in names) for it in span.events]


def test_a_sampled_call_makes_a_span_that_goes_on_as_the_parent() -> None:
    module = chain()
    _, passed, (span,) = call(module, {"traceparent": SAMPLED, "tracestate": "a=b"}, text="good")
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert passed["traceparent"] == f"00-{TRACE}-{span.span_id}-01"
    assert passed["tracestate"] == "a=b"
    assert span.span_id not in {PARENT, "0" * 16}
    assert span.end_ns - span.start_ns == 2_000_000
    assert (span.name, span.kind, span.failed) == (SAMPLE.full_name.lstrip("/"), 3, False)
    assert span.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": SAMPLE.full_name.lstrip("/"),
        "rpc.response.status_code": "OK",
        "appnet.chain": "probe",
    }
    resource = dict(span.resource)
    assert len(str(resource.pop("service.instance.id"))) == 16
    assert resource == {
        "service.name": "shop",
        "appnet.processor": "shop-sidecar",
        "appnet.version": "v1",
        "appnet.client": "shop",
        "appnet.server": "stock",
        "appnet.side": "client",
    }
    assert events(span) == [
        ("other", "req", "1b", "forward"),
        ("guard", "req", "1b", "forward"),
        ("guard", "resp", "1a", "forward"),
    ]


def test_a_refusal_says_which_row_and_no_value() -> None:
    module = chain(Side.SERVER)
    done, _, (span,) = call(module, {"traceparent": SAMPLED}, text="bad", extra=SECRET)
    assert done.text.decode() == SECRET
    assert (span.trace_id, span.parent_id, span.kind) == (TRACE, PARENT, 2)
    assert events(span) == [("other", "req", "1b", "forward"), ("guard", "req", "1a", "refuse")]
    assert span.events[-1].attributes["rpc.response.status_code"] == "PERMISSION_DENIED"
    assert SECRET not in repr(span)
    assert "bad" not in repr(span.events)  # ids are random, and hexadecimal


def test_repetitions_are_one_event_and_many_events_are_counted() -> None:
    module = chain()
    *_, (span,) = call(module, {"traceparent": SAMPLED}, tags=[b"known"] * 1_000)
    rows = [it.attributes for it in span.events if it.attributes["appnet.handler"] == "req"]
    assert len(rows) <= 5
    hits = {it["appnet.row"]: it.get("appnet.row.hits") for it in rows}
    assert 1_000 in hits.values()
    *_, (span,) = call(module, {"traceparent": SAMPLED}, tags=[b"known", b"other"] * 1_000)
    assert len(span.events) <= 32
    assert span.dropped_events > 900


@pytest.mark.parametrize(
    "metadata",
    [{}, {"traceparent": NOT_SAMPLED}, {"b3": "0"}, {"b3": f"{TRACE}-{PARENT}-0"}, {"x-b3-sampled": "0"},
     {"x-b3-traceid": TRACE, "x-b3-spanid": PARENT, "x-b3-sampled": "0"}],
    ids=str,
)  # fmt: skip
def test_what_is_not_sampled_makes_none_and_goes_on_as_it_is(metadata: dict[str, str]) -> None:
    module = chain()
    _, passed, spans = call(module, metadata, text="good")
    assert spans == []
    assert {key: it for key, it in passed.items() if key in metadata} == metadata
    assert "traceparent" in metadata or "traceparent" not in passed
    if metadata:
        module.table.spans_share(module.instance, ALL)
        assert call(module, metadata, text="good")[2] == [], "the caller has decided"


def test_b3_in_one_header_and_in_several() -> None:
    module = chain()
    _, passed, (span,) = call(module, {"b3": f"{TRACE}-{PARENT}-1-{PARENT}"}, text="good")
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert passed["b3"] == f"{TRACE}-{span.span_id}-1"
    assert "traceparent" not in passed
    many = {
        "x-b3-traceid": TRACE[16:],
        "x-b3-spanid": PARENT,
        "x-b3-parentspanid": "00000000000000aa",
        "x-b3-sampled": "1",
    }
    _, passed, (span,) = call(module, many, text="good")
    assert (span.trace_id, span.parent_id) == ("0" * 16 + TRACE[16:], PARENT)
    assert passed["x-b3-traceid"] == TRACE[16:]
    assert passed["x-b3-spanid"] == span.span_id
    assert "x-b3-parentspanid" not in passed, "it would be the parent of whatever takes the span's place"
    _, passed, (span,) = call(module, {**many, "traceparent": SAMPLED}, text="good")
    assert span.trace_id == TRACE, "W3C comes first"
    assert passed["x-b3-spanid"] == PARENT


def test_a_share_of_the_calls_whose_callers_do_not_decide() -> None:
    module = chain()
    module.table.spans_share(module.instance, ALL)
    _, passed, (span,) = call(module, {"tracestate": "left=over"}, text="good")
    assert span.parent_id == ""
    assert passed["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"
    assert "tracestate" not in passed
    _, passed, (span,) = call(module, {"b3": f"{TRACE}-{PARENT}"}, text="good")
    assert passed["b3"] == f"{TRACE}-{span.span_id}-1", "B3 can leave it open"
    module.table.spans_share(module.instance, ALL // 4)
    traced = sum(len(call(module, {}, text="good")[2]) for _ in range(2_000))
    assert 400 < traced < 600
    ids = {call(module, {"traceparent": SAMPLED}, text="good")[2][0].span_id for _ in range(500)}
    assert len(ids) == 500


HOSTILE = [
    "",
    "00",
    "-" * 55,
    SAMPLED[:-1],
    SAMPLED[:20],
    f"{SAMPLED}-",
    f"{SAMPLED}0",
    SAMPLED.upper(),
    SAMPLED.replace("b", "B"),
    SAMPLED.replace("4", "g", 1),
    f"ff{SAMPLED[2:]}",
    f"01{SAMPLED[2:]}x",
    ZEROS,
    f"00-{TRACE}-{'0' * 16}-01",
    SAMPLED.replace("-", "_"),
    SAMPLED + "a" * 60_000,
    "\xff" * 55,
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_malformed_context_is_none(hostile: str) -> None:
    module = chain()
    for key in ("traceparent", "b3", "x-b3-traceid"):
        _, passed, spans = call(module, {key: hostile}, text="good")
        assert spans == []
        assert passed[key] == hostile
    module.table.spans_share(module.instance, ALL)
    _, passed, (span,) = call(module, {"traceparent": hostile}, text="good")
    assert span.parent_id == ""
    assert passed["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"


def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known() -> None:
    _, passed, (span,) = call(chain(), {"traceparent": f"cc{SAMPLED[2:-2]}03-what-comes"}, text="good")
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert passed["traceparent"] == f"00-{TRACE}-{span.span_id}-03"


def test_spans_that_nobody_takes_are_bounded_and_counted() -> None:
    module, calls = chain(), 6_000
    for _ in range(calls):
        one = module.call()
        one.run_request(SAMPLE.full_name, {"traceparent": SAMPLED.encode()}, [b"\0\0\0\0\0"], b"host")
        one.end()
    batch = module.take_spans()
    assert len(batch) < 3 << 20
    kept = len(decode_spans(batch))
    assert 1_000 < kept < calls
    counted = module._take(module.table.metrics_take)
    assert b"appnet.spans.dropped" in counted
