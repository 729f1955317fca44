"""Processes follow the control plane for as long as they live, also where it has nothing to say."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc

from appnet.application.model import EdgeEnd, Side
from appnet.grpc.live import start_end
from appnet.grpc.options import Options
from appnet.processors.grpc.control import LibraryControl, LibraryNodes
from appnet.processors.grpc.versions import Signer, message_class
from appnet.processors.processor import Acceptance, NodeSettings
from appnet.processors.signing import user_key
from appnet.system.address import ANY_LOCAL_PORT, Address
from tests.support.asynchronous import asynchronous, eventually


def test_a_process_may_ask_whether_the_control_plane_is_there() -> None:
    """As often as libraries do, or more often: gRPC's servers end connections after three pings within minutes."""

    async def follow() -> None:
        options = [("grpc.keepalive_time_ms", 1_200), ("grpc.http2.max_pings_without_data", 0)]
        async with LibraryControl() as control, grpc.aio.insecure_channel(str(control.address), options) as channel:
            call = channel.stream_stream(
                "/appnet.library.v1.Library/Follow",
                request_serializer=message_class("Report").SerializeToString,
                response_deserializer=message_class("SignedVersion").FromString,
            )()
            await call.write(message_class("Report")(service="frontend"))
            done, _ = await asyncio.wait([asyncio.ensure_future(call.read())], timeout=7)
            assert not done, await call.details()
            call.cancel()

    asyncio.run(follow())


@asynchronous
async def test_who_shows_no_token_does_not_follow(tmp_path: Path) -> None:
    """The token may be another one later."""
    asked, shown = tmp_path / "asked", tmp_path / "shown"
    asked.write_text("secret\n")
    shown.write_text("another")
    async with LibraryControl(ANY_LOCAL_PORT, token=asked) as control:
        open_, wrong = (Options(control=str(control.address), token=it) for it in ("", str(shown)))
        ends = [start_end(name, it, server=False) for name, it in (("open", open_), ("wrong", wrong))]
        for it in ends:
            await eventually(lambda it=it: "this control plane wants a token" in it.wrong)
        assert not control.strangers()
        asked.write_text("another")
        await eventually(control.strangers)
        assert control.strangers() == {"wrong (client)"}
        asked.unlink()
        await eventually(lambda: "callers cannot be checked now" in ends[0].wrong)
        assert control.strangers() == {"wrong (client)"}, "who follows goes on"


@asynchronous
async def test_since_when_it_is_accepted(tmp_path: Path) -> None:
    """Since a process has said so, however long the version had waited for it."""
    async with LibraryControl() as control:
        end, host = EdgeEnd("shop", "orders", Side.CLIENT), Address("127.0.0.1", 1)
        key = user_key()
        nodes = LibraryNodes(control, Signer(key))
        node = await nodes.start(NodeSettings("shop-grpc", end, (host,), tmp_path, None), "1", ())
        offered = (await node.answer("1", 0)).since
        await asyncio.sleep(0.05)
        started = time.time()
        assert offered < started
        start_end("shop", Options(control=str(control.address), trust=[key.public_text]), server=False)
        await eventually(lambda: node.running)
        answer = await node.answer("1", 10)
        assert answer.acceptance is Acceptance.ACKED
        assert answer.since >= started
