"""The echo application as its users meet it, and programs that do not say where they are."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from appnet.deploy.local.program import ApplicationError, ApplicationProcess
from appnet.system.address import Address
from tests.support.asynchronous import asynchronous, eventually
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field

PROTO = Path(__file__).parents[2] / "config/samples/echo/echo.proto"
MODULE = [sys.executable, "-m", "appnet.samples.echo"]


def server(folder: Path, *more: str) -> ApplicationProcess:
    return ApplicationProcess("server", [*MODULE, "server", "--proto", PROTO, *more], folder / "server.log")


@contextlib.asynccontextmanager
async def frontend(folder: Path, upstream: Address) -> AsyncIterator[str]:
    command = [*MODULE, "frontend", "--proto", PROTO, "--server", str(upstream)]
    async with ApplicationProcess("frontend", command, folder / "frontend.log") as process:
        yield f"http://{process.address}/"


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


@pytest.mark.parametrize("line", ["not json", "{}", "[1]", '{"address": "nowhere"}', ""])
@asynchronous
async def test_a_program_that_does_not_say_where_it_is_fails_with_its_log(tmp_path: Path, line: str) -> None:
    code = f"import sys; print({line!r}); print('what went wrong', file=sys.stderr)"
    process = ApplicationProcess("broken", [sys.executable, "-c", code], tmp_path / "log")
    with pytest.raises(ApplicationError, match=r"broken did not (start|print its address): what went wrong"):
        await process.start()
    assert not process.running


@asynchronous
async def test_a_program_may_print_as_much_as_it_likes(tmp_path: Path) -> None:
    code = """
import pathlib, sys, time
print('{"address": "127.0.0.1:1"}', flush=True)
print("x" * 10_000_000, flush=True)
pathlib.Path(sys.argv[1]).write_text("done")
time.sleep(60)
"""
    done = tmp_path / "done"
    async with ApplicationProcess("chatty", [sys.executable, "-c", code, done], tmp_path / "log"):
        await eventually(done.exists)
