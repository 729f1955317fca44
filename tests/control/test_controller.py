"""What a running application does not take."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.compile.fit import Where
from appnet.control.controller import Controller
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from tests.support import snapshots
from tests.support.asynchronous import asynchronous

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"


@asynchronous
async def test_other_replicas_are_told_where_the_manifest_says_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    shutil.copytree(ECHO, tmp_path / "echo")
    monkeypatch.chdir(tmp_path / "echo")
    controller = Controller([FileSource(Path("sample_echo_sidecar.yaml"))], Settings(), Where())
    await controller.begin()
    manifest = Path("echo.yaml")
    text = manifest.read_text()
    assert text.count("replicas: 1") == 2
    manifest.write_text(text.replace("replicas: 1", "replicas: 3"))
    with pytest.raises(DiagnosticError) as caught:
        await controller.upgrade()
    snapshots.compare(str(caught.value), Path(__file__).parent / "bad_replicas.txt", request)
