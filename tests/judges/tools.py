"""Programs in Go that judge, at pinned versions, built by the `go` of this machine through its module proxy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.support.go import find_go, run_go

CONFORMANCE = "connectrpc.com/conformance@v1.0.7"
GRPC_GO = "google.golang.org/grpc@v1.85.0"
H2SPEC = "github.com/summerwind/h2spec@v2.2.1+incompatible"

_PROGRAMS = {
    CONFORMANCE: tuple(
        f"cmd/{it}" for it in ("connectconformance", "referenceclient", "referenceserver", "grpcclient", "grpcserver")
    ),
    GRPC_GO: ("interop/client", "interop/server"),
    H2SPEC: ("cmd/h2spec",),
}


@dataclass(frozen=True)
class Tools:
    """``folder`` has a folder of programs for each module; ``go`` built them."""

    go: str
    folder: Path

    def program(self, module: str, name: str) -> Path:
        """A program of one of the modules."""
        return self.folder / _folder(module) / name

    def goroot(self) -> Path:
        """Where the Go distribution is."""
        return Path(self._asked("env", "GOROOT").strip())

    def sources(self, module: str) -> Path:
        """Where the sources of the module are."""
        return Path(json.loads(self._asked("mod", "download", "-json", module))["Dir"])

    def _asked(self, *arguments: str) -> str:
        return run_go([self.go, *arguments])


def install(folder: Path) -> Tools:
    """Builds what is not in the folder yet. Raises `NoToolsError` with Go's own words where that fails."""
    tools = Tools(find_go(), folder)
    for module, packages in _PROGRAMS.items():
        missing = [it for it in packages if not tools.program(module, Path(it).name).exists()]
        path, _, version = module.partition("@")
        if missing:
            wanted = [f"{path}/{it}@{version}" for it in missing]
            run_go([tools.go, "install", *wanted], GOBIN=str(folder / _folder(module)), GOFLAGS="-buildvcs=false")
    return tools


def _folder(module: str) -> str:
    return module.replace("/", "-")
