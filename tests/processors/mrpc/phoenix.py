"""A service with a control socket, in which the real engines of ``rust/appnet-mrpc-host`` answer.

Its program is ``drive``, in Rust: it opens bundles as the adapter has them opened, hands engine requests over as they
came, and runs the messages of tests through the engines while that happens. What is **not** real is what Phoenix itself
does: lists of subscriptions, engines that join and leave, subscriptions that end because they cannot be changed as asked,
and the program and network behind the calls. Phoenix's source says how it does these, and ``golden.txt`` which bytes it
reads and writes.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appnet.processors.mrpc.bincode import Writer
from appnet.processors.mrpc.bundle import function_id
from appnet.processors.mrpc.control import Control
from appnet.processors.mrpc.requests import Answer, read_answer
from tests.processors.mrpc.chains import ECHO
from tests.processors.mrpc.crate import METHODS, Process, encode, index_of

PLAIN = ("MrpcEngine", "TcpRpcAdapterEngine")
ECHO_MESSAGE = METHODS[ECHO].bytes_class("echo.Msg")


@dataclass(frozen=True)
class Program:
    """A subscription. ``stops``: its engines in the order in which requests of the program pass them."""

    pid: int
    sid: int
    service: str = "Mrpc"
    stops: tuple[str, ...] = PLAIN

    def __str__(self) -> str:
        return f"{self.pid}/{self.sid}/{self.service}/{','.join(self.stops)}"


class Phoenix:
    """One that serves at ``path`` as long as it is there. ``has_addon``: it was told of our engines."""

    def __init__(self, folder: Path, *programs: Program, has_addon: bool = True) -> None:
        self.path = folder / "control.sock"
        others = () if has_addon else ("no-addon",)
        self.process = Process(str(self.path), *map(str, programs), *others)
        self.changes()  # it serves once it answers

    def changes(self) -> int:
        """How many requests came that were no lists."""
        return self.process.ask(b"n").u64()

    def stops(self, pid: int, sid: int) -> list[str] | None:
        """The engines of a subscription by type, in their order; None: there is none."""
        with Control(self.path, 5.0) as control:
            found = {(it.pid, it.sid): it.engines for it in control.subscriptions()}
        engines = found.get((pid, sid))
        return None if engines is None else [name for _, name in engines]

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Its engines answer nothing meanwhile."""
        self.process.ask(b"z", Writer().bool(True))
        try:
            yield
        finally:
            self.process.ask(b"z", Writer().bool(False))

    def of(self, pid: int, sid: int) -> None:
        """Messages are this subscription's from now on."""
        self.process.ask(b"e", Writer().u32(pid).u64(sid))

    def send(self, call: int, text: bytes, *, goes_out: bool = True, path: str = ECHO) -> bytes | None:
        """What goes on of a message of the echo application; None: nothing, for it is refused. Raises `HostError` where
        the subscription has no engine."""
        message = ECHO_MESSAGE(Body=text)
        kind, told = index_of(message.DESCRIPTOR), encode(message)
        found = self.process.message((1, call), function_id(path), kind, told, goes_out=goes_out)
        if found is None:
            return None
        found.u64()  # how long it waits
        found.bool()
        return found.bytes()

    def ask(self, payload: bytes) -> Answer:
        """What the engine answers to a request, without the socket."""
        reader = self.process.ask(b"h", Writer().bytes(payload))
        return read_answer(reader.raw(len(reader)))

    def state(self) -> str:
        """All state of the engine."""
        return self.process.ask(b"s").text()


@contextmanager
def answering(folder: Path, answer: bytes) -> Iterator[Path]:
    """A socket where every request gets this datagram, as from a service of another kind."""
    path = folder / "other.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as served:
        served.bind(str(path))

        def serve() -> None:
            while (asked := served.recvfrom(65_536))[0]:
                served.sendto(answer, asked[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", str(path))
            thread.join()
