"""Runs the same traffic through the interpreter and through compiled modules, and compares all that can be seen.

Many chains are compiled as the methods of one module, because a compiler run costs more than their traffic.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.interpret import Answered, ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc, dump
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.language.operations.metadata import HOST
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness.calls import BodyJudgement, DeliveredBody, SubstitutedBody
from appnet.processors.envoy.harness.native import ModuleUnderTest as NativeModule
from appnet.processors.envoy.harness.wasm import ModuleUnderTest as WasmModule
from appnet.processors.envoy.headers import marks
from appnet.processors.processor import Denied
from tests.differential.slots import SlotsUnderTest
from tests.support.calls import Clock
from tests.support.elements import as_marked
from tests.support.sample import SAMPLE
from tests.support.traffic import Exchange, Fields, Step, Traffic
from tests.support.wire import encode, fields_of, parse, put, same, take_away

SEED = 2024
BACKENDS = 3
MOST_STATE = 1 << 20
"""Bytes of text in a chain's state, past which its traffic ends: what multiplies a text in every call fills any memory."""
_RESPONSE_HEADERS = {"content-type": b"application/grpc"}  # of the harness itself, but programs can read them
_REQUEST_HEADERS = {**_RESPONSE_HEADERS, "te": b"trailers"}


@dataclass(frozen=True)
class Subject:
    """What is held to the interpreter: how C becomes a module, and how the module is driven."""

    name: str
    compile: Callable[[str], bytes]
    harness: type[NativeModule] | type[WasmModule] | type[SlotsUnderTest]


NATIVE = Subject("native", partial(build, target="native"), NativeModule)
WASM = Subject("wasm", partial(build, target="wasm"), WasmModule)
SLOTS = Subject("slots", NATIVE.compile, SlotsUnderTest)
"""The native module again, for a host that has decoded messages."""

AS_HTTP = (NATIVE, WASM)
TARGETS = (*AS_HTTP, SLOTS)


@dataclass(frozen=True)
class Chain:
    """Elements in order, each with the text it was compiled from, as a method of its own."""

    signature: MethodSignature
    elements: Sequence[Element]
    sources: Sequence[str]


def make_chain(name: str, sources: Sequence[str]) -> Chain:
    """The chain of these programs, as the method ``/sample.Probe/NAME``; its elements are NAME_0, NAME_1, …"""
    signature = replace(SAMPLE, full_name=f"/sample.Probe/{name}")
    elements = [
        as_marked(
            compile_element(TextSource(Path(f"{name}.appnet"), source), signature, name=f"{name}_{index}").element,
            source,
        )
        for index, source in enumerate(sources)
    ]
    return Chain(signature, elements, sources)


@dataclass
class _Pair:
    """One call, on all sides: in each module and in the interpreter."""

    calls: dict[str, Any]
    rpc: Rpc

    def end(self) -> None:
        for call in self.calls.values():
            call.end()


