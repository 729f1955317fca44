"""Runs a wasm module in wasmtime, with as much of a proxy-wasm 0.2.1 host as chains use."""

from __future__ import annotations

import functools
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import wasmtime

from appnet.interpret.rpc import WALL_AHEAD_NS, values_of
from appnet.processors.envoy.harness.calls import (
    Action,
    CallUnderTest,
    Direction,
    Harness,
    SubstitutedBody,
    encode_options,
)
from appnet.processors.envoy.harness.posting import MERGE_MS, TIMEOUT_MS, PostCarrier
from appnet.processors.envoy.harness.sharing import Ask
from appnet.processors.envoy.sealed import sealed
from appnet.processors.envoy.targets import REPLY_MARK
from appnet.processors.processor import Denied
from appnet.state.gateway import PATH

_OK, _NOT_FOUND, _BAD_ARGUMENT, _EMPTY, _CAS_MISMATCH = 0, 1, 2, 7, 8
_ROOT = 1
_CONTINUE, _PAUSE = 0, 1
_REQUEST_BODY, _RESPONSE_BODY, _HTTP_CALL_RESPONSE_BODY, _PLUGIN_CONFIGURATION = 0, 1, 4, 7
_REALTIME = 0
_HTTP_CALL_RESPONSE_HEADERS = 6
_MODULE_FAILED_TO_ALLOCATE = 10
_STATUS = ("grpc-status", "grpc-message", "content-type")


@dataclass
class SharedData:
    """What machines of one id share in a proxy. Those that got messages are told of them by `deliver` alone."""

    data: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    queues: dict[bytes, int] = field(default_factory=dict)
    messages: dict[int, deque[bytes]] = field(default_factory=dict)
    readers: dict[int, ModuleUnderTest] = field(default_factory=dict)
    turns: int = 0
    posted: list[int] = field(default_factory=list)

    def deliver(self) -> None:
        """Tells the machines that there are messages in their queues."""
        posted, self.posted = self.posted, []
        for queue in posted:
            self.readers[queue].run("proxy_on_queue_ready", _ROOT, queue)


