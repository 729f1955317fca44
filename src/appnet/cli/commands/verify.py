"""`appnetctl verify`: whether what AppNet needs is installed, what an application needs, and what a cluster has."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from appnet.application.model import USUAL_PROCESSOR
from appnet.cli.cluster import NamespaceOption, cluster_of
from appnet.cli.errors import FAILURE, open_screens, told_errors
from appnet.cli.files import application_sources
from appnet.cli.output import Format, OutputOption, print_data
from appnet.compile.fit import load_application
from appnet.deploy.kubernetes.client.verification import findings
from appnet.deploy.local.program import program_path
from appnet.deploy.local.services import local_file, read_local_application
from appnet.diagnostics.place import Source
from appnet.processors import registry
from appnet.processors.processor import Requirement
from appnet.system.installed import package_version_of

EXAMPLES = (
    "appnetctl verify",
    "appnetctl verify app.yaml",
    "appnetctl verify --cluster",
    "appnetctl verify --mrpc-dir ~/phoenix",
)
PAGE = "tools.md"


_REINSTALL = "install AppNet again; in a clone: make clean quickstart"
_FOR_ALL = (
    Requirement("Python", lambda: ".".join(map(str, sys.version_info[:3])), ""),
    Requirement("protoc", package_version_of("grpcio-tools"), _REINSTALL),
)


@dataclass(frozen=True)
class Part:
    """Something that is installed, or is to be. ``found``: its version or path; empty where it is missing.

    ``needed_by``: a processor or a service; empty for what is always needed. ``optional``: AppNet does without.
    """

    name: str
    found: str
    needed_by: str
    remedy: str
    optional: bool = False


def installed_parts() -> list[Part]:
    """What AppNet needs itself, and what each processor does: those that nobody asked for are optional."""
    return list(_parts(registry.ENTRIES, needed={USUAL_PROCESSOR}))


def application_parts(files: Sequence[Path]) -> list[Part]:
    """What the application in ``files`` needs: of AppNet, of its processors, of its programs.

    Raises `DiagnosticError` for what is wrong with the files.
    """
    loaded = load_application(*application_sources("verify", files))
    allowed = [{it.value for it in chain.chain.processors} or {USUAL_PROCESSOR} for chain in loaded.chains]
    names = [name for name in registry.ENTRIES if any(name in it for it in allowed)]
    source = local_file(loaded.manifest.source)
    return [*_parts(names, needed=names), *(_programs(source) if source is not None else ())]


def _parts(processors: Iterable[str], needed: Iterable[str]) -> Iterator[Part]:
    for it in _FOR_ALL:
        yield Part(it.name, it.find() or "", "", it.remedy)
    told: set[Requirement] = set(_FOR_ALL)
    for name in sorted(processors, key=lambda it: it not in needed):
        for it in registry.processor(name).parts:
            if it not in told:
                told.add(it)
                yield Part(it.name, it.find() or "", name, it.remedy, optional=name not in needed)


def _checkout_parts(checkout: Path) -> list[Part]:
    """What of a checkout of Phoenix fits; whether our adapter is in it already is no part of that."""
    managed = registry.managed("mrpc")
    assert managed is not None
    return [Part(it.name, it.found, "mrpc", it.remedy, it.optional) for it in managed.findings(checkout)]


def _programs(source: Source) -> Iterator[Part]:
    for name, service in read_local_application(source).services.items():
        program = service.command[0]
        remedy = f"install it, or correct `command` of {name} in {source.name}"
        yield Part(program, program_path(service) or "", name, remedy)


def _table(parts: Sequence[Part]) -> Table:
    table = Table("part", "found", "needed by", "how to get it", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for it in parts:
        missing = "[yellow]missing (optional)[/]" if it.optional else "[red]missing[/]"
        found = f"[green]{escape(it.found)}[/]" if it.found else missing
        remedy = "" if it.found else escape(it.remedy)
        table.add_row(escape(it.name), found, escape(it.needed_by) or "AppNet", remedy)
    return table


def _plain(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "found": part.found or None,
        "needed_by": part.needed_by or "AppNet",
        "optional": part.optional,
        "remedy": "" if part.found else part.remedy,
    }


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="An application (.yaml); default: check what AppNet itself needs."),
    ] = None,
    *,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Check the cluster that kubectl is configured for.")
    ] = False,
    namespace: NamespaceOption = None,
    mrpc_dir: Annotated[
        Path | None, typer.Option("--mrpc-dir", help="Check a checkout of Phoenix, mRPC's service.")
    ] = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Check the installation: list each part that AppNet or an application needs, and how to get what is missing.

    With --cluster: what a cluster has of it, and whether you may write AppNetConfigs there. With --mrpc-dir: what of a
    checkout fits what AppNet expects of mRPC.
    """
    if files and cluster:
        raise typer.BadParameter("an application's files are of this machine: leave one out", param_hint="--cluster")
    if mrpc_dir is not None:
        if files or cluster:
            raise typer.BadParameter("a checkout is neither: leave one out", param_hint="--mrpc-dir")
        parts = _checkout_parts(mrpc_dir)
    elif cluster:
        with cluster_of(namespace) as found:
            parts = [Part(it.name, it.found, "cluster", it.remedy, it.optional) for it in findings(found)]
    else:
        with told_errors():
            parts = application_parts(files) if files else installed_parts()
    missing = [it.name for it in parts if not (it.found or it.optional)]
    if output is not Format.TEXT:
        print_data({"ready": not missing, "parts": [_plain(it) for it in parts]}, output)
    else:
        out = open_screens().out
        out.print(_table(parts), "", sep="\n")
        out.print(f"missing: {', '.join(missing)}" if missing else "nothing is missing", markup=False)
    raise typer.Exit(FAILURE if missing else 0)
