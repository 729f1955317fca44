"""Istio's own checks of all that AppNet writes for it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from appnet.application.model import Side
from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import Version, compile_application
from appnet.deploy.kubernetes.manifests import ManifestSettings
from appnet.deploy.kubernetes.output import files
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from appnet.processors.processor import ControlPlane, Entry, Object
from appnet.processors.registry import processor
from appnet.system.address import Address
from tests.kubernetes.programs import programs
from tests.support.go import NoToolsError

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(120)]

ECHO = Path("config/samples/echo")
CONTROL = ControlPlane(Address("appnet.appnet-system.svc", 18000), "-----BEGIN CERTIFICATE-----\n", "key")
NO_CLUSTER = """apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: none, context: {cluster: none}}]
current-context: none
"""


@pytest.fixture(params=["sidecar", "ambient"])
def name(request: pytest.FixtureRequest) -> str:
    """Of a processor."""
    return str(request.param)


def compiled(name: str, target: str) -> Version:
    source = FileSource(ECHO / f"sample_echo_{name}.yaml")
    return compile_application(load_application(source), Settings(), Where(target, cluster=True))


def complaints(folder: Path, paths: Sequence[Path]) -> list[str]:
    """What istioctl says of these files; nothing of good ones."""
    (folder / "kubeconfig").write_text(NO_CLUSTER)
    try:
        istioctl = programs().istioctl
    except NoToolsError as error:
        pytest.exit(str(error), returncode=1)
    given = [str(it) for it in paths]
    each = [text for it in given for text in ("-f", it)]
    analysed = _said([str(istioctl), "analyze", "--use-kube=false", "-o", "json", "-n", "default", *given], folder)
    validated = _said([str(istioctl), "validate", *each], folder)  # it repeats one warning of all EnvoyFilters
    found = [f"{it['code']} {it['message']}" for it in json.loads(analysed.stdout)]
    return [*found, *(validated.stderr.splitlines() if validated.returncode else ())]


def _said(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["native", "wasm"])
def test_of_what_compile_writes(name: str, target: str, tmp_path: Path) -> None:
    settings = ManifestSettings(collector=Address("otel.observability", 4318))
    paths = []
    for file, content in files(compiled(name, target), settings).items():
        if file.startswith("kubernetes/"):
            paths.append(tmp_path / Path(file).name)
            paths[-1].write_bytes(content)
    assert complaints(tmp_path, paths) == []


@pytest.mark.parametrize("closed", [True, False])
def test_of_what_has_proxies_ask(name: str, closed: bool, tmp_path: Path) -> None:
    version = compiled(name, "wasm")
    (chain,), services = version.application.chains, version.application.manifest.services
    objects = processor(name).objects()
    sides = [(Side.SERVER, "server"), *([(Side.CLIENT, "frontend")] if name == "sidecar" else [])]
    made: list[Object] = [
        objects.entry(
            Entry(
                chain, side, [f"appnet.{side.value}"], f"appnet.{side.value}", services[service], services["server"],
                "default", closed,
            ),
            CONTROL,
        )
        for side, service in sides
    ]  # fmt: skip
    path = tmp_path / "entries.yaml"
    path.write_text(yaml.safe_dump_all(made))
    assert complaints(tmp_path, [path, ECHO / "echo.yaml"]) == []


def test_a_patch_that_istio_cannot_read_is_found(tmp_path: Path) -> None:
    version = compiled("sidecar", "wasm")
    found = files(version, ManifestSettings())
    (filter_,) = yaml.safe_load_all(found["kubernetes/30-frontend.server.echo.server.yaml"])
    filter_["spec"]["configPatches"][1]["patch"]["value"]["config_discovery"] = "nothing"
    path = tmp_path / "filter.yaml"
    path.write_text(yaml.safe_dump(filter_))
    assert any("EnvoyFilter" in it for it in complaints(tmp_path, [path]))
