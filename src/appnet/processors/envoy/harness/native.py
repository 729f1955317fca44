"""Runs a native module through its table of functions, as the loader does."""

from __future__ import annotations

import ctypes
import weakref
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_int,
    c_int32,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)

from appnet.codegen.c.chain_abi import (
    EndAt,
    Entry,
    MetadataGet,
    MetadataRemove,
    MetadataSet,
    MetadataValues,
    NowNs,
    Options,
    Peer,
    Services,
    View,
    open_library,
    read_entries,
)
from appnet.interpret.rpc import WALL_AHEAD_NS, values_of
from appnet.processors.envoy.harness.calls import Action, CallUnderTest, Direction, Harness, SubstitutedBody
from appnet.processors.envoy.harness.sharing import Ask, Carrier, Sharing, StateCarrier
from appnet.processors.processor import Denied

_ABI = 7


class _Outcome(Structure):
    _fields_ = [
        ("body", View), ("code", c_int32), ("text", View), ("metadata", POINTER(Entry)), ("trailers", POINTER(Entry)),
        ("more", c_bool),
    ]  # fmt: skip


_Headers = CFUNCTYPE(c_int, c_void_p, c_bool)
_Body = CFUNCTYPE(c_int, c_void_p, POINTER(View), c_size_t, c_bool)
_Trailers = CFUNCTYPE(c_int, c_void_p)
_Take = CFUNCTYPE(c_void_p, c_void_p, POINTER(c_size_t))


class _Module(Structure):
    _fields_ = [
        ("abi", c_uint32),
        ("size", c_uint32),
        ("name", c_char_p),
        ("version", c_char_p),
        ("instance_new", CFUNCTYPE(c_void_p, POINTER(Services), POINTER(Options), POINTER(Carrier))),
        ("instance_free", CFUNCTYPE(None, c_void_p)),
        ("call_new", CFUNCTYPE(c_void_p, c_void_p, c_void_p)),
        ("call_free", CFUNCTYPE(None, c_void_p)),
        ("request_headers", _Headers),
        ("request_body", _Body),
        ("request_trailers", _Trailers),
        ("response_headers", _Headers),
        ("response_body", _Body),
        ("response_trailers", _Trailers),
        ("local_reply", CFUNCTYPE(None, c_void_p, c_uint32)),
        ("response_over", CFUNCTYPE(None, c_void_p)),
        ("deadline", CFUNCTYPE(c_int, c_void_p)),
        ("outcome", CFUNCTYPE(POINTER(_Outcome), c_void_p)),
        ("telemetry_take", _Take),
        ("telemetry_pending", CFUNCTYPE(c_bool, c_void_p)),
        ("metrics_take", _Take),
        ("metrics_pending", CFUNCTYPE(c_bool, c_void_p)),
        ("spans_take", CFUNCTYPE(c_void_p, c_void_p, POINTER(c_size_t), POINTER(c_uint64))),
        ("spans_pending", CFUNCTYPE(c_bool, c_void_p)),
        ("spans_lost", CFUNCTYPE(None, c_void_p, c_uint64)),
        ("spans_share", CFUNCTYPE(None, c_void_p, c_uint32)),
        ("state_dump", _Take),
        ("release", CFUNCTYPE(None, c_void_p)),
        ("sharing", POINTER(Sharing)),
    ]


