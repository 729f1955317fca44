"""A host of compiled chains in Python, for whoever has decoded messages: fields in, verdict out, through ``chain.h``.

    chain = SlotChain(binary)
    instance = Instance(chain, now_ns=time.monotonic_ns, wall_ns=time.time_ns)
    call = instance.call(chain.methods["/echo.Echo/SlotCall"], metadata, response_metadata)
    judgement = call.request({(1,): b"hello"})

A message is known by the fields that it has: their numbers from the message inwards, with a bool, int, float or bytes,
or a list or dict of these. A message that is there has True, of many there is their number; what stands within many is
a list of what all of them have, whether it is there or not. Numbers lead through entries of maps, whose values' is 2.
"""

from __future__ import annotations

import ctypes
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, TypeAlias

from appnet.codegen.c import chain_abi as abi
from appnet.interpret.rpc import values_of

Numbers: TypeAlias = tuple[int, ...]
FieldValue: TypeAlias = Any
Message: TypeAlias = Mapping[Numbers, FieldValue]
Metadata: TypeAlias = MutableMapping[str, bytes]


class Verdict(IntEnum):
    """What is to become of a message."""

    FORWARD = abi.FORWARD
    REFUSE = abi.REFUSE
    ANSWER = abi.ANSWER


@dataclass(frozen=True)
class Judgement:
    """What handlers made of a message.

    ``cleared``: the fields to take from it first. ``written``: the fields to set in it before it goes on or, with
    ANSWER, in an empty response, which is the answer; in this order, since members of a oneof put an end to each other.
    Those within many messages are set in one after the other. ``code``, ``text``: the gRPC status that the call
    ends with, on REFUSE. ``metadata``: what goes with it, or with an answer; ``trailers``: of an answer.
    """

    verdict: Verdict
    written: Message = field(default_factory=dict)
    code: int = 0
    text: bytes = b""
    cleared: tuple[Numbers, ...] = ()
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    trailers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class SlotField:
    """A field that a chain uses. ``many``: it is a list, or a dict if there is a ``key_kind``."""

    numbers: Numbers
    kind: str
    many: bool
    key_kind: str | None


@dataclass(frozen=True)
class SlotSide:
    """One direction of a method, as ``an_side`` has it."""

    fields: tuple[SlotField, ...]
    needs_message: bool
    needs_status: bool
    holds: bool
    empty: bool
    streams: bool


@dataclass(frozen=True)
class Method:
    """A method of a chain."""

    path: str
    index: int
    request: SlotSide
    response: SlotSide
    reply: SlotSide


class SlotChain:
    """A chain that was built for a native host. Raises `ValueError` where it is for another version of ``chain.h``."""

    def __init__(self, binary: bytes) -> None:
        self.table = abi.ChainTable.in_dll(abi.open_library(binary), "appnet_chain")
        found = (self.table.abi, self.table.size)
        if found != (abi.ABI, ctypes.sizeof(abi.ChainTable)):
            raise ValueError(f"a chain of ABI {abi.ABI} is needed, not of {self.table.abi}")
        self.name: str = self.table.name.decode()
        self.version: str = self.table.version.decode()
        methods = [_method(self.table.methods[index], index) for index in range(self.table.method_count)]
        self.methods = {it.path: it for it in methods}


def _method(table: abi.MethodTable, index: int) -> Method:
    sides = (_side(it) for it in (table.request, table.response, table.reply))
    return Method(table.path.read().decode(), index, *sides)


def _side(table: abi.SideTable) -> SlotSide:
    fields = tuple(_field(table, table.fields[index]) for index in range(table.field_count))
    return SlotSide(fields, table.needs_message, table.needs_status, table.holds, table.empty, table.streams)


def _field(side: abi.SideTable, table: abi.FieldTable) -> SlotField:
    key_kind = abi.KINDS[table.key_kind] if table.many == abi.ENTRIES else None
    many = table.many in {abi.ITEMS, abi.ENTRIES} or (table.within > 0 and abi.KINDS[table.kind] != "message")
    return SlotField(_numbers(side, table), abi.KINDS[table.kind], many, key_kind)


