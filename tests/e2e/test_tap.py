"""What a real Envoy's tap filter captures is stepped through a chain."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.tap.v3.common_pb2 import OutputSink
from envoy.extensions.filters.http.tap.v3.tap_pb2 import Tap
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from google.protobuf.message import Message
from typer.testing import CliRunner

from appnet.cli.main import app
from appnet.processors.envoy.xds.snapshot import Snapshot
from tests.support.proxies import bench
from tests.support.raw_grpc import frame, string_field

ECHO = Path("config/samples/echo/sample_echo_sidecar.yaml")


def tapped(resource: Message, prefix: Path) -> Message:
    """The resource, with a tap filter before all others if it is the listener."""
    if not isinstance(resource, Listener):
        return resource
    listener = Listener()
    listener.CopyFrom(resource)
    config = listener.filter_chains[0].filters[0].typed_config
    manager = HttpConnectionManager()
    config.Unpack(manager)
    tap = Tap(record_headers_received_time=True)
    tap.common_config.static_config.match.any_match = True
    sink = tap.common_config.static_config.output_config.sinks.add(format=OutputSink.JSON_BODY_AS_BYTES)
    sink.file_per_tap.path_prefix = str(prefix)
    filters = list(manager.http_filters)
    del manager.http_filters[:]
    first = HttpFilter(name="tap")
    first.typed_config.Pack(tap)
    manager.http_filters.extend([first, *filters])
    config.Pack(manager)
    return listener


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("tap")

    async def capture() -> None:
        async with bench(folder / "envoy") as running:
            running.server.reply = frame(string_field(1, b"You've hit server"))
            plain = running.snapshot("1")
            resources = [tapped(it, folder / "tap") for it in plain.resources]
            running.xds.set_snapshot(running.node, Snapshot("1", tuple(resources)))
            await running.envoy.ready()
            await running.call(body=frame(string_field(1, b"hello")))
            running.server.status, running.server.reply = 5, b""
            await running.call(body=frame(string_field(1, b"test")))
            await running.call("/echo.EchoService/other", body=frame(b""))

    asyncio.run(capture())
    return sorted(folder.glob("tap*"))


def trace(*arguments: object) -> list[dict[str, Any]]:
    answer = CliRunner().invoke(app, ["trace", *map(str, arguments), "-o", "json"])
    assert answer.exit_code == 0, answer.output
    return list(json.loads(answer.stdout))


def test_captured_calls_pass_a_configurations_chain(captures: list[Path]) -> None:
    assert len(captures) == 3
    events = trace(ECHO, *(it for file in captures for it in ("--tap", file)))
    expected = [("request", "hello"), ("response", "You've hit server"), ("request", "test")]
    for event, (kind, body) in zip(events, expected, strict=True):
        assert event["event"][kind] == {"Body": body}
    refused = {"refuses": {"status": "ABORTED", "message": "firewall"}}
    assert [it["outcome"] for it in events] == [{"forwards": {}}, {"forwards": {}}, refused]


def test_an_error_of_the_server_is_captured_as_one(captures: list[Path]) -> None:
    events = trace("config/samples/elements/rate_limit.appnet", *(it for file in captures for it in ("--tap", file)))
    assert events[3]["event"]["response"] == {}
    assert events[3]["event"]["status"] == "NOT_FOUND"
