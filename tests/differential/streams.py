"""Runs streams through compiled modules and the interpreter, in pieces that have nothing to do with the messages."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Refused, Rpc, dump
from appnet.ir import compile_element
from appnet.ir.stages import only_forwards
from appnet.processors.envoy.harness.calls import Action, CallUnderTest
from appnet.processors.processor import Denied
from tests.differential.compare import BACKENDS, SEED, Subject, _check_written, _plain
from tests.support.calls import Clock
from tests.support.raw_grpc import frame
from tests.support.sample import SAMPLE
from tests.support.traffic import make_traffic
from tests.support.wire import encode, fields_of

REQUEST_HEADERS = {"content-type": b"application/grpc", "te": b"trailers"}
RESPONSE_HEADERS = {"content-type": b"application/grpc"}


class _Messages:
    """The messages of one direction of a call as bytes, of which some have been sent."""

    def __init__(self, source: random.Random, messages: list[bytes]) -> None:
        self._source = source
        self.bytes = b"".join(messages)
        self._ends = [sum(map(len, messages[: number + 1])) for number in range(len(messages))]
        self._frames = messages
        self.sent = 0

    def next_piece(self) -> tuple[bytes, list[bytes]]:
        """Some of the bytes, and the messages that are whole with them."""
        left = len(self.bytes) - self.sent
        size = self._source.choice((left, self._source.randint(0, left), min(left, self._source.randint(1, 7))))
        before, self.sent = self.sent, self.sent + size
        whole = [it for it, end in zip(self._frames, self._ends, strict=True) if before < end <= self.sent]
        return self.bytes[before : self.sent], whole

    @property
    def over(self) -> bool:
        return self.sent == len(self.bytes)


class _Stream:
    """One call, in the module and in the interpreter."""

    def __init__(self, call: CallUnderTest, reference: ChainInstance, rpc: Rpc) -> None:
        self.call, self.reference, self.rpc = call, reference, rpc
        self.call.request_headers({
            ":path": rpc.signature.full_name.encode(), ":method": b"POST", ":authority": rpc.authority, **rpc.metadata
        })  # fmt: skip
        self.asked = 0
        self.passed: dict[str, list[tuple[bytes, Forwarded]]] = {"request": [], "response": []}
        self.response_passed = False
        elements = reference.elements()
        handlers = {"request": [it.req for it in elements], "response": [it.resp for it in elements]}
        self.unjudged = {kind for kind, them in handlers.items() if all(only_forwards(it) for it in them)}
        begins = reference.open(rpc)
        self.refused = begins if isinstance(begins, Refused) else None
        self.check("request")

    def send(self, kind: str, piece: bytes, whole: list[bytes], *, end: bool = False) -> None:
        """The piece to both; the interpreter sees the messages that are whole."""
        schema = self.rpc.signature.request if kind == "request" else self.rpc.signature.response
        for framed in whole:
            if self.refused is None:
                self.rpc.message = fields_of(framed[5:], schema.full_name)
                self.rpc.size = len(framed) - 5
                judged = self.reference.request(self.rpc) if kind == "request" else self.reference.response(self.rpc, 0)
                if isinstance(judged, Refused):
                    self.refused = judged
                else:
                    self.passed[kind].append((framed, judged))
        if kind == "request":
            self.asked += len(whole)
            if end and not self.asked and self.refused is None:
                judged = self.reference.no_request(self.rpc)
                self.refused = judged if isinstance(judged, Refused) else None
        action = self.call.request_body(piece, end) if kind == "request" else self.call.response_body(piece)
        self.response_passed |= kind == "response" and action in {Action.CONTINUE, Action.REPLACE}
        self.check(kind)

    def check(self, kind: str) -> None:
        """Compares the outcome so far."""
        if self.refused is not None:
            assert self.call.reply == Denied(self.refused.code, self.refused.text, self.refused.metadata)
            return
        assert self.call.reply is None
        got = self.call.request.passed if kind == "request" else self.call.response.passed
        schema = self.rpc.signature.request if kind == "request" else self.rpc.signature.response
        for framed, judged in self.passed[kind]:
            size = 5 + int.from_bytes(got[1:5], "big")
            this, got = got[:size], got[size:]
            if judged.written or judged.cleared:
                _check_written(judged, this, framed, schema.full_name, kind)
            else:
                assert this == framed
        assert got == b"" or kind in self.unjudged  # where no handler looks, what has come of a message passes

    def finish(self, status: int, sent: dict[str, bytes]) -> None:
        """The server's status and trailers."""
        self.rpc.message = {}
        self.rpc.response_trailers = {**sent, **self.rpc.response_trailers}
        self.rpc.response_begun = True
        expected = self.reference.response(self.rpc, status) if status else None
        self.call.response_trailers({"grpc-status": str(status).encode(), **sent})
        trailers = self.call.response.trailers
        if isinstance(expected, Refused):
            reply = self.call.reply
            if reply is None:  # what has begun can only end
                own = {key: value for key, value in trailers.items() if key not in ("grpc-status", "grpc-message")}
                reply = Denied(int(trailers["grpc-status"]), unquote_to_bytes(trailers["grpc-message"]), own)
                assert self.response_passed
            assert (reply.code, reply.metadata) == (expected.code, expected.metadata)
            assert expected.text.startswith(reply.text) or reply.text == expected.text
        else:
            assert self.call.reply is None
            assert trailers == {"grpc-status": str(status).encode(), **self.rpc.response_trailers}


