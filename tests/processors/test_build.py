"""What cannot be built for a target is told where the configuration asks for it."""

import shutil
from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.optimize.placement import OptLevel
from appnet.processors.build import compile_edge
from appnet.processors.envoy.build import Target

SAMPLES = Path(__file__).parents[2] / "config" / "samples"

TOLD = """error[C068]: `cache` replies, which wasm cannot
  --> sample_echo_sidecar.yaml:15:13
   |
15 |     - name: cache
   |             ^^^^^ this element
   |
   = help: compile it to native: `--target native`; Envoy lets a wasm module answer a gRPC call with a status alone"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(SAMPLES / "echo", tmp_path / "echo")
    shutil.copy(SAMPLES / "elements" / "cache.appnet", tmp_path / "echo")
    path = tmp_path / "echo" / "sample_echo_sidecar.yaml"
    path.write_text(path.read_text().replace("- name: fault\n      file: fault.", "- name: cache\n      file: cache."))
    return path


def test_no_element_that_replies_goes_to_wasm(config: Path):
    with pytest.raises(DiagnosticError) as error:
        compile_edge(config, Target.WASM, OptLevel.STRONG)
    assert [it.render().replace(str(config.parent) + "/", "") for it in error.value.diagnostics] == [TOLD]


def test_it_goes_to_native(config: Path):
    built = compile_edge(config, Target.NATIVE, OptLevel.STRONG)
    assert "cache" in [it.name for it in built.elements("/echo.EchoService/echo")]
