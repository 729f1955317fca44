"""Captures that cannot be traced beside their diagnostics; tests/e2e/test_tap.py captures real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appnet.behaviour.captured import captured_case
from appnet.behaviour.document import Behaviour, Case
from appnet.behaviour.reader import load_behaviour
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.tap import captured_calls
from tests.support import snapshots

SNAPSHOTS = Path(__file__).parent / "bad"
RATE_LIMIT = Path("config/samples/elements/rate_limit.behaviour.yaml")


def captured(behaviour: Behaviour, capture: Source) -> Case:
    return captured_case(behaviour, captured_calls(capture, behaviour.method.full_name))


def request_of(path: str = "/echo.EchoService/echo", **body: object) -> str:
    headers = [{"key": ":path", "value": path}]
    return json.dumps({"http_buffered_trace": {"request": {"headers": headers, "body": body}}})


BAD = {
    "no JSON": "RPCs",
    "another JSON": '{"http_buffered_trace": {"what": 1}}',
    "streamed": '{"http_streamed_trace_segment": {"trace_id": 1}}',
    "captured as text": request_of(as_string="hello"),
    "cut short": request_of(as_bytes="AAAAAAU=", truncated=True),
    "compressed": request_of(as_bytes="AQAAAAA="),
    "another message": request_of(as_bytes="AAAAAAH/"),
    "another method": request_of("/echo.EchoService/other", as_bytes="AAAAAAA="),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_traced_is_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    behaviour = load_behaviour(FileSource(RATE_LIMIT))
    monkeypatch.chdir(tmp_path)
    capture = Path("tap.json")
    capture.write_text(BAD[name])
    with pytest.raises(DiagnosticError) as caught:
        captured(behaviour, FileSource(capture))
    snapshots.compare(str(caught.value), SNAPSHOTS / f"tap {name}.txt".replace(" ", "_"), request)


def test_a_file_may_hold_several_traces_one_after_another(tmp_path: Path) -> None:
    capture = tmp_path / "tap.json"
    capture.write_text(request_of(as_bytes="AAAAAAA=") + "\n" + request_of(as_bytes="AAAAAAMKAWE="))
    case = captured(load_behaviour(FileSource(RATE_LIMIT)), FileSource(capture))
    assert [(it.call, it.fields) for it in case.steps] == [("tap.json#1", {}), ("tap.json#2", {"Body": b"a"})]
