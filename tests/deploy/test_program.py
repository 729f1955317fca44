"""The echo application as its users meet it, and programs that do not say where they are."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import re2

from appnet.deploy.local.program import ApplicationError, ServiceProgram
from appnet.deploy.local.services import LocalService, Port
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource
from appnet.diagnostics.yaml_reader import Located
from appnet.system.address import Address
from tests.support.asynchronous import asynchronous, eventually
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field

PROTO = Path(__file__).parents[2] / "config/samples/echo/echo.proto"
MODULE = ("python", "-m", "appnet.samples.echo")


def service(name: str, *command: str, **more: Any) -> LocalService:
    """A service of this command, which takes its port from the variable PORT unless ``more`` says otherwise."""
    place = Located(name, Span.whole(FileSource(Path("local.yaml"))))
    return LocalService(place, command, Path.cwd(), **{"port": Port(variable="PORT"), **more})


@contextlib.asynccontextmanager
async def started(
    it: LocalService, folder: Path, variables: Mapping[str, str] | None = None
) -> AsyncIterator[ServiceProgram]:
    program = ServiceProgram(it.name.value, it, folder / f"{it.name}.log")
    try:
        await program.start(variables or {})
        yield program
    finally:
        await program.stop()


def server(folder: Path, *more: str) -> contextlib.AbstractAsyncContextManager[ServiceProgram]:
    return started(service("server", *MODULE, "server", "--proto", str(PROTO), "--port", "$PORT", *more), folder)


@contextlib.asynccontextmanager
async def frontend(folder: Path, upstream: Address) -> AsyncIterator[str]:
    words = ("frontend", "--proto", str(PROTO), "--server", "$SERVER", "--port", "$PORT")
    async with started(service("frontend", *MODULE, *words), folder, {"SERVER": str(upstream)}) as program:
        yield f"http://{program.address}/"


@asynchronous
async def test_the_frontend_shows_the_servers_answer(tmp_path: Path) -> None:
    async with (
        server(tmp_path) as echo,
        frontend(tmp_path, echo.address) as url,
        aiohttp.ClientSession() as session,
        session.get(url, params={"key": "hello"}) as answer,
    ):
        assert re.fullmatch(r"You've hit server-[a-z0-9]{5}\n", await answer.text())
        assert answer.headers["grpc-status"] == "0"


@asynchronous
async def test_the_key_is_the_body_of_the_message(tmp_path: Path) -> None:
    with RecordingServer(frame(string_field(1, b"from elsewhere"))) as upstream:
        async with frontend(tmp_path, Address("127.0.0.1", upstream.port)) as url, aiohttp.ClientSession() as session:
            async with session.get(url, params={"key": "hé llo"}) as answer:
                assert await answer.text() == "from elsewhere\n"
            async with session.get(url) as answer:
                assert answer.status == 200
        assert [it.body for it in upstream.seen] == [frame(string_field(1, "hé llo".encode())), frame(b"")]
        assert upstream.seen[0].header(":path") == "/echo.EchoService/echo"


@asynchronous
async def test_a_failed_call_is_told_apart_by_its_status(tmp_path: Path) -> None:
    with RecordingServer(b"", status=10) as upstream:
        async with (
            frontend(tmp_path, Address("127.0.0.1", upstream.port)) as url,
            aiohttp.ClientSession() as session,
            session.get(url, params={"key": "test"}) as answer,
        ):
            assert await answer.text() == "Echo server returns an error.\n"
            assert (answer.headers["grpc-status"], answer.headers["grpc-message"]) == ("10", "server says no")


@asynchronous
async def test_the_server_carries_the_name_it_is_given_and_answers_plain_grpc(tmp_path: Path) -> None:
    async with server(tmp_path, "--name", "server-mine") as echo:
        with RawClient(echo.address.port) as client:
            reply = client.call("/echo.EchoService/echo", frame(string_field(1, b"x")))
            assert reply.body == frame(string_field(1, b"You've hit server-mine"))
            assert reply.grpc_status == 0
        assert echo.running
    assert not echo.running


SLEEPS = "import socket, os, time; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); "


@pytest.mark.parametrize(
    ("code", "more", "says"),
    [
        ("import sys; sys.exit('no luck')", {}, "broken ended with code 1: no luck"),
        (
            "import time; time.sleep(60)",
            {"startup_seconds": 0.5},
            r"broken does not accept calls at 127\.0\.0\.1:\d+ within 0\.5 s",
        ),
        (
            "import time; print('up', flush=True); time.sleep(60)",
            {"startup_seconds": 0.5, "port": Port(printed=re2.compile("at ([0-9]+)"))},
            "broken did not print its address within 0.5 s: up",
        ),
        (
            SLEEPS + "time.sleep(60)",
            {"startup_seconds": 0.5, "health": "grpc"},
            r"broken does not accept calls at .* within 0\.5 s",
        ),
        (
            "print('at :99999', flush=True); import time; time.sleep(60)",
            {"port": Port(printed=re2.compile(":([0-9]+)"))},
            "printed '99999', which is not a port",
        ),
        (
            "print('listening on :x', flush=True); import time; time.sleep(60)",
            {"port": Port(printed=re2.compile(":(.)"))},
            "printed 'x', which is not a port",
        ),
    ],
    ids=[
        "ends",
        "never listens",
        "never says where",
        "no health service",
        "says a port that there is not",
        "says nonsense",
    ],
)
@asynchronous
async def test_a_program_that_cannot_be_called_fails_with_its_log(
    tmp_path: Path, code: str, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(ApplicationError, match=says):
        async with started(service("broken", "python", "-c", code, **more), tmp_path):
            pass


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("no-such-program", "no program `no-such-program` here or on the PATH"),
        ("./no-such-program", "no program `./no-such-program` here or on the PATH"),
        ("$NOT_SET_ANYWHERE", r"uses \$NOT_SET_ANYWHERE, which is not set"),
        ("100$", r"write \$\$ for \$"),
    ],
)
@asynchronous
async def test_a_command_that_is_none(tmp_path: Path, word: str, says: str) -> None:
    with pytest.raises(ApplicationError, match=says):
        async with started(service("broken", word), tmp_path):
            pass


@asynchronous
async def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ApplicationError, match=f"port {port}, which late listens on, is in use"):
            async with started(service("late", "python", "-c", "print('began')", port=Port(number=port)), tmp_path):
                pass
    assert not (tmp_path / "late.log").exists()


@asynchronous
async def test_a_program_may_print_as_much_as_it_likes_and_say_where_it_is_in_between(tmp_path: Path) -> None:
    code = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print("x" * 10_000_000, flush=True)
print(f"listening on 127.0.0.1:{server.getsockname()[1]}, at last", flush=True)
while True:
    server.accept()
"""
    port = Port(printed=re2.compile(r"listening on .*:([0-9]+)"))
    async with started(service("chatty", "python", "-c", code, port=port), tmp_path) as program:
        assert program.running


