"""What the control plane's address shows and bears: replaced certificates, and peers that ask whether it is there."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import h2.connection
import pytest
from h2.events import ConnectionTerminated, PingAckReceived

from appnet.processors.envoy.xds.server import XdsServer
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ServerTls
from tests.support.asynchronous import asynchronous
from tests.support.certificates import Authority


async def shown(address: Address) -> str:
    return await asyncio.to_thread(ssl.get_server_certificate, (address.host, address.port))


@asynchronous
async def test_a_new_certificate_is_shown_to_those_who_come_after(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first, second = authority.pair("first"), authority.pair("second")
    used = ServerTls(tmp_path / "used.pem", tmp_path / "used.key")
    shutil.copy(first.certificate, used.certificate)
    shutil.copy(first.key, used.key)
    async with XdsServer(ANY_LOCAL_PORT, used) as server:
        before = await shown(server.address)
        assert before.split() == first.certificate.read_text().split()
        used.key.unlink()
        assert await shown(server.address) == before
        shutil.copy(second.key, used.key)
        assert await shown(server.address) == before  # a key that does not fit yet
        shutil.copy(second.certificate, used.certificate)
        assert (await shown(server.address)).split() == second.certificate.read_text().split()


@asynchronous
async def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.pem"):
        await XdsServer(ANY_LOCAL_PORT, ServerTls(tmp_path / "none.pem", tmp_path / "none.key")).start()


STREAM = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    ":authority": "control",
    "content-type": "application/grpc",
    "te": "trailers",
}


@asynchronous
async def test_who_asks_whether_it_is_there_stays_connected() -> None:
    async with XdsServer() as server:
        reading, writing = await asyncio.open_connection(server.address.host, server.address.port)
        peer = h2.connection.H2Connection()
        peer.initiate_connection()
        peer.send_headers(1, STREAM.items())
        for _ in range(10):
            peer.ping(b"is there")
            answered = False
            writing.write(peer.data_to_send())
            while not answered:
                events = peer.receive_data(await reading.read(65536))
                writing.write(peer.data_to_send())
                assert [it for it in events if isinstance(it, ConnectionTerminated)] == []
                answered = any(isinstance(it, PingAckReceived) for it in events)
        writing.close()
