"""Behaviour files on the Go module, with the messages of their .proto as Go has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.behaviour.document import Behaviour
from appnet.behaviour.reader import load_behaviour
from appnet.behaviour.run import run_behaviour
from appnet.diagnostics.source import FileSource
from appnet.processors.grpc.library import LIBRARY, GrpcLibrary
from appnet.processors.processor import Sharer
from tests.processors.grpc.go_driver import GoDriver

pytestmark = pytest.mark.go
SAMPLES = sorted((Path(__file__).parents[3] / "config" / "samples").rglob("*.behaviour.yaml"))


def in_go(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has libraries driven in Go."""

    def drive(_self: object, binary: bytes, _target: str, *, seed: int, hosts: int, now_ns: int) -> GoDriver:
        return GoDriver(binary, behaviour.proto, behaviour.method, seed=seed, hosts=hosts, now_ns=now_ns)

    def drive_sharing(_self: object, binary: bytes, _target: str, sharer: Sharer, **options: int) -> GoDriver:
        return GoDriver(binary, behaviour.proto, behaviour.method, sharer=sharer, **options)

    monkeypatch.setattr(GrpcLibrary, "drive", drive)
    monkeypatch.setattr(GrpcLibrary, "drive_sharing", drive_sharing)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda it: it.name.split(".")[0])
def test_standard_elements_behave_as_written_beside_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    behaviour = load_behaviour(FileSource(path))
    in_go(behaviour, monkeypatch)
    results = list(run_behaviour(behaviour, [LIBRARY]))
    assert len(results) == len(behaviour.cases)
    assert [failure for it in results for failure in it.failures] == []
    assert [it.skipped for it in results if it.skipped] == []