class ModuleUnderTest(Harness):
    """One instance of a native module. ``keeper``: the address of an ``an_keeper``, which keeps its state.

    ``ask``: how it reaches the store of shared state, where it is known by ``name``; without, it shares none.
    """

    def __init__(
        self,
        module: bytes,
        *,
        seed: int = 1,
        backend_count: int = 0,
        max_message: int = 4 << 20,
        now_ns: int = 1_000_000_000,
        resource: bytes = b"",
        keeper: int | None = None,
        name: bytes = b"1",
        ask: Ask | None = None,
    ) -> None:
        self.now_ns, self.wall_ahead_ns = now_ns, WALL_AHEAD_NS
        self.calls: dict[int, _Call] = {}
        self.alive: list[bytes] = []  # header values that the module was given, until the event ends
        self._count = 0
        self.table = _Module.in_dll(open_library(module), "appnet_module")
        assert (self.table.abi, self.table.size) == (_ABI, ctypes.sizeof(_Module))
        self.name, self.version = self.table.name.decode(), self.table.version.decode()
        self._services = self._make_services()
        kept = ctypes.create_string_buffer(resource, len(resource))
        view = View(ctypes.addressof(kept), len(resource))
        options = Options(seed, max_message, backend_count, view, keeper)
        self.carrier = StateCarrier(name, ask) if ask is not None else None
        carrier = ctypes.byref(self.carrier.table) if self.carrier is not None else None
        instance = self.table.instance_new(ctypes.byref(self._services), ctypes.byref(options), carrier)
        assert instance, "instance_new gave NULL"
        self.instance: int = instance
        # The services are kept by the finalizer: the chain may use them to its end.
        self._free = weakref.finalize(
            self, lambda _kept, free: free(instance), (self._services, self.carrier), self.table.instance_free
        )
        if self.carrier is not None:
            self.carrier.attach(self.table.sharing, instance)

    def _make_services(self) -> Services:
        this = weakref.ref(self)

        def now_ns(_host: int) -> int:
            module = this()
            return module.now_ns if module else 0

        def wall_ns(host: int) -> int:
            module = this()
            return now_ns(host) + (module.wall_ahead_ns if module else 0)

        def metadata_get(call: int, header_map: int, key: View, value: View) -> bool:
            module = this()
            assert module
            for found in module.values(call, header_map, key)[:1]:
                value[0] = module.lend(found)
                return True
            return False

        def metadata_values(call: int, header_map: int, key: View, place: View, room: int) -> int:
            module = this()
            assert module
            found = module.values(call, header_map, key)
            for index, value in enumerate(found[:room]):
                place[index] = module.lend(value)
            return len(found)

        def metadata_set(call: int, header_map: int, key: View, value: View) -> None:
            module = this()
            assert module
            module.calls[call].header_map(header_map)[key.read().decode("latin-1")] = value.read()

        def metadata_remove(call: int, header_map: int, key: View) -> None:
            module = this()
            assert module
            module.calls[call].header_map(header_map).pop(key.read().decode("latin-1"), None)

        def peer(call: int, place: View) -> bool:
            module = this()
            assert module
            place[0] = module.lend(module.calls[call].peer)
            return True

        def end_at(call: int, at_ns: int) -> None:
            module = this()
            assert module
            module.calls[call].ends_at_ns = at_ns

        return Services(
            None, NowNs(now_ns), NowNs(wall_ns), MetadataGet(metadata_get), MetadataSet(metadata_set),
            MetadataValues(metadata_values), MetadataRemove(metadata_remove), Peer(peer), EndAt(end_at),
        )  # fmt: skip

    def values(self, call: int, header_map: int, key: View) -> tuple[bytes, ...]:
        """All values of the key."""
        found = self.calls[call].header_map(header_map).get(key.read().decode("latin-1"))
        return () if found is None else values_of(found)

    def lend(self, text: bytes) -> View:
        """The text, until the event ends."""
        self.alive.append(text)
        return View(ctypes.cast(c_char_p(text), c_void_p).value, len(text))

    def call(self) -> _Call:
        """A call through this instance."""
        self._count += 1
        return _Call(self, self._count)

    def end(self) -> None:
        """The instance ends; its calls have ended."""
        if self.carrier is not None and not self.carrier.leave():
            return  # ends of its calls still wait for the store, and so it stays
        self._free()

    def state_dump(self) -> str:
        """All state that outlives calls, as `appnet.interpret.dump` writes it."""
        return self._take(self.table.state_dump).decode()

    def take_telemetry(self) -> list[bytes]:
        """The batches that the instance has for its collector now."""
        pending = self.table.telemetry_pending(self.instance)
        batch = self._take(self.table.telemetry_take)
        assert pending == bool(batch)
        return [batch] if batch else []

    def take_spans(self) -> bytes:
        """The encoded ExportTraceServiceRequest that it has for its collector now; empty where there is none."""
        pending, count = self.table.spans_pending(self.instance), c_uint64()
        batch = self._take(lambda instance, size: self.table.spans_take(instance, size, ctypes.byref(count)))
        assert pending == bool(batch) == bool(count.value)
        return batch

    def _take(self, function: object) -> bytes:
        size = c_size_t()
        data = function(self.instance, ctypes.byref(size))  # type: ignore[operator]
        try:
            return ctypes.string_at(data, size.value) if data else b""
        finally:
            self.table.release(data)


