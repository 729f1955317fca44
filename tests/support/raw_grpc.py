"""A gRPC client and server at the level of HTTP/2 frames, for what well-behaved libraries never send.

Blocking sockets and the `h2` state machine; each object serves one test and is closed by it.
"""

from __future__ import annotations

import functools
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

Headers = list[tuple[str, str]]


def frame(message: bytes, *, flags: int = 0, length: int | None = None) -> bytes:
    """A gRPC length-prefixed message; ``length`` lies about its size when given."""
    return struct.pack(">BI", flags, len(message) if length is None else length) + message


def string_field(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field with a one-byte tag and a size below 2**28."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass
class Reply:
    """What came back on one stream: header blocks in order, body bytes, and how it ended."""

    blocks: list[Headers] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    closed: bool = False

    def header(self, name: str) -> str | None:
        for block in reversed(self.blocks):
            for key, value in block:
                if key == name:
                    return value
        return None

    @property
    def grpc_status(self) -> int | None:
        status = self.header("grpc-status")
        return None if status is None else int(status)

    @property
    def is_trailers_only(self) -> bool:
        return self.ended and len(self.blocks) == 1 and not self.body and self.grpc_status is not None


class RawClient:
    """One HTTP/2 connection with prior knowledge."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        )
        self._early: list[h2.events.Event] = []  # read while waiting for something else
        self._h2.initiate_connection()
        self._flush()
        # Huffman coding of a header of 1 MiB would take Python a minute.
        self._h2.encoder.encode = functools.partial(self._h2.encoder.encode, huffman=False)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def start(
        self,
        path: str,
        extra: Sequence[tuple[str, str]] = (),
        *,
        end_stream: bool = False,
        content_type: str = "application/grpc",
    ) -> int:
        stream = self._h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "server"),
            ("te", "trailers"),
        ]
        self._h2.send_headers(stream, [*headers, ("content-type", content_type), *extra], end_stream=end_stream)
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, *, end_stream: bool = False, frame_size: int = 16_000) -> None:
        pieces = [data[i : i + frame_size] for i in range(0, len(data), frame_size)] or [b""]
        for index, piece in enumerate(pieces):
            while self._h2.local_flow_control_window(stream) < len(piece):
                self._receive_once({})
            self._h2.send_data(stream, piece, end_stream=end_stream and index == len(pieces) - 1)
            self._flush()

    def reset(self, stream: int) -> None:
        """The caller gives the call up."""
        self._h2.reset_stream(stream, error_code=8)
        self._flush()

    def ping(self) -> None:
        """Sends a ping and waits until it is answered: all that was sent before has been read by then."""
        self._h2.ping(b"appnet!!")
        self._flush()
        while True:
            for event in self._events():
                if isinstance(event, h2.events.PingAckReceived):
                    return
                self._early.append(event)

    def _events(self) -> list[h2.events.Event]:
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError("closed by the peer")
        events = self._h2.receive_data(data)
        self._flush()
        return events

    def _receive_once(self, replies: dict[int, Reply]) -> None:
        early, self._early = self._early, []
        for event in early or self._events():
            self._note(event, replies)

    def _note(self, event: h2.events.Event, replies: dict[int, Reply]) -> None:
        reply = replies.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self._flush()
        if reply is None:
            return
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            reply.blocks.append(list(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            reply.body += event.data
        elif isinstance(event, h2.events.StreamEnded):
            reply.ended = True
        elif isinstance(event, h2.events.StreamReset):
            reply.reset = event.error_code

    def receive(self, stream: int) -> Reply:
        """The reply on the stream, once it ended, was reset, or the connection closed."""
        reply = Reply()
        try:
            while not (reply.ended or reply.reset is not None):
                self._receive_once({stream: reply})
        except (ConnectionError, TimeoutError, h2.exceptions.ProtocolError):
            reply.closed = True
        return reply

    def call(self, path: str, body: bytes, extra: Sequence[tuple[str, str]] = ()) -> Reply:
        stream = self.start(path, extra)
        self.send(stream, body, end_stream=True)
        return self.receive(stream)


@dataclass
class SeenRequest:
    headers: Headers
    body: bytes = b""
    ended: bool = False

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class RecordingServer:
    """A gRPC server that writes down every request it sees, headers at once, and answers with ``reply``.

    It answers when the request ends: headers, the message in DATA frames of ``reply_frame_size`` bytes, trailers,
    while it is ``answering``; or resets the stream, where ``resets_with`` is an error code of HTTP/2, after so many
    seconds.
    """

    def __init__(self, reply: bytes = frame(b""), *, status: int = 0, reply_frame_size: int = 16_000) -> None:
        self.reply = reply
        self.status = status
        self.reply_headers: Headers = []
        self.reply_frame_size = reply_frame_size
        self.answering = True
        self.resets_with: int | None = None
        self.resets_after = 0.0
        self.seen: list[SeenRequest] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RecordingServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes no more connections."""
        self._stopping = True
        self._listener.shutdown(socket.SHUT_RDWR)  # a thread that waits in accept() would keep it open
        self._listener.close()

    def wait_for(self, count: int, timeout: float = 5.0) -> None:
        deadline = time.monotonic() + timeout
        while len(self.seen) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(self.seen) >= count, f"the server saw {len(self.seen)} requests, not {count}"

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        requests: dict[int, SeenRequest] = {}
        while not self._stopping:
            try:
                data = connection.recv(65_536)
                if not data:
                    return
                for event in state.receive_data(data):
                    self._handle(event, state, requests)
                connection.sendall(state.data_to_send())
            except (OSError, h2.exceptions.ProtocolError):
                return

    def _handle(
        self, event: h2.events.Event, state: h2.connection.H2Connection, requests: dict[int, SeenRequest]
    ) -> None:
        if isinstance(event, h2.events.RequestReceived):
            requests[event.stream_id] = SeenRequest(list(event.headers))
            self.seen.append(requests[event.stream_id])
        elif isinstance(event, h2.events.DataReceived):
            requests[event.stream_id].body += event.data
            state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            requests[event.stream_id].ended = True
            if self.resets_with is not None:
                time.sleep(self.resets_after)
                state.reset_stream(event.stream_id, error_code=self.resets_with)
            elif self.answering:
                self._answer(state, event.stream_id)

    def _answer(self, state: h2.connection.H2Connection, stream: int) -> None:
        base = [(":status", "200"), ("content-type", "application/grpc"), *self.reply_headers]
        trailers = [("grpc-status", str(self.status)), *([("grpc-message", "server says no")] if self.status else [])]
        if self.status and not self.reply:
            state.send_headers(stream, [*base, *trailers], end_stream=True)
            return
        state.send_headers(stream, base)
        for start in range(0, len(self.reply), self.reply_frame_size):
            state.send_data(stream, self.reply[start : start + self.reply_frame_size])
        state.send_headers(stream, trailers, end_stream=True)