def _numbers(side: abi.SideTable, table: abi.FieldTable) -> Numbers:
    around = _numbers(side, side.fields[table.within - 1]) if table.within else ()
    return (*around, *table.numbers[: table.depth])


class Instance:
    """One instance of a chain: its state. Clocks are in nanoseconds."""

    def __init__(
        self,
        chain: SlotChain,
        *,
        now_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        seed: int = 1,
        backend_count: int = 0,
    ) -> None:
        self.chain = chain
        self._numbers = itertools.count(1)
        self._metadata: dict[int, CallMetadata] = {}
        services = _services(self._metadata, now_ns, wall_ns)
        options = abi.Options(seed, 0, backend_count, abi.View())
        handle = chain.table.instance_new(ctypes.byref(services), ctypes.byref(options))
        if not handle:
            raise MemoryError(f"no memory for chain {chain.name}")
        self.handle: int = handle
        # The services are kept by the finalizer: the chain may use them to its end.
        weakref.finalize(self, lambda _services, free: free(handle), services, chain.table.instance_free)

    def call(
        self,
        method: Method,
        metadata: Metadata,
        response_metadata: Metadata,
        response_trailers: Metadata | None = None,
        peer: bytes = b"",
    ) -> SlotCall:
        """A call of this method. Keys of metadata are in lower case; the response's may be filled when it comes.

        The request's ``:authority`` and ``grpc-timeout`` are asked for like other keys. ``peer``: who the caller proved
        to be by mutual TLS.
        """
        trailers = {} if response_trailers is None else response_trailers
        return SlotCall(self, method, CallMetadata((metadata, response_metadata, trailers), peer))

    def enter(self, metadata: CallMetadata) -> int:
        """A number by which the chain asks for the metadata of a call."""
        number = next(self._numbers)
        self._metadata[number] = metadata
        return number

    def leave(self, number: int) -> None:
        """The call of this number has ended."""
        del self._metadata[number]

    def state_dump(self) -> str:
        """All state that outlives calls, as `appnet.interpret.dump` writes it."""
        return self._take(self.chain.table.state_dump).decode()

    def take_telemetry(self) -> bytes:
        """The records since the last time, as an encoded ``ExportLogsServiceRequest``; empty where there are none."""
        return self._take(self.chain.table.telemetry_take) if self.chain.table.telemetry_pending(self.handle) else b""

    def _take(self, function: Callable[..., int | None]) -> bytes:
        size = ctypes.c_size_t()
        data = function(self.handle, ctypes.byref(size))
        try:
            return ctypes.string_at(data, size.value) if data else b""
        finally:
            self.chain.table.release(data)


@dataclass
class CallMetadata:
    """Of the request, of the response, and its trailing ones; ``lent`` are values that the chain holds until the event
    ends."""

    maps: tuple[Metadata, Metadata, Metadata]
    peer: bytes
    lent: list[ctypes.Array[ctypes.c_char]] = field(default_factory=list)


