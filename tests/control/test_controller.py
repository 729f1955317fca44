"""What a running application takes, and what it does not."""

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


COUNTING = """\
state:
    seen: int
    words: Map<string, int>

init():
    pass

req(rpc):
    seen = seen + 1
    set(words, get(rpc, 'body'), seen)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@asynchronous
async def test_variables_that_do_not_go_on_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ECHO, tmp_path / "echo")
    monkeypatch.chdir(tmp_path / "echo")
    element = Path("firewall.appnet")
    element.write_text(COUNTING)
    controller = Controller([FileSource(Path("sample_echo_sidecar.yaml"))], Settings(), Where())
    await controller.begin()
    told = []
    for text in (
        COUNTING.replace("'body'), seen", "'body'), seen + 1"),
        COUNTING.replace("seen: int", "seen: uint").replace("string, int>", "string, uint>\n    more: int"),
        COUNTING.replace("seen: int", "seen: uint")
        .replace("words: Map<string, int>", "others: Map<string, uint>")
        .replace("set(words", "set(others"),
    ):
        element.write_text(text)
        rollout = await controller.upgrade()
        assert rollout is not None
        told.append(rollout.anew)
    assert told == [(), ("firewall.seen", "firewall.words"), ()]
