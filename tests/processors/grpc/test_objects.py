"""What a cluster gets: ConfigMaps with files that the Go module reads."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import yaml

from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import compile_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from appnet.processors import registry
from appnet.processors.grpc.container import Container
from tests.processors.grpc.chains import read_chains
from tests.processors.test_toy import appnetctl

CONFIG = Path("config/samples/echo-go/sample_echo_grpc.yaml")


def test_a_cluster_gets_the_chains_as_files(tmp_path: Path) -> None:
    code, _, err = appnetctl("compile", CONFIG, "--write", tmp_path / "out")
    assert code == 0, err
    objects = [
        it for file in (tmp_path / "out" / "kubernetes").iterdir() for it in yaml.safe_load_all(file.read_text())
    ]
    maps = [it for it in objects if it["kind"] == "ConfigMap"]
    assert len(maps) == 2
    assert not [it for it in objects if it["kind"] == "EnvoyFilter"]
    for it in maps:
        ((name, encoded),) = it["binaryData"].items()
        assert name.endswith(".chains")
        assert len(encoded) < 1 << 20, "a ConfigMap has no more"
        version = read_chains(base64.b64decode(encoded))
        assert (version.client, version.server) == ("frontend", "server")
        assert version.at_server == it["metadata"]["name"].endswith(".server")
        (chain,) = version.chains
        assert set(Container.unpack(chain.code).code) == {"amd64", "arm64", "wasm32"}
    assert "appnet.Embedded" in (tmp_path / "out" / "README.md").read_text()


def test_elements_run_in_programs_where_these_are_the_only_place() -> None:
    version = compile_application(load_application(FileSource(CONFIG)), Settings(), Where())
    assert {it.segment.place.processor for it in version.artifacts} == {"grpc"}
    assert {it.segment.place.target for it in version.artifacts} == {"library"}
    (plan,) = version.plans
    assert plan.plan.segments
    assert registry.processor("grpc").prices.targets["library"].module < 0.2


def test_with_all_elements_in_programs_no_proxy_gets_a_filter(tmp_path: Path) -> None:
    """Though sidecars are listed, too; one that has an element gets its filter."""
    for name in ("echo", "echo-go"):
        shutil.copytree(CONFIG.parents[1] / name, tmp_path / name)
    config = tmp_path / "echo-go" / CONFIG.name
    config.write_text(re.sub("- grpc .*", "- grpc\n    - sidecar", config.read_text()))
    assert kinds_compiled(config, tmp_path / "inside") == {"ConfigMap"}
    code, out, err = appnetctl("explain", config)
    assert code == 0, err
    assert "the client's sidecar and the server's sidecar have no elements: an RPC that bypasses them saves" in out
    firewall = tmp_path / "echo" / "firewall.appnet"
    firewall.write_text(firewall.read_text().replace("req(rpc):", "req(rpc):\n    who = peer(rpc)", 1))
    assert kinds_compiled(config, tmp_path / "both") >= {"ConfigMap", "EnvoyFilter"}


def kinds_compiled(config: Path, folder: Path) -> set[str]:
    """Of the objects that carry chains."""
    code, _, err = appnetctl("compile", config, "--write", folder)
    assert code == 0, err
    files = [it for it in (folder / "kubernetes").iterdir() if not it.name.startswith("50-")]
    return {it["kind"] for file in files for it in yaml.safe_load_all(file.read_text())}