def _services(calls: Mapping[int, CallMetadata], now_ns: Callable[[], int], wall_ns: Callable[[], int]) -> abi.Services:
    def lend(metadata: CallMetadata, text: bytes) -> abi.View:
        lent = ctypes.create_string_buffer(text, max(len(text), 1))
        metadata.lent.append(lent)
        return abi.view_of(lent, len(text))

    def values(call: int, which: int, key: abi.View) -> tuple[bytes, ...]:
        found = calls[call].maps[which].get(key.read().decode("latin-1"))
        return () if found is None else values_of(found)

    def metadata_get(call: int, which: int, key: abi.View, value: Any) -> bool:
        for first in values(call, which, key)[:1]:
            value[0] = lend(calls[call], first)
            return True
        return False

    def metadata_values(call: int, which: int, key: abi.View, place: Any, room: int) -> int:
        found = values(call, which, key)
        for index, text in enumerate(found[:room]):
            place[index] = lend(calls[call], text)
        return len(found)

    def peer(call: int, place: Any) -> bool:
        place[0] = lend(calls[call], calls[call].peer)
        return True

    def metadata_set(call: int, which: int, key: abi.View, value: abi.View) -> None:
        calls[call].maps[which][key.read().decode("latin-1")] = value.read()

    def metadata_remove(call: int, which: int, key: abi.View) -> None:
        calls[call].maps[which].pop(key.read().decode("latin-1"), None)

    return abi.Services(
        None,
        abi.NowNs(lambda _host: now_ns()),
        abi.NowNs(lambda _host: wall_ns()),
        abi.MetadataGet(metadata_get),
        abi.MetadataSet(metadata_set),
        abi.MetadataValues(metadata_values),
        abi.MetadataRemove(metadata_remove),
        abi.Peer(peer),
        abi.EndAt(),
    )


