"""Behaviour files of shared state, on modules with a real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.behaviour.reader import load_behaviour
from appnet.behaviour.run import run_behaviour
from appnet.diagnostics.source import FileSource

SHARED = sorted(Path("config/samples/shared").glob("*.behaviour.yaml"))
LIMIT = """\
state:
    @consistency(strong)
    inside: int

init():
    pass

open(rpc):
    if inside >= 2:
        send(err('too many calls', RESOURCE_EXHAUSTED), Up)
    inside = inside + 1
    send(rpc, Down)

req(rpc):
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)

end(rpc):
    inside = inside - 1
"""
CASES = """\
proto: echo.proto
method: echo
instances: 2
cases:
  - name: what ends while the store is away is counted when it is back
    steps:
      - call: first
        request: {}
      - call: second
        instance: 1
        request: {}
      - request: {}
        refuses: RESOURCE_EXHAUSTED too many calls
      - store: away
      - call: first
        response: {}
      - call: second
        response: {}
      - request: {}
        refuses: UNAVAILABLE state of limit is unavailable
      - store: back
      - request: {}
      - instance: 1
        request: {}
        state: {inside: 2}
"""


@pytest.mark.parametrize("target", ["native", "library"])
@pytest.mark.parametrize("path", SHARED, ids=lambda it: it.name.split(".")[0])
def test_samples_behave_as_written(path: Path, target: str) -> None:
    results = list(run_behaviour(load_behaviour(FileSource(path)), [target]))
    assert [(it.failures, it.skipped) for it in results] == [((), "")] * len(results)


def test_modules_of_wasm_merge_as_written() -> None:
    results = list(
        run_behaviour(load_behaviour(FileSource(SHARED[0].with_name("shared_cache.behaviour.yaml"))), ["wasm"])
    )
    assert [(it.failures, it.skipped) for it in results] == [((), "")] * len(results)


@pytest.mark.parametrize("target", ["interpreter", "native", "library"])
def test_what_an_end_has_to_do_waits_for_the_store(tmp_path: Path, target: str) -> None:
    (tmp_path / "limit.appnet").write_text(LIMIT)
    (tmp_path / "echo.proto").write_text(Path("config/samples/echo/echo.proto").read_text())
    file = tmp_path / "limit.behaviour.yaml"
    file.write_text(CASES)
    (result,) = run_behaviour(load_behaviour(FileSource(file)), [target])
    assert (result.failures, result.skipped) == ((), "")
