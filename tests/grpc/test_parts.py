"""What the package is made of: little, and as the compiler's side has it."""

from __future__ import annotations

import math
import subprocess
import sys

import grpc
import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.grpc import protocol
from appnet.grpc.aio.server import AioContext
from appnet.grpc.context import BlockingContext
from appnet.grpc.metadata import from_wire, identity, listed, timeout_text, to_wire
from appnet.grpc.records import LOGS, post
from appnet.processors.grpc import versions


def loaded_by(imports: str) -> set[str]:
    program = f"import sys, {imports}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_it_loads_little_but_grpc_and_protobuf() -> None:
    added = loaded_by("appnet.grpc") - loaded_by(
        "grpc.aio, google.protobuf.message_factory, google.protobuf.descriptor_pb2"
    )
    assert "appnet.grpc.live" in added
    roots = {it.partition(".")[0] for it in added} - set(sys.stdlib_module_names)
    assert roots <= {"appnet", "google"}
    assert {it for it in added if it.startswith("appnet.") and not it.startswith("appnet.grpc")} == set()


@pytest.mark.parametrize("name", ["Report", "Running", "SignedVersion", "Version", "Chain"])
def test_the_protocol_is_that_of_the_control_plane(name: str) -> None:
    there = load_proto(FileSource(versions._PROTO)).message_class(f"{protocol.PACKAGE}.{name}").DESCRIPTOR
    for it in getattr(protocol, name).DESCRIPTOR.fields:
        other = there.fields_by_name[it.name]
        assert (it.number, it.type, it.is_repeated) == (other.number, other.type, other.is_repeated)


@pytest.mark.parametrize("receiver", ["host:bad", "ho st:80", "a" * 70 + ":80", "127.0.0.1:99999"])
def test_telemetry_for_what_is_no_address_is_lost(receiver: str) -> None:
    told: list[str] = []
    post(receiver, LOGS, b"x", told.append)
    assert [it.partition(":")[0] for it in told] == ["telemetry is lost"]


def test_keys_of_bytes_are_keys() -> None:
    assert listed([(b"x", "a"), ("y", b"b")]) == [("x", "a"), ("y", b"b")]


def test_handlers_have_a_context_of_grpc() -> None:
    assert issubclass(BlockingContext, grpc.ServicerContext)
    assert issubclass(AioContext, grpc.aio.ServicerContext)


def test_metadata_as_on_the_wire() -> None:
    for key, value, wire in (
        ("x", "a", b"a"),
        ("x", b"\xff", b"\xff"),
        ("x-bin", b"\0\1", b"AAE"),
        ("x-bin", b"", b""),
    ):
        assert to_wire(key, value) == wire
        assert from_wire(key, wire) == value


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (0, b"0n"),
        (-1, b"0n"),
        (0.05, b"50000000n"),
        (1, b"1000000u"),
        (100, b"100000m"),
        (1e9, b"277777H"),
        (math.inf, b"99999999H"),
        (math.nan, b"0n"),
    ],
)
def test_times_as_on_the_wire(left: float, text: bytes) -> None:
    assert timeout_text(left) == text


def test_who_the_caller_proved_to_be() -> None:
    subject = {"x509_subject": [b"CN=a"], "x509_common_name": [b"a"]}
    assert identity({}) == b""
    assert identity(subject) == b"CN=a"
    assert identity(subject | {"peer_dns": [b"a.b"]}) == b"a.b"
    assert identity(subject | {"peer_dns": [b"a.b"], "peer_uri": [b"spiffe://x"]}) == b"spiffe://x"
