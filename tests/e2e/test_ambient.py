"""The processor `ambient` on one machine: an Envoy before each instance of the server runs the whole chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.deploy.local.machine import LocalMachine
from appnet.language.statuses import STATUS_CODES
from tests.quickstart.support import judged, sample, settings_of
from tests.support.asynchronous import asynchronous


@pytest.mark.parametrize("target", ["native", "wasm"])
@asynchronous
async def test_the_chain_runs_before_the_server(tmp_path: Path, target: str) -> None:
    config = sample(tmp_path).with_name("sample_echo_ambient.yaml")
    async with LocalMachine(settings_of(config, tmp_path, target)) as machine:
        assert [name for name, it in machine.placed.items() if it.chains] == ["server-ambient"]
        answers = [await judged(machine.url("frontend"), it) for it in ("hello", "test")]
        assert [it.status for it in answers] == [0, STATUS_CODES["ABORTED"]]