def _frames(source: random.Random, fields: list, most: int) -> list[bytes]:
    return [frame(encode(source, source.choice(fields))) for _ in range(source.randint(0, most))]


def _run_call(
    source: random.Random,
    stream: _Stream,
    requests: list[bytes],
    responses: list[bytes],
    status: int,
    sent: dict[str, bytes],
):
    going, coming = _Messages(source, requests), _Messages(source, responses)
    half_closed = answered = False
    cut_off = source.random() < 0.15
    while stream.refused is None and not (half_closed and coming.over):
        if cut_off and source.random() < 0.3:
            break
        if not half_closed and (source.random() < 0.5 or (coming.over and answered)):
            piece, whole = going.next_piece()
            half_closed = going.over and source.random() < 0.7
            stream.send("request", piece, whole, end=half_closed)
        elif not coming.over or not answered:
            if not answered:
                answered = True
                stream.call.response_headers({":status": b"200", **stream.rpc.response_metadata})
            stream.send("response", *coming.next_piece())
    over = half_closed and coming.over
    if stream.refused is None and over:
        if not answered:
            stream.call.response_headers({":status": b"200", **stream.rpc.response_metadata})
        stream.finish(status, sent)
    stream.reference.end(stream.rpc, 0 if over else None)
    stream.call.end()


def run_streams(texts: Sequence[Sequence[str]], calls: int, subject: Subject, seed: int = 0) -> tuple[int, int]:
    """``calls`` streams for each chain of programs; how many messages went on, and calls were refused.

    Raises AssertionError where the module and the interpreter disagree.
    """
    source = random.Random(seed)
    streaming = replace(SAMPLE, client_streaming=True, server_streaming=True)
    chains = []
    for number, programs in enumerate(texts):
        signature = replace(streaming, full_name=f"/sample.Probe/s{number}")
        sources = [TextSource(Path("s.appnet"), text) for text in programs]
        names = [f"s{number}_{place}" for place in range(len(sources))]
        elements = [compile_element(it, signature, name=name).element for it, name in zip(sources, names, strict=True)]
        chains.append((signature, elements))
    clock = Clock()
    module = subject.harness(
        subject.compile(print_chain(ChainSource("streams", "1", chains))),
        seed=SEED, backend_count=BACKENDS, now_ns=clock.now_ns,
    )  # fmt: skip
    environment = Environment(clock, SEED, BACKENDS)
    references = [ChainInstance(elements, environment) for _, elements in chains]
    seen = [len(it.records()) for it in references]
    module.records()  # those of init
    judged = refused = 0
    for call_number in range(calls * len(chains)):
        index = call_number % len(chains)
        exchanges = make_traffic(call_number, 3).exchanges
        signature, reference = chains[index][0], references[index]
        rpc = Rpc(signature, metadata={**REQUEST_HEADERS, **exchanges[0].metadata}, rpc_id=call_number + 1)
        rpc.response_metadata = {**RESPONSE_HEADERS, **exchanges[0].response_metadata}
        rpc.authority, rpc.peer = exchanges[0].authority, exchanges[0].peer
        clock.now_ns += source.randint(0, 10**9)
        module.now_ns = clock.now_ns
        call = module.call()
        call.peer = rpc.peer
        stream = _Stream(call, reference, rpc)
        requests = _frames(source, [it.request for it in exchanges], 4)
        responses = _frames(source, [it.response for it in exchanges], 4)
        _run_call(source, stream, requests, responses, source.choice((0, 0, 0, 5, 14)), exchanges[1].trailers)
        judged += sum(map(len, stream.passed.values()))
        refused += stream.refused is not None
        expected = [(scope, _plain(value)) for scope, value in reference.records()[seen[index] :]]
        seen[index] += len(expected)
        got = [(scope, _plain(value)) for scope, value in module.records() if scope != "appnet.evicted"]
        assert sorted(map(repr, expected)) == sorted(map(repr, got))
    assert module.state_dump() == "".join(dump(it) for it in references)
    return judged, refused
