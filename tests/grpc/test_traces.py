"""Calls are in the traces of their callers, however they end, and what nobody traces stays as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appnet.observe.spans import Span, decode_spans
from tests.grpc.service import KINDS, Loop, Place, placed, wait_for
from tests.grpc.test_calls import file
from tests.processors.grpc.chains import read_chains, read_signed

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{CALLER}-01"
ALL = 2**32 - 1


class Told:
    """A chain at a place, and the spans that it has made so far."""

    def __init__(self, place: Place) -> None:
        assert place.end.current is not None
        self.place, self.spans = place, list[Span]()
        self._instance = place.end.current.chains[0].instance

    def wait_for(self, count: int) -> list[Span]:
        """So many, and no more."""

        def there() -> bool:
            body, told = self._instance.spans(time.monotonic_ns(), time.time_ns())
            found = list(decode_spans(body)) if body else []
            assert len(found) == told
            self.spans += found
            return len(self.spans) >= count

        wait_for(there, lambda: repr(self.spans))
        assert len(self.spans) == count
        return self.spans


@contextmanager
def told(kind: str, loop: Loop, chains: Path, name: str, share: int = 0, records: str = "nobody:0") -> Iterator[Told]:
    signed = read_signed(file(chains, name, kind))
    version = read_chains(signed.SerializeToString())
    version.records, version.chains[0].trace_share = records, share
    signed.version = version.SerializeToString()
    with placed(kind, loop, signed.SerializeToString()) as place:
        yield Told(place)


def status(span: Span) -> Any:
    return span.attributes["rpc.response.status_code"]


@pytest.mark.parametrize("kind", [it for it in KINDS if "written" not in it])
def test_however_a_call_ends_it_is_in_the_trace(kind: str, loop: Loop, chains: Path) -> None:
    with told(kind, loop, chains, "calls") as it:
        wanted = {
            b"hello": "OK", b"change": "OK", b"answer": "OK", b"refuse": "ABORTED", b"refuse back": "DATA_LOSS",
            b"fail": "FAILED_PRECONDITION", b"fail oddly": "UNKNOWN", b"missing": "UNAVAILABLE",
            b"hurry": "DEADLINE_EXCEEDED",
        }  # fmt: skip
        for number, (body, wants) in enumerate(wanted.items(), 1):
            it.place.service.seen = []
            it.place.caller.unary(body, (("traceparent", SAMPLED), ("tracestate", "a=b")))
            span = it.wait_for(number)[-1]
            assert (span.trace_id, span.parent_id, status(span)) == (TRACE, CALLER, wants), body
            seen = dict(it.place.service.seen)
            if body not in {b"answer", b"refuse"}:
                assert (seen["traceparent"], seen["tracestate"]) == (f"00-{TRACE}-{span.span_id}-01", "a=b")
            assert 0 <= span.end_ns - span.start_ns < 30e9
            assert abs(span.end_ns - time.time_ns()) < 60e9


@pytest.mark.parametrize("kind", KINDS)
def test_streams(kind: str, loop: Loop, chains: Path) -> None:
    with told(kind, loop, chains, "streams") as it:
        context = (("b3", f"{TRACE}-{CALLER}-1"),)
        for number, (body, wants) in enumerate(
            {b"hello": "OK", b"refuse": "ABORTED", b"refuse back": "DATA_LOSS"}.items(), 1
        ):
            it.place.caller.duplex([body], context)
            span = it.wait_for(number)[-1]
            assert (span.trace_id, span.parent_id, status(span)) == (TRACE, CALLER, wants), body
            if body != b"refuse":
                assert dict(it.place.service.seen)["b3"] == f"{TRACE}-{span.span_id}-1"
        it.place.caller.output(b"hello", context)
        it.place.caller.taken([b"hello"], context)
        assert [status(span) for span in it.wait_for(5)[3:]] == ["OK", "OK"]


@pytest.mark.parametrize("name", ["calls", "none"])
def test_what_nobody_traces_stays_as_it_is(name: str, loop: Loop, chains: Path) -> None:
    with told("client", loop, chains, name) as it:
        for metadata in ((), (("traceparent", f"{SAMPLED[:-2]}00"),), (("b3", "0"),), (("traceparent", "%s" * 99),)):
            it.place.caller.unary(b"hello", metadata)
            assert [one for one in it.place.service.seen if one[0] in {"traceparent", "b3"}] == [*metadata]
        it.place.caller.unary(b"hello", (("traceparent", SAMPLED),))
        it.wait_for(1)
    with told("client", loop, chains, name, records="") as it:
        it.place.caller.unary(b"hello", (("traceparent", SAMPLED),))
        assert ("traceparent", SAMPLED) in it.place.service.seen
        it.wait_for(0)


def test_a_share_is_traced(loop: Loop, chains: Path) -> None:
    with told("client", loop, chains, "one", ALL) as it:
        it.place.caller.unary(b"hello", (("b3", "0"),))
        it.place.caller.unary(b"hello", (("x-b3-sampled", "0"),))
        it.place.caller.unary(b"hello")
        [span] = it.wait_for(1)
        assert span.parent_id == ""
        assert ("traceparent", f"00-{span.trace_id}-{span.span_id}-01") in it.place.service.seen