class SlotCall:
    """A call through an instance: its messages one after another, and `end` in any case."""

    def __init__(self, instance: Instance, method: Method, metadata: CallMetadata) -> None:
        self.method = method
        self._instance = instance
        self._table = instance.chain.table
        self._metadata = metadata
        self._number = instance.enter(self._metadata)
        self._lent: list[ctypes.Array[ctypes.c_char]] = []
        self._handle = self._table.call_new(instance.handle, method.index, self._number)
        if not self._handle:
            raise MemoryError(f"no memory for a call of {method.path}")
        self._begun = False

    def open(self) -> Judgement:
        """Judges the beginning of the call; all of a request that no handler looks into."""
        self._begun = True
        slots = self._table.message_new(self._handle, abi.REQUEST, 0)
        return self._of_request(Verdict(self._table.judge_open(self._handle)), slots)

    def request(self, message: Message, size: int = 0) -> Judgement:
        """Judges the request, or the next message of a stream of them; at first, the beginning of the call.

        Fields that no handler uses may be left out. A stream of requests without any is judged by an empty one.
        ``size``: how many bytes it had, encoded as it came.
        """
        if not self._begun:
            begins = self.open()
            if begins.verdict is not Verdict.FORWARD:
                return begins
        slots = self._fill(abi.REQUEST, self.method.request, message, size)
        verdict = Verdict(self._table.judge_request(self._handle))
        return self._of_request(verdict, slots)

    def _of_request(self, verdict: Verdict, slots: Any) -> Judgement:
        if verdict is not Verdict.ANSWER:
            return self._judged(verdict, abi.REQUEST, self.method.request, slots)
        reply = list(self._written(abi.REPLY, self.method.reply, self._table.reply(self._handle)))
        return self._judged(verdict, abi.RESPONSE, self.method.response, slots, reply)

    def response(self, message: Message, size: int = 0) -> Judgement:
        """Judges the response, or the next message of a stream of them."""
        slots = self._fill(abi.RESPONSE, self.method.response, message, size)
        verdict = Verdict(self._table.judge_response(self._handle))
        return self._judged(verdict, abi.RESPONSE, self.method.response, slots)

    def end_response(self, status: int) -> Judgement:
        """The response is an error; or the stream of responses has ended, with this status."""
        return self._judged(Verdict(self._table.end_response(self._handle, status)), abi.RESPONSE, None, None)

    @property
    def destination(self) -> int | None:
        """The number of the host that the request goes to, if a handler has chosen one."""
        chosen: int = self._table.destination(self._handle)
        return chosen if chosen >= 0 else None

    @property
    def wait_ms(self) -> int:
        """For how many milliseconds the request waits before it goes on."""
        milliseconds: int = self._table.wait_ms(self._handle)
        return milliseconds

    @property
    def deadline_ns(self) -> int | None:
        """When the call is to end with DEADLINE_EXCEEDED, if a handler has shortened the time that it has."""
        found: int = self._table.deadline_ns(self._handle)
        return found if found != abi.NO_DEADLINE else None

    def end(self) -> None:
        """The call has ended, in whatever way."""
        self._table.call_free(self._handle)
        self._instance.leave(self._number)

    def _fill(self, direction: int, side: SlotSide, message: Message, size: int) -> Any:
        slots = self._table.message_new(self._handle, direction, size)
        for index, it in enumerate(side.fields):
            given = message.get(it.numbers)
            if given is None:
                continue
            if it.many:
                values = self._values(it, given)
                if not self._table.give_values(self._handle, direction, index, values, len(given)):
                    raise MemoryError(f"no memory for field {it.numbers} of {self.method.path}")
                continue
            slot = slots[index]
            slot.present = bool(given) or it.kind != "message"
            if it.kind == "message":
                slot.value.u = int(given)
            else:
                self._set(slot.value, it.kind, given)
        return slots

    def _values(self, it: SlotField, given: Any) -> Any:
        if it.key_kind is None:
            flat = [(it.kind, one) for one in given]
        else:
            flat = [pair for key, one in given.items() for pair in ((it.key_kind, key), (it.kind, one))]
        values = (abi.Value * len(flat))()
        for value, (kind, one) in zip(values, flat, strict=True):
            self._set(value, kind, one)
        return values

    def _set(self, value: abi.Value, kind: str, given: FieldValue) -> None:
        member = abi.MEMBERS[kind]
        if member == "s":
            lent = ctypes.create_string_buffer(given, max(len(given), 1))
            self._lent.append(lent)
            given = abi.view_of(lent, len(given))
        setattr(value, member, given)

    def _written(self, part: int, side: SlotSide, slots: Any) -> Iterator[tuple[Numbers, FieldValue]]:
        for index, it in enumerate(side.fields):
            slot = slots[index]
            if slot.written:
                yield it.numbers, self._many(part, index, it) if it.many else _get(slot.value, it.kind)

    def _many(self, part: int, index: int, it: SlotField) -> list[FieldValue] | dict[FieldValue, FieldValue]:
        size = ctypes.c_size_t()
        values = self._table.values(self._handle, part, index, ctypes.byref(size))
        if size.value == abi.NO_MEMORY:
            raise MemoryError(f"no memory for field {it.numbers} of {self.method.path}")
        if it.key_kind is None:
            return [_get(values[at], it.kind) for at in range(size.value)]
        pairs = range(0, 2 * size.value, 2)
        return {_get(values[at], it.key_kind): _get(values[at + 1], it.kind) for at in pairs}

    def _judged(
        self,
        verdict: Verdict,
        part: int,
        side: SlotSide | None,
        slots: Any,
        reply: Iterable[tuple[Numbers, FieldValue]] = (),
    ) -> Judgement:
        judgement = Judgement(verdict)
        if verdict is not Verdict.REFUSE and side is not None:
            cleared = tuple(it.numbers for index, it in enumerate(side.fields) if slots[index].cleared)
            judgement = Judgement(verdict, dict([*reply, *self._written(part, side, slots)]), cleared=cleared)
        if verdict is not Verdict.FORWARD:
            own, trailers = self._table.own_metadata(self._handle), self._table.own_trailers(self._handle)
            judgement = replace(judgement, metadata=abi.read_entries(own), trailers=abi.read_entries(trailers))
        if verdict is Verdict.REFUSE:
            text = abi.View()
            code = self._table.refusal(self._handle, ctypes.byref(text))
            judgement = replace(judgement, code=code, text=text.read())
        self._forget(self._lent)
        self._forget(self._metadata.lent)
        return judgement

    def _forget(self, lent: list[ctypes.Array[ctypes.c_char]]) -> None:
        """Nothing that was lent for the event is needed any more."""
        lent.clear()


def _get(value: abi.Value, kind: str) -> FieldValue:
    held = getattr(value, abi.MEMBERS[kind])
    return held.read() if isinstance(held, abi.View) else held
