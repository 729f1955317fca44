"""`appnetctl compile`, also `python compiler/ --spec`: an application to code, modules and manifests."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from appnet.analysis import Vocabulary, load_overrides
from appnet.application.load import LoadedApplication
from appnet.cli.errors import open_screens, told_errors, writing
from appnet.cli.files import application_sources
from appnet.cli.observed import USUAL_INTERVAL, IntervalOption, ObservedOption, Traffic
from appnet.cli.options import (
    AS_WRITTEN,
    AlgorithmOption,
    BackendOption,
    LevelOption,
    PricesOption,
    ProfileOption,
    TargetOption,
)
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.planned import where_of
from appnet.cli.screen import show_diagnostics, tell
from appnet.compile.cluster import problems
from appnet.compile.fit import DEFAULT_TARGET, load_application, moved_to
from appnet.compile.pipeline import Version, compile_application
from appnet.compile.written import service_files
from appnet.compile.written import write as write_files
from appnet.deploy.compose.output import ComposeSettings
from appnet.deploy.compose.output import files as compose_files
from appnet.deploy.kubernetes.manifests import ManifestSettings
from appnet.deploy.kubernetes.output import files as kubernetes_files
from appnet.deploy.local.services import local_file, read_local_application
from appnet.diagnostics.diagnostic import Severity
from appnet.diagnostics.source import FileSource
from appnet.optimize import Algorithm, Settings
from appnet.optimize.explain import explain, told_application
from appnet.optimize.placement import OptLevel
from appnet.processors import registry
from appnet.processors.processor import ProcessorError
from appnet.system.address import Address

EXAMPLES = (
    "appnetctl compile app.yaml -w generated",
    "appnetctl compile app.yaml --dry-run --target wasm",
    "python compiler/ --spec app.yaml --backend grpc",
    "python compiler/ --spec app.yaml --backend mrpc --mrpc_dir ~/phoenix",
)
PAGE = "compiler.md"


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, such as 127.0.0.1:4318") from None


_Files = Annotated[list[Path] | None, typer.Argument(help="The application: a specification or AppNetConfigs (.yaml).")]
_Spec = Annotated[
    Path | None, typer.Option("--spec", "-s", "--spec-path", help="The same as FILES, as in the public compiler.")
]
_Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show each chain as written and as planned.")]
_Properties = Annotated[
    Path | None,
    typer.Option("--pseudo-property", help="Properties written by hand, which replace inferred ones."),
]
_Code = Annotated[
    Path | None,
    typer.Option("--pseudo-impl", help="A folder of C written by hand, which replaces generated C."),
]
_Mrpc = Annotated[
    Path | None, typer.Option("--mrpc-dir", help="With --backend mrpc: a checkout of Phoenix, to add the adapter to.")
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing; print what would be written.")]
_NoOptimize = Annotated[bool, typer.Option("--no-optimize", help="The same as --opt-level no, and overrides it.")]
_Replica = Annotated[
    int | None, typer.Option("--replica", min=1, help="Pods per service; default: as in the manifest.")
]
_Debug = Annotated[bool, typer.Option("--debug", help="Report each step and its duration on standard error.")]


class _Form(Enum):
    """What applications are compiled to."""

    KUBERNETES = "kubernetes"
    COMPOSE = "compose"


_To = Annotated[_Form, typer.Option("--to", help="Kubernetes manifests, or a Compose file.")]
_Write = Annotated[
    Path | None,
    typer.Option("--write", "-w", help="The folder to write to; default: generated, with --backend mrpc graph/gen."),
]
_Collector = Annotated[
    Address | None,
    typer.Option(parser=_address, metavar="HOST:PORT", help="Where to send records: OTLP over HTTP."),
]


def command(
    files: _Files = None,
    *,
    spec: _Spec = None,
    backend: BackendOption = AS_WRITTEN,
    verbose: _Verbose = False,
    pseudo_property: _Properties = None,
    pseudo_impl: _Code = None,
    mrpc_dir: _Mrpc = None,
    dry_run: _DryRun = False,
    opt_level: LevelOption = OptLevel.STRONG,
    no_optimize: _NoOptimize = False,
    replica: _Replica = None,
    opt_algorithm: AlgorithmOption = Algorithm.COST,
    prices: PricesOption = None,
    profile: ProfileOption = None,
    observed: ObservedOption = None,
    interval: IntervalOption = USUAL_INTERVAL,
    debug: _Debug = False,
    target: TargetOption = DEFAULT_TARGET,
    to: _To = _Form.KUBERNETES,
    write: _Write = None,
    collector: _Collector = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Compile an application: plan its chains, and write code, modules and Kubernetes manifests or a Compose file; or
    what engines of the mRPC service load.

    In a cluster, native modules need Istio 1.31 or newer; for older versions use --target wasm.
    """
    named = [*(files or ()), *([spec] if spec is not None else ())]
    if not named:
        raise typer.BadParameter("pass the application's files, or one with --spec", param_hint="FILES")
    service = None if backend == AS_WRITTEN else registry.managed(backend)
    if mrpc_dir is not None and service is None:
        raise typer.BadParameter("it is for --backend mrpc", param_hint="--mrpc-dir")
    traffic = Traffic(profile, observed, interval)
    folder = write or Path("generated" if service is None else "graph/gen")
    screens = open_screens()
    settings = Settings(OptLevel.NO if no_optimize else opt_level, opt_algorithm)
    with told_errors(ProcessorError), _told_steps(debug=debug):
        where = where_of(target, prices, cluster=to is _Form.KUBERNETES and service is None, gateway=False)
        application = load_application(*application_sources("compile", named), where=where)
        if backend != AS_WRITTEN:
            application = moved_to(application, backend)
        show_diagnostics(screens.err, list(application.warnings))
        if pseudo_property is not None:
            by_hand = load_overrides(FileSource(pseudo_property), _elements(application))
            settings = dataclasses.replace(settings, by_hand=by_hand)
        profiles = traffic.profiles(application.chains)
        version = compile_application(application, settings, where, by_hand=pseudo_impl, profiles=profiles)
        if verbose:
            for line in told_application([explain(*it) for it in zip(version.plans, profiles, strict=True)]):
                tell(screens.out if output is Format.TEXT else screens.err, line)
        if service is not None:
            found, notes = service_files(version, service, collector), []
        elif to is _Form.KUBERNETES:
            there = problems(version.artifacts, version.application.manifest)
            notes = [it for it in there if it.severity is not Severity.ERROR]
            found = kubernetes_files(version, ManifestSettings(replica, collector))
        else:
            found, notes = compose_files(version, ComposeSettings(where, replica, collector, _links(version)))
        show_diagnostics(screens.err, notes)
        paths = [folder / path for path in sorted(found)]
        if not dry_run:
            with writing(folder):
                write_files(found, folder)
            if service is not None and mrpc_dir is not None:
                paths += service.place(mrpc_dir)
    _tell(paths, output, written=not dry_run)


def _tell(files: list[Path], output: Format, *, written: bool) -> None:
    paths = [str(it) for it in files]
    if output is not Format.TEXT:
        print_data({"written": written, "files": paths}, output)
        return
    for path in paths:
        typer.echo(f"{'wrote' if written else 'would write'} {path}")


def _links(version: Version) -> list[tuple[str, str]]:
    """Which services call each other, as far as the application file beside the manifest says it."""
    source = local_file(version.application.manifest.source)
    services = read_local_application(source).services if source is not None else {}
    return [(name, server) for name, it in services.items() for server in it.upstreams]


@contextlib.contextmanager
def _told_steps(*, debug: bool) -> Iterator[None]:
    """Shows on standard error what the compiler does, where that is asked for."""
    if not debug:
        yield
        return
    logger, handler = logging.getLogger("appnet"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def _elements(application: LoadedApplication) -> dict[str, Vocabulary]:
    """What properties of each element may name, on all chains that it stands on."""
    found: dict[str, Vocabulary] = {}
    for method in (method for chain in application.chains for method in chain.methods):
        for name, element in method.elements.items():
            words = Vocabulary.of(element, [method.signature])
            found[name] = found[name] | words if name in found else words
    return found
