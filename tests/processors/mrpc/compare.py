"""Runs the same calls through the interpreter and through the host in Rust, and compares all that can be seen."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc, dump
from appnet.language.messages import MessageSchema
from appnet.processors.envoy.harness.calls import CallUnderTest, Harness
from appnet.processors.mrpc.bincode import Reader, Writer
from appnet.processors.mrpc.bundle import function_id
from tests.differential.compare import _plain
from tests.processors.mrpc.chains import Module
from tests.processors.mrpc.crate import Process, decode, encode, index_of, kind_of
from tests.support.calls import Clock
from tests.support.traffic import Fields, make_value
from tests.support.wire import fields_in, put, take_away

SEED = 2024
CONNECTION = 7
PERMISSION_DENIED, DATA_LOSS = 7, 15
_TIMES = (0, 1, 999, 1_000_000, 1_500_000_000)


class Host(Harness):
    """An engine in a process of its own."""

    def __init__(self, module: Module, *, server: bool) -> None:
        self.process = Process()
        self.set_time(1_000_000_000)
        self.process.ask(b"o", Writer().u64(SEED).bytes(module.bundle(server=server)))

    def set_time(self, now_ns: int) -> None:
        """What time it is from now on."""
        self.process.ask(b"t", Writer().u64(now_ns))

    def call(self) -> CallUnderTest:
        raise NotImplementedError

    def state_dump(self) -> str:
        return self.process.ask(b"s").text()

    def take_telemetry(self) -> list[bytes]:
        return [found] if (found := self.process.ask(b"r").bytes()) else []


@dataclass
class _Call:
    number: int
    chain: int
    rpc: Rpc
    request: Message
    sent: bool = True


@dataclass
class Comparison:
    """All chains of a module, on one side of connections, beside an interpreter for each."""

    module: Module
    server: bool
    calls_made: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.host = Host(self.module, server=self.server)
        environment = Environment(self.clock, SEED, 0)
        self._instances = [ChainInstance(it.elements, environment) for it in self.module.chains]
        self._records_seen = [0] * len(self._instances)
        self._check_records()
        self.check_state()

    def run(self, chain: int, calls: int, source: random.Random) -> None:
        """So many calls of a chain, some of them in flight together, ended in any order and in any way."""
        flying: list[_Call] = []
        left = calls
        while left or flying:
            self.clock.now_ns += source.choice(_TIMES)
            self.host.set_time(self.clock.now_ns)
            if left and (not flying or (len(flying) < 4 and source.random() < 0.5)):
                left -= 1
                flying += self._begin(chain, source)
            else:
                self._finish(flying.pop(source.randrange(len(flying))), source)
        self._check_records()

    def check_state(self) -> None:
        """Compares all state of all chains."""
        assert self.host.state_dump() == "".join(map(dump, self._instances))

    # --- steps ---

    def _begin(self, chain: int, source: random.Random) -> list[_Call]:
        signature = self.module.chains[chain].signature
        self.calls_made += 1
        message = self._make(signature.request, source)
        call = _Call(self.calls_made, chain, Rpc(signature, rpc_id=self.calls_made), message)
        outcome = self._judge(call, message, response=False)
        if outcome is None:
            self._instances[chain].end(call.rpc)
            return []
        return [call]

    def _finish(self, call: _Call, source: random.Random) -> None:
        instance = self._instances[call.chain]
        way = source.random()
        if way < 0.7:
            message = self._make(call.rpc.signature.response, source)
            self._judge(call, message, response=True)
        elif way < 0.8 and not self.server:
            self._denied(call)
        elif way < 0.9 and not self.server:
            self.host.process.ask(b"d", self._ids(call).bool(False))
            instance.response(call.rpc, DATA_LOSS)
        else:
            self.host.process.ask(b"c", Writer().u64(CONNECTION + call.number))
            instance.response(call.rpc, DATA_LOSS)
        self.host.process.ask(b"d", self._ids(call).bool(True))
        instance.end(call.rpc)

    def _denied(self, call: _Call) -> None:
        """A response comes that says only that the call was denied."""
        kind = index_of(self._class(call.rpc.signature.response).DESCRIPTOR)
        told = encode(self._class(call.rpc.signature.response)())
        answer = self.host.process.message(
            (CONNECTION + call.number, call.number), function_id(call.rpc.signature.full_name), kind, told,
            goes_out=False, denied=True,
        )  # fmt: skip
        assert answer is not None
        self._instances[call.chain].response(call.rpc, PERMISSION_DENIED)

    def _judge(self, call: _Call, message: Message, *, response: bool) -> Outcome | None:
        """Compares what becomes of a message; None where its call ends."""
        instance, rpc = self._instances[call.chain], call.rpc
        schema = rpc.signature.response if response else rpc.signature.request
        goes_out = response == self.server
        told = self.host.process.message(
            (CONNECTION + call.number, call.number), function_id(rpc.signature.full_name),
            index_of(message.DESCRIPTOR), encode(message), goes_out=goes_out,
        )  # fmt: skip
        rpc.message, rpc.size = _fields(message, schema), message.ByteSize()
        expected = instance.response(rpc, 0) if response else instance.request(rpc)
        where = self._where(call, response=response)
        if isinstance(expected, Refused) or (isinstance(expected, Forwarded) and _unsayable(expected, schema)):
            self.seen["refused"] += 1
            assert told is None, where
            return None
        assert isinstance(expected, Forwarded), where
        assert told is not None, where
        self._check_forwarded(call, expected, told, message, schema, goes_out=goes_out, where=where)
        return expected

    def _check_forwarded(
        self,
        call: _Call,
        expected: Forwarded,
        told: Reader,
        message: Message,
        schema: MessageSchema,
        *,
        goes_out: bool,
        where: str,
    ) -> None:
        wait_ms, copied = told.u64(), told.bool()
        if schema is call.rpc.signature.request:
            assert wait_ms == call.rpc.wait_ms, where
        self.seen["forwarded"] += 1
        self.seen["written"] += bool(expected.written or expected.cleared)
        assert not copied or goes_out, where
        wanted = type(message)()
        wanted.CopyFrom(message)
        for path in expected.cleared:
            take_away(wanted, path, schema)
        for path, value in expected.written.items():
            put(wanted, path, value, schema)
        got = decode(told, type(message)())
        told.end()
        assert encode(got) == encode(wanted), f"{got}\nfor\n{wanted}\n{where}"

    # --- messages ---

    def _class(self, schema: MessageSchema) -> type[Message]:
        return self.module.proto.bytes_class(schema.full_name)

    def _make(self, schema: MessageSchema, source: random.Random) -> Message:
        message = self._class(schema)()
        fill(message, source, source.choice((0.0, 0.2, 0.5, 1.0)))
        return message

    def _ids(self, call: _Call) -> Writer:
        return Writer().u64(CONNECTION + call.number).u64(call.number)

    def _where(self, call: _Call, *, response: bool) -> str:
        chain = self.module.chains[call.chain]
        side, kind = "server" if self.server else "client", "response" if response else "request"
        return "\n".join([f"{chain.signature.full_name}, {side}, {kind}", *chain.sources])

    # --- records ---

    def _check_records(self) -> None:
        expected: defaultdict[str, list[object]] = defaultdict(list)
        for index, instance in enumerate(self._instances):
            records = instance.records()
            for scope, value in records[self._records_seen[index] :]:
                expected[scope].append(_plain(value))
            self._records_seen[index] = len(records)
        got: defaultdict[str, list[object]] = defaultdict(list)
        for scope, value in self.host.records():
            if scope != "appnet.evicted":
                got[scope].append(_plain(value))
        self.seen["records"] += sum(map(len, got.values()))
        assert got == expected


def fill(message: Any, source: random.Random, share: float) -> None:
    """Gives a message random fields: about this share of those that it can have."""
    for it in message.DESCRIPTOR.fields:
        if source.random() >= share:
            continue
        kind = kind_of(it)
        if it.message_type is not None and it.is_repeated:
            for _ in range(source.choice((0, 1, 2, 3))):
                fill(getattr(message, it.name).add(), source, share)
        elif it.message_type is not None:
            getattr(message, it.name).SetInParent()
            fill(getattr(message, it.name), source, share)
        elif it.is_repeated:
            getattr(message, it.name)[:] = [make_value(source, kind) for _ in range(source.choice((0, 1, 2, 5)))]
        else:
            setattr(message, it.name, make_value(source, kind))


def _fields(message: Message, schema: MessageSchema) -> Fields:
    """As the interpreter wants them: what is not there makes nothing around it."""
    told = fields_in(message, schema)
    many = {path for path in told if schema.field(path).is_message or schema.field(path).within}
    return {path: value for path, value in told.items() if path not in many or value not in (0, [])}


def _unsayable(expected: Forwarded, schema: MessageSchema) -> bool:
    """Whether a text was written into a string that is not UTF-8: no struct in Rust can have it."""
    for path, value in expected.written.items():
        if schema.field(path).kind == "string":
            for text in value if isinstance(value, list) else [value]:
                try:
                    bytes(text).decode()  # type: ignore[arg-type]
                except UnicodeDecodeError:
                    return True
    return False
