"""The upstream of a benchmark: a gRPC server that costs little."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from appnet.measure.load.programs import program


@dataclass(frozen=True)
class UpstreamReport:
    """What the upstream saw until it was stopped. ``body_bytes`` are those of all requests, gRPC frames included."""

    calls: int
    connections: int
    resets: int
    body_bytes: int


class Upstream:
    """A running gRPC server on a free port of 127.0.0.1.

    It answers every unary call with ``reply`` (a protobuf message), or without one with the request's own message,
    and gives the request headers named in ``echo_headers`` (four at most) back as response headers. A context
    manager; it ends with this process in any case.
    """

    def __init__(self, reply: bytes | None = None, echo_headers: Sequence[str] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="upstream-")
        command = [str(program("server"))]
        if reply is not None:
            file = Path(self._folder.name, "reply")
            file.write_bytes(b"\0" + struct.pack(">I", len(reply)) + reply)
            command += ["--reply", str(file)]
        for name in echo_headers:
            command += ["--echo-header", name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(json.loads(self._process.stdout.readline())["address"].rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def cpu_nanoseconds(self) -> int:
        """CPU time that it has used so far."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0])

    def stop(self) -> UpstreamReport:
        """Ends it and says what it saw; once."""
        out, _ = self._process.communicate()
        self._folder.cleanup()
        return UpstreamReport(**json.loads(out))

    def __enter__(self) -> Upstream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self.stop()