@dataclass
class Comparison:
    """Modules of many chains beside an interpreter for each chain; all keep their state from run to run."""

    chains: Sequence[Chain]
    subjects: Sequence[Subject] = TARGETS
    calls_made: int = 0
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        source = ChainSource("differential", "1", [(chain.signature, chain.elements) for chain in self.chains])
        printed = print_chain(source)
        compilers = list(dict.fromkeys(it.compile for it in self.subjects))
        with ThreadPoolExecutor() as pool:
            built = dict(zip(compilers, pool.map(lambda compile_: compile_(printed), compilers), strict=True))
        self.modules = {
            it.name: it.harness(built[it.compile], seed=SEED, backend_count=BACKENDS, now_ns=self.clock.now_ns)
            for it in self.subjects
        }
        environment = Environment(self.clock, SEED, BACKENDS)
        self._instances = [ChainInstance(chain.elements, environment) for chain in self.chains]
        self._seen: list[tuple[int, Counter[str]]] = [(0, Counter())] * len(self.chains)
        self._check_records(range(len(self.chains)), "at the start")
        self.check_state()

    def run(self, index: int, traffic: Traffic, seed: int) -> int:
        """Compares every step of the traffic on the chain of this number; how many requests there were."""
        source = random.Random(seed)
        open_calls: dict[int, _Pair] = {}
        self._over: set[int] = set()
        requests = 0
        for step in traffic.steps:
            if self._text_kept(index) > MOST_STATE:
                break
            self.clock.now_ns += step.after_ns
            for module in self.modules.values():
                module.now_ns = self.clock.now_ns
            requests += step.kind in {"open", "request"} and step.exchange not in open_calls
            self._step(index, step, traffic.exchanges[step.exchange], open_calls, source)
        for pair in open_calls.values():
            self._instances[index].end(pair.rpc)
            pair.end()
        self._check_records([index], self._where(index, "after its traffic"))
        return requests

    def check_state(self) -> None:
        """Compares all state of all chains."""
        expected = "".join(dump(instance) for instance in self._instances)
        for name, module in self.modules.items():
            assert module.state_dump() == expected, name

    def _text_kept(self, index: int) -> int:
        """How many bytes of text the chain's state holds."""
        instance = self._instances[index]
        return sum(
            _text_size(value) for element in instance.elements() for value in instance.state_of(element.name).values()
        )

    # --- steps ---

    def _step(
        self, index: int, step: Step, exchange: Exchange, open_calls: dict[int, _Pair], source: random.Random
    ) -> None:
        instance, signature = self._instances[index], self.chains[index].signature
        where = self._where(index, step)
        if step.kind in {"open", "request"}:
            pair = open_calls.get(step.exchange)
            if pair is None:
                if step.exchange in self._over:
                    return
                self.calls_made += 1
                calls = {name: module.call() for name, module in self.modules.items()}
                for call in calls.values():
                    call.peer = exchange.peer
                pair = open_calls[step.exchange] = _Pair(calls, Rpc(signature, rpc_id=self.calls_made))
                pair.rpc.metadata = {**_REQUEST_HEADERS, **exchange.metadata}
                pair.rpc.authority, pair.rpc.peer = exchange.authority, exchange.peer
            if step.kind == "open":
                refused = self._open(pair, instance, exchange, where)
            else:
                refused = self._message(pair, instance, exchange, source, "request", where)
        elif step.exchange not in open_calls:
            return
        elif step.kind == "response":
            pair = open_calls[step.exchange]
            pair.rpc.response_metadata = {**_RESPONSE_HEADERS, **exchange.response_metadata}
            pair.rpc.response_trailers = dict(exchange.trailers)
            self._message(pair, instance, exchange, source, "response", where)
            refused = True
        else:
            instance.end(open_calls[step.exchange].rpc)
            refused = True
        if refused:
            self._over.add(step.exchange)
            open_calls.pop(step.exchange).end()

    def _open(self, pair: _Pair, instance: ChainInstance, exchange: Exchange, where: str) -> bool:
        """Compares what becomes of a call at its beginning; whether it was refused."""
        expected = instance.open(pair.rpc)
        for name, call in pair.calls.items():
            got = call.begin_request(pair.rpc.signature.full_name, exchange.metadata, exchange.authority)
            if isinstance(expected, Forwarded):
                assert got is None, f"{name}, {where}"
            else:
                assert got is not None, f"{name}, {where}"
                _check(expected, got, b"", "", ({}, {}), f"{name}, {where}")
        return not isinstance(expected, Forwarded)

    def _message(
        self, pair: _Pair, instance: ChainInstance, exchange: Exchange, source: random.Random, kind: str, where: str
    ) -> bool:
        """Compares what becomes of a request or response; whether it was refused."""
        rpc, schema = pair.rpc, rpc_schema(pair.rpc, kind)
        fields: Fields = exchange.request if kind == "request" else exchange.response
        body = b"" if kind == "response" and exchange.status else _framed(encode(source, fields))
        rpc.message = fields_of(body[5:], schema) if body else {}
        rpc.size = max(len(body) - 5, 0)
        pieces = _cut(source, body)
        expected = instance.request(rpc) if kind == "request" else instance.response(rpc, exchange.status)
        for name, call in pair.calls.items():
            if kind == "request":
                got = call.run_request(rpc.signature.full_name, exchange.metadata, pieces, exchange.authority)
                headers, trailers = _headers(rpc, name), {}
            else:
                got = call.run_response(exchange.response_metadata, pieces, exchange.status, exchange.trailers)
                headers, trailers = rpc.response_metadata, rpc.response_trailers
            _check(expected, got, body, schema, (headers, trailers), f"{name}, {where}")
        return not isinstance(expected, Forwarded)

    # --- comparisons ---

    def _check_records(self, indexes: Sequence[int] | range, where: str) -> None:
        """Compares what was recorded, stream by stream, and evicted since the last time."""
        expected: defaultdict[str, list[object]] = defaultdict(list)
        evicted: Counter[str] = Counter()
        for index in indexes:
            records, now = self._instances[index].records(), Counter(self._instances[index].evicted())
            seen, before = self._seen[index]
            for scope, value in records[seen:]:
                expected[scope].append(_plain(value))
            evicted += now - before
            self._seen[index] = len(records), now
        for name, module in self.modules.items():
            got: defaultdict[str, list[object]] = defaultdict(list)
            let_go: Counter[str] = Counter()
            for scope, value in module.records():
                if scope == "appnet.evicted":
                    let_go[value[0]] += value[1]
                else:
                    got[scope].append(_plain(value))
            assert got == expected, f"{name}, {where}"
            assert let_go == evicted, f"{name}, {where}"

    def _where(self, index: int, step: Step | str) -> str:
        chain = self.chains[index]
        return "\n".join([f"{chain.signature.full_name}, {step}", *chain.sources])


