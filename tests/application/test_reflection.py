"""Servers that say which methods they have, and those that do not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection
from typer.testing import CliRunner

from appnet.application.proto import load_proto
from appnet.cli.main import app
from appnet.diagnostics.source import FileSource

HOTEL = Path(__file__).parents[2] / "config" / "samples" / "hotel" / "hotel.proto"


@pytest.fixture
def server() -> Iterator[tuple[grpc.Server, str]]:
    it = grpc.server(ThreadPoolExecutor(2))
    port = it.add_insecure_port("127.0.0.1:0")
    yield it, f"127.0.0.1:{port}"
    it.stop(None).wait()


def reflect(address: str, output: Path) -> tuple[int, str, str]:
    answer = CliRunner().invoke(app, ["reflect", address, "-w", str(output)])
    return answer.exit_code, answer.stdout, " ".join(answer.stderr.split())


def hotel_pool() -> DescriptorPool:
    return load_proto(FileSource(HOTEL))._pool


def test_a_server_with_reflection(server: tuple[grpc.Server, str], tmp_path: Path) -> None:
    it, address = server
    reflection.enable_server_reflection(
        ["hotel.Geo", "hotel.Search", reflection.SERVICE_NAME, "grpc.health.v1.Health"], it, hotel_pool()
    )
    it.start()
    code, out, err = reflect(address, tmp_path / "hotel.binpb")
    assert code == 0, err
    assert "/hotel.Geo/Near" in out.splitlines()
    method = load_proto(FileSource(tmp_path / "hotel.binpb")).method("Near")
    assert set(method.request.fields) == {"lat", "lon"}
    code, _, err = reflect(address, tmp_path / "hotel.binpb")
    assert code == 2
    assert "error[C086]" in err


def test_a_server_without_reflection(server: tuple[grpc.Server, str], tmp_path: Path) -> None:
    it, address = server
    it.start()
    told = f"error: {address} does not support server reflection: use its .proto"
    assert reflect(address, tmp_path / "x.binpb") == (1, "", told)
    assert not (tmp_path / "x.binpb").exists()


def test_a_server_that_names_services_and_has_none_of_them(server: tuple[grpc.Server, str], tmp_path: Path) -> None:
    it, address = server
    reflection.enable_server_reflection(["hotel.Gone"], it, hotel_pool())
    it.start()
    code, _, err = reflect(address, tmp_path / "x.binpb")
    assert code == 1
    assert err.startswith(f"error: {address} sent unusable descriptions of its services: ")


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        assert reflect(address, tmp_path / "x.binpb") == (1, "", f"error: {address} does not respond")


def test_a_server_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appnet.application.reflection._ASK_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = reflect(address, tmp_path / "x.binpb")
    assert code == 1
    assert "DEADLINE_EXCEEDED" in err or "nobody answers" in err


@pytest.mark.parametrize("imports", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}])
def test_files_that_import_themselves(
    server: tuple[grpc.Server, str], tmp_path: Path, imports: dict[str, list[str]]
) -> None:
    class Circles:
        """A pool as a hostile server might have it."""

        def FindFileContainingSymbol(self, _: str) -> Any:  # noqa: N802
            return self.FindFileByName("a")

        def FindFileByName(self, name: str) -> Any:  # noqa: N802
            return _Described(FileDescriptorProto(name=name, dependency=imports[name]))

    it, address = server
    reflection.enable_server_reflection(["a.Service"], it, Circles())
    it.start()
    code, _, err = reflect(address, tmp_path / "x.binpb")
    assert code == 1
    assert "unusable descriptions" in err


class _Described:
    """A file descriptor, as far as the reflection service looks at one."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self.name, self.serialized_pb, self._file = file.name, file.SerializeToString(), file
        self.dependencies: list[Any] = []

    def CopyToProto(self, into: FileDescriptorProto) -> None:  # noqa: N802
        into.CopyFrom(self._file)