@asynchronous
async def test_a_page_says_when_a_program_can_be_called(tmp_path: Path) -> None:
    code = """
import http.server, os, time
class Pages(http.server.BaseHTTPRequestHandler):
    began = time.monotonic()
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" and time.monotonic() - self.began > 0.5 else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Pages).serve_forever()
"""
    began = time.monotonic()
    async with started(service("slow", "python", "-c", code, health="/ready"), tmp_path):
        assert time.monotonic() - began > 0.5


@asynchronous
async def test_what_a_program_has_started_ends_with_it(tmp_path: Path) -> None:
    """A shell's children, and who does not listen."""
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); import signal; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    child = tmp_path / "child"
    shell = f'{sys.executable} -c "{code}" {child} & exec {sys.executable} -m http.server $PORT --bind 127.0.0.1'
    async with started(service("shell", "sh", "-c", shell.replace("$PORT", "$$PORT")), tmp_path):
        await eventually(lambda: child.exists() and child.read_text().isdecimal())
        pid = int(child.read_text())
        assert Path(f"/proc/{pid}").exists()
    await eventually(
        lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
    )


@asynchronous
async def test_a_program_that_writes_without_end_is_given_up_in_time(tmp_path: Path) -> None:
    port = Port(printed=re2.compile("port ([0-9]+)"))
    began = time.monotonic()
    with pytest.raises(ApplicationError, match="did not print its address within 1 s") as told:
        async with started(service("yes", "yes", "x" * 1000, port=port, startup_seconds=1.0), tmp_path):
            pass
    assert time.monotonic() - began < 20
    assert len(str(told.value)) < 20_000