class _Call(CallUnderTest):
    def __init__(self, module: ModuleUnderTest, number: int) -> None:
        super().__init__()
        self._module = module
        self._number = number
        module.calls[number] = self
        self._call = module.table.call_new(module.instance, number)
        self._body_outcome = SubstitutedBody(b"")
        self.ends_at_ns: int | None = None
        assert self._call

    def end(self) -> None:
        if self._module.carrier is not None:
            self._module.carrier.run(self._free)
        else:
            self._free()

    def _free(self) -> None:
        self._module.table.response_over(self._call)
        self._module.table.call_free(self._call)
        del self._module.calls[self._number]

    def local_reply(self, http_status: int) -> None:
        """The proxy answers in the place of a response that had begun."""
        self._module.table.local_reply(self._call, http_status)

    def deadline(self) -> Action:
        """The time has come that the chain has told."""
        action = self._action(self._module.table.deadline(self._call))
        if action is Action.REPLY:
            self.reply = self._denied
        return action

    def header_map(self, header_map: int) -> dict[str, bytes]:
        return (self.request.headers, self.response.headers, self.response.trailers)[header_map]

    def _headers(self, direction: Direction, end: bool) -> Action:
        table = self._module.table
        return self._action(
            (table.request_headers if direction is self.request else table.response_headers)(self._call, end)
        )

    def _body(self, direction: Direction, chunks: list[bytes], end: bool) -> Action:
        # Each chunk in memory of its own, so that a sanitizer sees a read past its end.
        memory = [ctypes.create_string_buffer(chunk, max(len(chunk), 1)) for chunk in chunks]
        views = (View * len(chunks))(
            *(View(ctypes.addressof(piece), len(chunk)) for piece, chunk in zip(memory, chunks, strict=True))
        )
        table = self._module.table
        event = table.request_body if direction is self.request else table.response_body
        action = self._action(event(self._call, views, len(chunks), end))
        for piece in memory:
            ctypes.memset(piece, 0xDD, len(piece))  # views of the chunks must not outlive the event
        return action

    def _trailers(self, direction: Direction) -> Action:
        table = self._module.table
        event = table.request_trailers if direction is self.request else table.response_trailers
        return self._action(event(self._call))

    def _action(self, number: int) -> Action:
        action = Action(number)
        if action in {Action.REPLACE, Action.RESPOND}:  # it may lie in the chunks: read it while they are there
            outcome = self._outcome_now()
            own = (read_entries(outcome.metadata), read_entries(outcome.trailers)) if action is Action.RESPOND else ()
            self._body_outcome = SubstitutedBody(outcome.body.read(), *own)
        if action is Action.REPLY:
            outcome = self._outcome_now()
            self._denied = Denied(outcome.code, outcome.text.read(), read_entries(outcome.metadata))
        self._module.alive.clear()
        return action

    def _outcome_now(self) -> _Outcome:
        outcome: _Outcome = self._module.table.outcome(self._call).contents
        return outcome

    def _replacement(self) -> bytes:
        return self._body_outcome.body

    def _substitute(self) -> SubstitutedBody:
        return self._body_outcome

    def _denial(self) -> Denied:
        return self._denied