def rpc_schema(rpc: Rpc, kind: str) -> str:
    """The full name of the message in hand."""
    return (rpc.signature.request if kind == "request" else rpc.signature.response).full_name


def _framed(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


def _cut(source: random.Random, body: bytes) -> list[bytes]:
    """The bytes in random pieces, as they may come off the network."""
    if not body:
        return []
    places = sorted(source.randint(0, len(body)) for _ in range(source.choice((0, 0, 1, 3))))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def _check(
    expected: Outcome,
    got: BodyJudgement,
    body: bytes,
    schema: str,
    metadata: tuple[dict[str, bytes], dict[str, bytes]],
    where: str,
) -> None:
    headers, trailers = metadata
    if isinstance(expected, Refused):
        assert got == Denied(expected.code, expected.text, expected.metadata), where
        return
    if isinstance(expected, Answered):
        assert isinstance(got, SubstitutedBody), f"{got} for {expected}\n{where}"
        assert (got.metadata, got.trailers) == (expected.metadata, expected.trailers), where
        _check_written(Forwarded(expected.fields), got.body, _framed(b""), SAMPLE.response.full_name, where)
        return
    assert isinstance(got, DeliveredBody), f"{got} for {expected}\n{where}"
    assert got.metadata == {key: value for key, value in headers.items() if key not in _REQUEST_HEADERS}, where
    assert got.trailers == trailers, where
    check_forwarded(expected, got.body, body, schema, where)


def check_forwarded(expected: Forwarded, got: bytes, body: bytes, schema: str, where: str) -> None:
    """What a module made of a framed message is what the interpreter says; untouched, it is the same bytes."""
    if expected.written or expected.cleared:
        _check_written(expected, got, body, schema, where)
    else:
        assert got == body, where


def _headers(rpc: Rpc, subject: str) -> dict[str, bytes]:
    """A request's headers as they go on. A host of decoded messages is not told of no host."""
    nothing = {HOST: b"any"} if subject.startswith("slots") else {}
    return {**rpc.metadata, **{key: value for key, value in marks(rpc).items() if nothing.get(key) != value}}


def _check_written(expected: Forwarded, got: bytes, body: bytes, schema: str, where: str) -> None:
    assert got[0] == 0, where
    assert int.from_bytes(got[1:5], "big") == len(got) - 5, where
    changed = parse(body[5:], schema)
    for path in expected.cleared:
        take_away(changed, path)
    for path, value in expected.written.items():
        put(changed, path, value)
    assert same(parse(got[5:], schema), changed), f"{parse(got[5:], schema)}\nfor\n{changed}\n{where}"


def _text_size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(_text_size(key) + _text_size(kept) for key, kept in value.items())
    return sum(map(_text_size, value)) if isinstance(value, tuple | list) else 0


def _plain(value: object) -> object:
    """A recorded value as telemetry can show it: strings are bytes, uints have 64 bits with a sign."""
    if isinstance(value, tuple | list):
        return tuple(_plain(part) for part in value)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, int) and not isinstance(value, bool):
        return (value + 2**63) % 2**64 - 2**63
    return value
