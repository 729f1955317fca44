"""The load generator: what it sends, how fast, and what became of it."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

from appnet.measure.load.programs import program

_GRACE_SECONDS = 30.0


class LoadError(Exception):
    """The load could not be run: nothing was connected, or the generator ended badly."""


@dataclass(frozen=True)
class Request:
    """One kind of unary call. ``message`` is the protobuf message, ``weight`` its share among the kinds."""

    message: bytes
    path: str = "/echo.EchoService/echo"
    metadata: tuple[tuple[str, str], ...] = ()
    weight: int = 1

    def encode(self) -> bytes:
        """As client.c reads it."""
        fixed = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", self.path),
            (":authority", "load"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        )
        block = b"".join(b"\0" + _literal(name) + _literal(value) for name, value in _encoded((*fixed, *self.metadata)))
        body = b"\0" + struct.pack(">I", len(self.message)) + self.message
        return struct.pack("<III", self.weight, len(block), len(body)) + block + body


@dataclass(frozen=True)
class LoadSettings:
    """How to send.

    ``connections`` times ``streams`` calls are kept in flight, until ``count`` calls are made or ``seconds`` are over.
    With ``rate``, calls start so many a second instead, each on a free stream, and a call's latency counts from when
    it was due. ``capture`` names response headers, and ``bodies`` says whether answers, by which outcomes are told
    apart in addition to status and message.
    """

    connections: int = 1
    streams: int = 1
    count: int | None = None
    seconds: float = 60.0
    rate: float | None = None
    capture: tuple[str, ...] = ()
    bodies: bool = False

    def arguments(self) -> list[str]:
        """As client.c takes them."""
        out = ["--connections", str(self.connections), "--streams", str(self.streams), "--seconds", str(self.seconds)]
        if self.count is not None:
            out += ["--count", str(self.count)]
        if self.rate is not None:
            out += ["--rate", str(self.rate)]
        for name in self.capture:
            out += ["--capture", name]
        return [*out, "--bodies"] if self.bodies else out


@dataclass(frozen=True)
class CallOutcome:
    """Calls that ended alike.

    ``status`` is the gRPC status, None where the transport failed, and then ``message`` says how. ``captured`` are
    the values of the captured response headers, empty where absent; ``body`` is the gRPC-framed answer if bodies are
    told apart. Times are nanoseconds of the monotonic clock: of the first and the last such call's start and end.
    """

    status: int | None
    message: str
    captured: tuple[str, ...]
    body: bytes
    count: int
    first_start: int
    last_start: int
    first_end: int
    last_end: int

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> CallOutcome:
        """From client.c's JSON."""
        message, *captured, body = (bytes.fromhex(part) for part in entry["parts"])
        times = (entry[key] for key in ("count", "first_start", "last_start", "first_end", "last_end"))
        return cls(
            None if entry["status"] < 0 else entry["status"],
            unquote_to_bytes(message).decode("utf-8", "replace"),
            tuple(value.decode("utf-8", "replace") for value in captured),
            body,
            *times,
        )


@dataclass(frozen=True)
class Latency:
    """Latencies in nanoseconds, known to within 1 in 128."""

    mean: int
    p50: int
    p90: int
    p99: int
    p999: int
    max: int


@dataclass(frozen=True)
class LoadResult:
    """What became of a run.

    ``finished`` calls ended, ``failed`` of them by the transport (any gRPC status counts as an answer). ``unstarted``
    calls were due at the given rate and found no stream before the end. ``overflowed`` calls had an outcome beyond
    the first 4096 distinct ones and are in no entry of ``outcomes``.
    """

    finished: int
    failed: int
    unstarted: int
    overflowed: int
    connects: int
    seconds: float
    latency: Latency
    outcomes: tuple[CallOutcome, ...]

    @property
    def rate(self) -> float:
        """Calls that ended, a second."""
        return self.finished / self.seconds if self.seconds else 0.0

    def by_status(self) -> dict[tuple[int | None, str], int]:
        """How many calls ended with each status and message."""
        counts: dict[tuple[int | None, str], int] = {}
        for outcome in self.outcomes:
            key = (outcome.status, outcome.message)
            counts[key] = counts.get(key, 0) + outcome.count
        return counts

    @classmethod
    def parse(cls, text: str) -> LoadResult:
        """From client.c's JSON."""
        data = json.loads(text)
        outcomes = sorted((CallOutcome.parse(entry) for entry in data.pop("outcomes")), key=lambda it: it.first_start)
        return cls(latency=Latency(**data.pop("latency_ns")), outcomes=tuple(outcomes), **data)


class Load:
    """A run in the background, for what has to happen while calls are made. A context manager ends it.

    It stops by itself (``LoadSettings.count``, ``seconds``) or when told, and cannot outlive this process.
    """

    def __init__(self, port: int, requests: Sequence[Request], settings: LoadSettings) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="load-")
        file = Path(self._folder.name, "requests")
        file.write_bytes(b"".join(request.encode() for request in requests))
        command = [str(program("client")), "--port", str(port), "--requests", str(file), *settings.arguments()]
        self._seconds = settings.seconds
        self._out = Path(self._folder.name, "result")  # a file, since a pipe would have to be read all the while
        self._err = Path(self._folder.name, "errors")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Starts no more calls; those in flight are waited for. Safe to call again."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def result(self) -> LoadResult:
        """Waits until it has ended by itself or after ``stop``; raises ``LoadError`` where it could not be run."""
        try:
            code = self._process.wait(self._seconds + _GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise LoadError("the load generator did not end") from None
        if code != 0:
            raise LoadError(self._err.read_text().strip() or "not all connections could be made within ten seconds")
        return LoadResult.parse(self._out.read_text())

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None:
            self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def run_load(port: int, requests: Sequence[Request], settings: LoadSettings) -> LoadResult:
    """Sends ``requests`` to 127.0.0.1:``port`` and waits for the end; raises ``LoadError``."""
    with Load(port, requests, settings) as load:
        return load.result()


def _encoded(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]


def _literal(text: bytes) -> bytes:
    """An HPACK string without Huffman coding."""
    if len(text) < 0x7F:
        return bytes([len(text)]) + text
    rest, out = len(text) - 0x7F, bytearray([0x7F])
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out) + text
