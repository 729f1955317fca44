"""A gRPC service whose calls last as long as their callers let them, by gRPC's own server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc

from appnet.application.proto import load_proto
from appnet.diagnostics.source import TextSource
from appnet.language.messages import MethodSignature
from tests.support.raw_grpc import string_field
from tests.support.serving import serve

PROTO = """syntax = "proto3";
package calls;
service Calls {
  rpc wait(Msg) returns (Msg);
  rpc tick(Msg) returns (stream Msg);
  rpc talk(stream Msg) returns (stream Msg);
}
message Msg { string body = 1; }
"""
WAIT, TICK, TALK = (f"/calls.Calls/{it}" for it in ("wait", "tick", "talk"))
ANY_SIZE = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_LONGEST_SECONDS = 60.0  # of a call whose end nobody told


def methods() -> dict[str, MethodSignature]:
    """Those of the service, by path."""
    read = load_proto(TextSource(Path("calls.proto"), PROTO))
    return {it: read.method(it.rpartition("/")[2]) for it in (WAIT, TICK, TALK)}


def message(body: str) -> bytes:
    return string_field(1, body.encode())


class CallsServer:
    """``wait`` answers once its call has ended or was `released`; ``tick`` sends messages until then; ``talk`` echoes."""

    def __init__(self, threads: int = 512) -> None:
        self.released = threading.Event()
        handlers = {
            "wait": grpc.unary_unary_rpc_method_handler(self._wait),
            "tick": grpc.unary_stream_rpc_method_handler(self._tick),
            "talk": grpc.stream_stream_rpc_method_handler(self._talk),
        }
        self._server, self.port = serve("calls.Calls", handlers, threads=threads, options=ANY_SIZE)

    def _wait(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        ended = threading.Event()
        context.add_callback(ended.set)
        for _ in range(int(_LONGEST_SECONDS / 0.02)):
            if self.released.is_set() or ended.wait(0.02):
                break
        return request

    def _tick(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        ended = threading.Event()
        context.add_callback(ended.set)
        for _ in range(int(_LONGEST_SECONDS / 0.02)):
            yield request
            if ended.wait(0.02):
                return

    def _talk(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def close(self) -> None:
        self.released.set()
        self._server.stop(None)