class ModuleUnderTest(Harness):
    """One instance of a wasm module, in a machine of its own. ``shared``: with other machines of its id.

    ``ask``: how the gateway reaches the store of shared state, where the module is known by ``name``, a number;
    without, it shares none.
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
        shared: SharedData | None = None,
        name: bytes = b"1",
        ask: Ask | None = None,
    ) -> None:
        self.now_ns = now_ns
        self.shared = SharedData() if shared is None else shared
        self.host_calls = 0
        self.current: _Call | None = None
        self.calls: dict[int, _Call] = {}
        self.posted: list[bytes] = []  # records
        self.counted: list[bytes] = []  # metrics
        self.logged: list[str] = []
        self.response_body: bytes | None = None
        self._contexts = _ROOT
        self._random = bytes(int(digit, 16) for digit in f"{int(name):016x}")  # what modules make names of
        self._options = encode_options(seed, max_message, backend_count, resource)
        self.carrier = PostCarrier(self, ask) if ask is not None else None
        if self.carrier is not None:
            self._options += struct.pack("<II", TIMEOUT_MS, MERGE_MS) + b"pass"
        self._options = sealed(self._options).value
        engine, compiled = _compile(module)
        self._store = wasmtime.Store(engine)
        exports = _linker(self, engine).instantiate(self._store, compiled).exports(self._store)
        self._functions = {name: item for name, item in exports.items() if isinstance(item, wasmtime.Func)}
        memory = exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        assert "proxy_abi_version_0_2_1" in self._functions
        assert self.run("proxy_on_configure", _ROOT, len(self._options)) == 1, self.logged
        if self.carrier is not None:
            self.carrier.settle()

    @property
    def exported(self) -> set[str]:
        """The functions that the module exports."""
        return set(self._functions)

    def call(self) -> _Call:
        """A call through this instance."""
        self._contexts += 1
        return _Call(self, self._contexts)

    def end(self) -> None:
        """The machine ends; its calls have ended."""
        if self.carrier is not None:
            self.carrier.leave()
            return
        self.run("proxy_on_done", _ROOT)
        self.run("proxy_on_delete", _ROOT)

    def state_dump(self) -> str:
        """All state that outlives calls, as `appnet.interpret.dump` writes it."""
        place = self._allocate(4)
        data = self.run("appnet_state_dump", place)
        return self.read(data, self._u32(place)).decode()

    def take_telemetry(self) -> list[bytes]:
        """The batches that the instance has for its collector now."""
        self.posted = []
        while "proxy_on_tick" in self._functions:
            before = len(self.posted) + len(self.counted)
            self.tick()
            if len(self.posted) + len(self.counted) == before:
                break
            self.run("proxy_on_http_call_response", _ROOT, 1, 1, 0, 0)
        return self.posted

    def tick(self) -> None:
        """The timer's time has come."""
        self.run("proxy_on_tick", _ROOT)

    def answered(self, token: int, body: bytes | None) -> None:
        """A post of the module's is answered; None: it failed."""
        self.response_body = body
        self.run("proxy_on_http_call_response", _ROOT, token, int(body is not None), len(body or b""), 0)
        self.response_body = None

    def run(self, name: str, *arguments: int) -> int:
        """Calls an export; one that is not there lets all pass, as proxies have it."""
        function = self._functions.get(name)
        return (function(self._store, *arguments) or 0) if function else 0

    # --- the machine's memory ---

    def read(self, at: int, size: int) -> bytes:
        """Bytes of the module's memory."""
        return bytes(self._memory.read(self._store, at & 0xFFFFFFFF, (at & 0xFFFFFFFF) + size))

    def hand_over(self, data: bytes, place: int, size_place: int) -> int:
        """Gives the module bytes of its own."""
        at = self._allocate(len(data))
        if at == 0:
            return _MODULE_FAILED_TO_ALLOCATE
        self._memory.write(self._store, data, at)
        self._memory.write(self._store, struct.pack("<I", at), place)
        self._memory.write(self._store, struct.pack("<I", len(data)), size_place)
        return _OK

    def put_u32(self, at: int, value: int) -> None:
        """Writes a number into the module's memory."""
        self._memory.write(self._store, struct.pack("<I", value), at)

    def put_u64(self, at: int, value: int) -> None:
        """Writes a number into the module's memory."""
        self._memory.write(self._store, struct.pack("<Q", value), at)

    def fill(self, at: int, size: int) -> None:
        """Bytes that are anything, the same ones in every run."""
        self._memory.write(self._store, (self._random * (size // len(self._random) + 1))[:size], at)

    def buffer(self, kind: int) -> bytes | None:
        """What the module sees as this buffer now."""
        if kind == _PLUGIN_CONFIGURATION:
            return self._options
        if kind == _HTTP_CALL_RESPONSE_BODY:
            return self.response_body
        call = self.current
        if call is None or kind not in (_REQUEST_BODY, _RESPONSE_BODY):
            return None
        return call.shown if kind == (_REQUEST_BODY if call.showing is call.request else _RESPONSE_BODY) else None

    def _allocate(self, size: int) -> int:
        return self.run("proxy_on_memory_allocate", size) & 0xFFFFFFFF

    def _u32(self, at: int) -> int:
        number: int = struct.unpack("<I", self.read(at, 4))[0]
        return number


class _Call(CallUnderTest):
    def __init__(self, module: ModuleUnderTest, context: int) -> None:
        super().__init__()
        self._module = module
        self._context = context
        module.calls[context] = self
        self.showing = self.request
        self.shown: bytes | None = None
        self.replaced: bytes | None = None
        self.denied: Denied | None = None
        self._answer = SubstitutedBody(b"")
        self.continued: set[bool] = set()  # whether it is the response that goes on late
        self.marked = False  # the chain answers, and the listener is to give the answer a body

    def deadline(self) -> Action:
        """The proxy's timer says that time has passed."""
        self.denied = None
        self._module.tick()
        if self._module.carrier is not None:
            self._module.carrier.answer()
        self.reply = self.denied
        return Action.CONTINUE if self.denied is None else Action.REPLY

    def end(self) -> None:
        self._module.run("proxy_on_done", self._context)
        self._module.run("proxy_on_delete", self._context)
        del self._module.calls[self._context]
        if self._module.carrier is not None:
            self._module.carrier.carry()

    def header_map(self, kind: int) -> dict[str, bytes] | None:
        maps = {0: self.request.headers, 2: self.response.headers, 3: self.response.trailers}
        return maps.get(kind)

    def _headers(self, direction: Direction, end: bool) -> Action:
        return self._event(direction, "headers", None, len(direction.headers), int(end))

    def _body(self, direction: Direction, chunks: list[bytes], end: bool) -> Action:
        body = b"".join(chunks)
        return self._event(direction, "body", body, len(body), int(end))

    def _trailers(self, direction: Direction) -> Action:
        return self._event(direction, "trailers", b"".join(direction.held), len(direction.trailers))

    def _event(self, direction: Direction, kind: str, shown: bytes | None, *arguments: int) -> Action:
        self.showing, self.shown, self.replaced, self.denied = direction, shown, None, None
        self._module.current = self
        name = f"proxy_on_{'request' if direction is self.request else 'response'}_{kind}"
        self.continued.discard(direction is self.response)
        result = self._module.run(name, self._context, *arguments)
        self._module.current = None
        assert result in (_CONTINUE, _PAUSE)
        if self._module.carrier is not None:
            self._module.carrier.carry()
            if (direction is self.response) in self.continued:
                result = _CONTINUE
        if self.marked:
            return self._respond()
        if self.denied is not None:
            return Action.REPLY
        if result == _PAUSE:
            return Action.HOLD if self.replaced is None else Action.TAKE
        return Action.CONTINUE if self.replaced is None else Action.REPLACE

    def _respond(self) -> Action:
        """Shows the chain its own answer as a response, with the body that a listener's Lua filter gives it."""
        self.marked, self.showing, self.shown = False, self.response, b"?"
        own = {} if self.denied is None else dict(self.denied.metadata)
        head = {":status": b"200", "content-type": b"application/grpc"}
        self.response.headers = {**head, **own, "grpc-status": b"0", REPLY_MARK: b"1", "content-length": b"1"}
        self._module.current = self
        headers = self._module.run("proxy_on_response_headers", self._context, len(self.response.headers), 0)
        body = self._module.run("proxy_on_response_body", self._context, 1, 1)
        self._module.current = None
        assert (headers, body) == (_PAUSE, _CONTINUE)
        assert self.response.headers == {**head, **own}
        trailers = dict(self.response.trailers)
        assert trailers.pop("grpc-status") == b"0"
        self._answer = SubstitutedBody(self._replacement(), own, trailers)
        return Action.RESPOND

    def _substitute(self) -> SubstitutedBody:
        return self._answer

    def _replacement(self) -> bytes:
        assert self.replaced is not None
        return self.replaced

    def _denial(self) -> Denied:
        assert self.denied is not None
        return self.denied


# --- what the host offers ------------------------------------------------------------------------


@functools.cache
def _compile(module: bytes) -> tuple[wasmtime.Engine, wasmtime.Module]:
    engine = wasmtime.Engine()
    return engine, wasmtime.Module(engine, module)


def _linker(module: ModuleUnderTest, engine: wasmtime.Engine) -> wasmtime.Linker:
    linker = wasmtime.Linker(engine)

    def define(space: str, name: str, parameters: int | list[wasmtime.ValType], function: Callable[..., int]) -> None:
        i32 = wasmtime.ValType.i32()
        kinds = [i32] * parameters if isinstance(parameters, int) else parameters

        def counted(*arguments: int) -> int:
            module.host_calls += 1
            return function(module, *arguments)

        linker.define_func(space, name, wasmtime.FuncType(kinds, [i32]), counted)

    i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
    define("env", "proxy_log", 3, _log)
    define("env", "proxy_get_header_map_value", 5, _get_header)
    define("env", "proxy_get_header_map_pairs", 3, _get_header_pairs)
    define("env", "proxy_replace_header_map_value", 5, _replace_header)
    define("env", "proxy_remove_header_map_value", 3, _remove_header)
    define("env", "proxy_set_header_map_pairs", 3, _set_header_pairs)
    define("env", "proxy_get_property", 4, _get_property)
    define("env", "proxy_set_effective_context", 1, _set_effective_context)
    define("env", "proxy_continue_stream", 1, _continue)
    define("env", "proxy_get_buffer_bytes", 5, _get_buffer)
    define("env", "proxy_set_buffer_bytes", 5, _set_buffer)
    define("env", "proxy_send_local_response", 8, _send_local_response)
    define("env", "proxy_set_tick_period_milliseconds", 1, lambda _module, _period: _OK)
    define("env", "proxy_http_call", 10, _http_call)
    define("env", "proxy_get_shared_data", 5, _get_shared)
    define("env", "proxy_set_shared_data", 5, _set_shared)
    define("env", "proxy_register_shared_queue", 3, _register_queue)
    define("env", "proxy_enqueue_shared_queue", 3, _enqueue)
    define("env", "proxy_dequeue_shared_queue", 3, _dequeue)
    define("env", "proxy_done", 0, lambda _module: _OK)
    define("wasi_snapshot_preview1", "clock_time_get", [i32, i64, i32], _clock)
    define("wasi_snapshot_preview1", "random_get", 2, _random)
    return linker


def _log(module: ModuleUnderTest, _level: int, text: int, size: int) -> int:
    module.logged.append(module.read(text, size).decode())
    return _OK


def _map(module: ModuleUnderTest, kind: int) -> dict[str, bytes] | None:
    if kind == _HTTP_CALL_RESPONSE_HEADERS:
        return {":status": b"200"}  # the collector takes all
    return module.current.header_map(kind) if module.current else None


def _get_header(module: ModuleUnderTest, kind: int, key: int, key_size: int, place: int, size_place: int) -> int:
    headers = _map(module, kind)
    if headers is None:
        return _BAD_ARGUMENT
    value = headers.get(module.read(key, key_size).decode("latin-1"))
    return _NOT_FOUND if value is None else module.hand_over(values_of(value)[0], place, size_place)


def _get_header_pairs(module: ModuleUnderTest, kind: int, place: int, size_place: int) -> int:
    headers = _map(module, kind)
    if headers is None:
        return _BAD_ARGUMENT
    pairs = [(key.encode("latin-1"), it) for key, value in headers.items() for it in values_of(value)]
    texts = [text for pair in pairs for text in pair]
    sizes = struct.pack(f"<{1 + len(texts)}I", len(pairs), *map(len, texts))
    return module.hand_over(sizes + b"".join(text + b"\0" for text in texts), place, size_place)


def _replace_header(module: ModuleUnderTest, kind: int, key: int, key_size: int, value: int, size: int) -> int:
    headers = _map(module, kind)
    if headers is None:
        return _BAD_ARGUMENT
    headers[module.read(key, key_size).decode("latin-1")] = module.read(value, size)
    return _OK


def _remove_header(module: ModuleUnderTest, kind: int, key: int, key_size: int) -> int:
    headers = _map(module, kind)
    if headers is None:
        return _BAD_ARGUMENT
    headers.pop(module.read(key, key_size).decode("latin-1"), None)
    return _OK


def _read_pairs(module: ModuleUnderTest, pairs: int, size: int) -> dict[str, bytes]:
    """A map of one value for each key, as the module wrote it."""
    data = module.read(pairs, size)
    count = struct.unpack_from("<I", data)[0]
    sizes = struct.unpack_from(f"<{2 * count}I", data, 4)
    texts, at = [], 4 + 8 * count
    for it in sizes:
        texts.append(data[at : at + it])
        at += it + 1
    return {key.decode(): value for key, value in zip(texts[::2], texts[1::2], strict=True)}


def _set_header_pairs(module: ModuleUnderTest, kind: int, pairs: int, size: int) -> int:
    headers = _map(module, kind)
    if headers is None:
        return _BAD_ARGUMENT
    headers.clear()
    headers.update(_read_pairs(module, pairs, size))
    if "grpc-status" in headers and module.current is not None:  # the module ends the response in its own way
        own = {key: value for key, value in headers.items() if key not in _STATUS and not key.startswith(":")}
        code, text = int(headers["grpc-status"]), unquote_to_bytes(headers["grpc-message"])
        module.current.denied = Denied(code, text, own)
    return _OK


def _get_property(module: ModuleUnderTest, path: int, path_size: int, place: int, size_place: int) -> int:
    if module.read(path, path_size) != b"connection\0uri_san_peer_certificate" or module.current is None:
        return _NOT_FOUND
    return module.hand_over(module.current.peer, place, size_place) if module.current.peer else _NOT_FOUND


def _set_effective_context(module: ModuleUnderTest, context: int) -> int:
    module.current = module.calls.get(context)
    return _OK if module.current is not None else _BAD_ARGUMENT


def _continue(module: ModuleUnderTest, direction: int) -> int:
    if module.current is None:
        return _BAD_ARGUMENT
    module.current.continued.add(bool(direction))
    return _OK


def _get_buffer(module: ModuleUnderTest, kind: int, start: int, size: int, place: int, size_place: int) -> int:
    data = module.buffer(kind)
    if data is None:
        return _NOT_FOUND
    start, size = start & 0xFFFFFFFF, size & 0xFFFFFFFF
    return module.hand_over(data[start : start + size], place, size_place)


def _set_buffer(module: ModuleUnderTest, kind: int, start: int, size: int, data: int, data_size: int) -> int:
    call, old = module.current, module.buffer(kind)
    if call is None or old is None:
        return _BAD_ARGUMENT
    start, size = start & 0xFFFFFFFF, size & 0xFFFFFFFF
    call.shown = call.replaced = old[:start] + module.read(data, data_size) + old[start + size :]
    return _OK


def _send_local_response(
    module: ModuleUnderTest,
    _status: int,
    _details: int,
    _details_size: int,
    body: int,
    body_size: int,
    headers: int,
    headers_size: int,
    grpc_status: int,
) -> int:
    if module.current is None:
        return _BAD_ARGUMENT
    metadata = _read_pairs(module, headers, headers_size)
    module.current.marked = metadata.pop(REPLY_MARK, None) is not None
    module.current.denied = Denied(grpc_status, module.read(body, body_size), metadata)
    return _OK


def _http_call(module: ModuleUnderTest, *arguments: int) -> int:
    cluster, cluster_size, headers, headers_size, body, body_size, *_, token = arguments
    assert module.read(cluster, cluster_size) == b"appnet-telemetry"
    head = module.read(headers, headers_size)
    if PATH.encode() in head:
        assert module.carrier is not None
        assert b"Bearer pass\0" in head
        module.put_u32(token, module.carrier.post(module.read(body, body_size)))
        return _OK
    of_metrics = b"/v1/metrics" in head
    (module.counted if of_metrics else module.posted).append(module.read(body, body_size))
    return _OK


def _get_shared(module: ModuleUnderTest, key: int, key_size: int, place: int, size_place: int, cas_place: int) -> int:
    found = module.shared.data.get(module.read(key, key_size))
    if found is None:
        return _NOT_FOUND
    module.put_u32(cas_place, found[1])
    return module.hand_over(found[0], place, size_place)


def _set_shared(module: ModuleUnderTest, key: int, key_size: int, value: int, size: int, cas: int) -> int:
    shared, name = module.shared, module.read(key, key_size)
    if cas and name in shared.data and shared.data[name][1] != cas:
        return _CAS_MISMATCH
    shared.turns += 1
    shared.data[name] = module.read(value, size), shared.turns
    return _OK


def _register_queue(module: ModuleUnderTest, name: int, size: int, place: int) -> int:
    shared = module.shared
    queue = shared.queues.setdefault(module.read(name, size), len(shared.queues) + 1)
    shared.messages.setdefault(queue, deque())
    shared.readers[queue] = module
    module.put_u32(place, queue)
    return _OK


def _enqueue(module: ModuleUnderTest, queue: int, data: int, size: int) -> int:
    if queue not in module.shared.messages:
        return _NOT_FOUND
    module.shared.messages[queue].append(module.read(data, size))
    module.shared.posted.append(queue)
    return _OK


def _dequeue(module: ModuleUnderTest, queue: int, place: int, size_place: int) -> int:
    messages = module.shared.messages.get(queue)
    if messages is None:
        return _NOT_FOUND
    return module.hand_over(messages.popleft(), place, size_place) if messages else _EMPTY


def _clock(module: ModuleUnderTest, clock: int, _precision: int, place: int) -> int:
    module.put_u64(place, module.now_ns + (WALL_AHEAD_NS if clock == _REALTIME else 0))
    return _OK


def _random(module: ModuleUnderTest, place: int, size: int) -> int:
    module.fill(place, size)
    return _OK
