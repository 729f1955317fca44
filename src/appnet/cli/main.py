"""`appnetctl`: its commands, options and exit codes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from appnet import __version__
from appnet.application.placement import OptLevel
from appnet.behaviour.run import TARGETS
from appnet.cli.behaviour import behaviour_files, captured, check_any, checkable, load_all, try_all
from appnet.cli.compile import compile_spec
from appnet.cli.element import Placement, build_element
from appnet.cli.elements import given_parameters
from appnet.cli.errors import FAILURE, WRONG_INPUT, BackendOption, check_writable, open_screens, told_errors, writing
from appnet.cli.explain import application_json, model_of, plan_json, planned
from appnet.cli.explain_code import explain_code
from appnet.cli.fmt import Formatted, format_file
from appnet.cli.run import run_once, run_until_told
from appnet.cli.screen import show_diagnostics
from appnet.cli.show import View, views
from appnet.cli.supervise import supervised
from appnet.cli.trace import trace_json, trace_text
from appnet.cli.verify import verify_tables
from appnet.codegen.c.build import Target
from appnet.deploy.local.machine import RunSettings
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, Span
from appnet.language import Given
from appnet.optimize import Algorithm, Settings
from appnet.optimize.explain import told_application
from appnet.optimize.picture import picture
from appnet.optimize.prices import write_prices
from appnet.processors.envoy.calibrate.calibrate import Effort
from appnet.processors.envoy.calibrate.calibrate import calibrate as measure_prices

_HELP = """Program the network between microservices.

Exit codes: 0 success, 1 something failed while it ran, 2 the input or the command line is wrong."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=_HELP)


_Level = Annotated[OptLevel, typer.Option(help="What has to stay the same when elements move.")]
_Target = Annotated[Target, typer.Option(help="What elements are compiled to.")]
_ProfileFile = Annotated[Path | None, typer.Option(help="Observed traffic: rates of chains, and what elements refuse.")]
_Parameters = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the element's init; may be repeated.")
]
_Planned = Annotated[Path, typer.Argument(help="An AppNetConfig, or an application's specification (.yaml).")]
_PricesFile = Annotated[Path | None, typer.Option(help="What RPCs cost here, as `appnetctl calibrate` wrote it.")]
_Algorithm = Annotated[Algorithm, typer.Option("--opt_algorithm", "--algorithm", help="How the plan is chosen.")]


def _given(parameters: list[str] | None) -> dict[str, Given]:
    try:
        return given_parameters(parameters or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--parameter") from None


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="An AppNetConfig (.yaml).")],
    *,
    target: _Target = Target.NATIVE,
    once: Annotated[bool, typer.Option("--once", help="Make the calls, check them, show the records, end.")] = False,
    opt_level: _Level = OptLevel.STRONG,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The frontend's port; 0: a free one.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Worker threads of each Envoy.")] = 1,
    prices: _PricesFile = None,
) -> None:
    """Run an application with its elements on this machine, and upgrade it when a file is saved."""
    screens = open_screens()
    with told_errors():
        settings = RunSettings(file, Path(), target, opt_level, concurrency, port, model_of(prices))
        work = run_once(settings, screens) if once else run_until_told(settings, screens)
        good = asyncio.run(supervised(work))
    if good is None:
        screens.out.print("stopped")
        good = not once
    raise typer.Exit(0 if good else FAILURE)


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="AppNetConfigs, specifications, behaviour files (.yaml), elements (.appnet), .proto files, or folders."
        ),
    ],
    *,
    proto: Annotated[Path | None, typer.Option(help="The .proto of the elements' method.")] = None,
    method: Annotated[str, typer.Option(help="The elements' method in it; without it, all of them.")] = "",
    target: Annotated[
        Target | None, typer.Option(help="Also note what this target keeps or gives up of each element.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each diagnostic, on a line.")] = False,
) -> None:
    """Tell everything that is wrong with configurations, behaviour files, elements and .proto files.

    `appnetctl explain-code CODE` says what a code means, with an example and how to mend it.
    """
    if method and proto is None:
        raise typer.BadParameter("--method names a method in a .proto: add --proto FILE")
    noted = target.value if target is not None else ""
    with told_errors():
        files = checkable(files)
    found = list(dict.fromkeys(it for file in files for it in check_any(file, proto, method, noted)))
    screens = open_screens()
    if as_json:
        for diagnostic in found:
            typer.echo(json.dumps(_plain(diagnostic)))
    else:
        show_diagnostics(screens.err, found)
        count = Counter(it.severity for it in found)
        notes = f", {count[Severity.NOTE]} notes" if noted else ""
        told_count = f"{count[Severity.ERROR]} errors, {count[Severity.WARNING]} warnings{notes}"
        screens.out.print(f"{_count(files, 'file')}: {told_count}")
    raise typer.Exit(WRONG_INPUT if any(it.severity is Severity.ERROR for it in found) else 0)


@app.command()
def fmt(
    files: Annotated[list[Path], typer.Argument(help="Elements (.appnet).")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if a file would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; show what would change.")] = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Rewrite the older brace syntax, too.")] = False,
) -> None:
    """Rewrite elements in the canonical layout; comments and meaning stay."""
    screens = open_screens()
    changed: list[Formatted] = []
    wrong: list[Diagnostic] = []
    for file in files:
        try:
            formatted = format_file(file, upgrade=upgrade)
        except DiagnosticError as error:
            wrong += error.diagnostics
            continue
        if formatted.changed:
            changed.append(formatted)
    show_diagnostics(screens.err, wrong)
    try:
        for it in changed:
            if diff:
                typer.echo(it.diff(), nl=False)
            if not (check or diff):
                it.write()
            screens.err.print(f"{'would reformat' if check or diff else 'reformatted'} {it.file}", markup=False)
    except OSError as error:
        screens.err.print(f"error: {error}", markup=False)
        raise typer.Exit(FAILURE) from None
    raise typer.Exit(WRONG_INPUT if wrong else FAILURE if check and changed else 0)


@app.command("test")
def try_elements(
    files: Annotated[list[Path] | None, typer.Argument(help="Behaviour files, elements or folders of them.")] = None,
    *,
    target: Annotated[str, typer.Option(help="interpreter, native, wasm or all.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each case, on a line.")] = False,
) -> None:
    """Try elements on the RPCs of their behaviour files, interpreted and compiled."""
    if target not in {"all", *TARGETS}:
        raise typer.BadParameter(f"{target!r} is none of {', '.join(TARGETS)} and all", param_hint="--target")
    with told_errors():
        behaviours = load_all(behaviour_files(files or [Path()]))
    targets = TARGETS if target == "all" else [target]
    good = try_all(behaviours, targets, open_screens().out, as_json=as_json)
    raise typer.Exit(0 if good else FAILURE)


@app.command()
def trace(
    files: Annotated[list[Path], typer.Argument(help="Behaviour files, or elements and AppNetConfigs that have one.")],
    *,
    case: Annotated[str, typer.Option(help="Only cases whose name contains this.")] = "",
    taps: Annotated[
        list[Path] | None, typer.Option("--tap", help="RPCs captured by Envoy's tap filter, instead of cases.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each event, on a line.")] = False,
) -> None:
    """Step a chain through RPCs of behaviour files or captures: the rows that fire, the state before and after."""
    with told_errors():
        behaviours = [captured(it, taps) for it in files] if taps else load_all(behaviour_files(files))
    chosen = [(behaviour, it) for behaviour in behaviours for it in behaviour.cases if case in it.name]
    if not chosen:
        raise typer.BadParameter(f"no case here has {case!r} in its name", param_hint="--case")
    for behaviour, one in chosen:
        if as_json:
            for event in trace_json(behaviour, one):
                typer.echo(json.dumps(event))
        else:
            for line in trace_text(behaviour, one):
                typer.echo(line)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="An element (.appnet).")],
    *,
    what: Annotated[list[View] | None, typer.Option(help="Views, in this order; without it all but c.")] = None,
    proto: Annotated[Path | None, typer.Option(help="The .proto of the element's method.")] = None,
    method: Annotated[str, typer.Option(help="The element's method in it.")] = "",
    parameter: _Parameters = None,
) -> None:
    """Show an element as the compiler sees it: effects, state classes, match-action tables, generated C."""
    out = open_screens().out
    with told_errors():
        for view in views(file, proto, method, _given(parameter), what or [View.EFFECTS, View.STATES, View.TABLE]):
            out.print(view)


@app.command()
def element(
    *,
    element: Annotated[Path, typer.Option(help="The element (.appnet).")],
    proto: Annotated[Path, typer.Option(help="The .proto of its method.")],
    method_name: Annotated[str, typer.Option("--method_name", "--method-name", help="The method in it.")],
    backend: BackendOption = "envoy",
    placement: Annotated[Placement, typer.Option(help="The side that runs it.")] = Placement.CLIENT,
    parameter: _Parameters = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path("generated"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the match-action tables, too.")] = False,
) -> None:
    """Compile one element: print what is inferred about it, and write its code."""
    screens, given = open_screens(), _given(parameter)
    with told_errors():
        built = build_element(
            element, proto, method_name, parameters=given, backend=backend, placement=placement, folder=output
        )
        if verbose:
            for view in views(element, proto, method_name, given, [View.EFFECTS, View.STATES, View.TABLE]):
                screens.out.print(view)
    show_diagnostics(screens.err, built.warnings)
    typer.echo(json.dumps(built.properties, indent=2))
    for file in built.files:
        screens.err.print(f"wrote {file}", markup=False)


app.command("compile")(compile_spec)
app.command("explain-code")(explain_code)


@app.command()
def lsp() -> None:
    """Serve editors: the Language Server Protocol on standard input and output."""
    from appnet.editor.server import make_server  # noqa: PLC0415  # a quarter of a second to import

    make_server().start_io()


@app.command()
def plan(
    file: _Planned,
    *,
    opt_level: _Level = OptLevel.STRONG,
    target: _Target = Target.NATIVE,
    profile: _ProfileFile = None,
    prices: _PricesFile = None,
    algorithm: _Algorithm = Algorithm.COST,
) -> None:
    """Print plans as JSON: which elements run where, in which order, at what expected cost."""
    with told_errors():
        settings = Settings(opt_level, target.value, model_of(prices), algorithm=algorithm)
        typer.echo(json.dumps(plan_json(planned(file, settings, profile)), indent=2))


@app.command()
def explain(
    file: _Planned,
    *,
    opt_level: _Level = OptLevel.STRONG,
    target: _Target = Target.NATIVE,
    profile: _ProfileFile = None,
    prices: _PricesFile = None,
    algorithm: _Algorithm = Algorithm.COST,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw the chains before and after into this file, too.")] = None,
) -> None:
    """Explain plans: what was moved and why, what was not and why not, the expected cost before and after."""
    with told_errors():
        settings = Settings(opt_level, target.value, model_of(prices), algorithm=algorithm)
        found = planned(file, settings, profile)
        if svg is not None:
            with writing(svg):
                svg.write_text(picture(found.explanations, found.edges), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(application_json(found), indent=2))
    else:
        for line in told_application(found.explanations):
            typer.echo(line)


@app.command()
def calibrate(
    file: Annotated[Path, typer.Argument(help="Where the prices go.")] = Path("prices.yaml"),
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How often each probe is measured; more bear more noise.")] = 8,
) -> None:
    """Measure what RPCs cost on this machine, in about a minute, and write it for --prices of plan, explain and run."""
    screens = open_screens()
    with told_errors():
        check_writable(file)
        with screens.err.status("") as status:
            model = asyncio.run(supervised(measure_prices(Effort(rounds), status.update)))
        if model is not None:
            write_prices(model, file)
    screens.out.print(f"wrote {file}" if model is not None else "stopped", markup=False)
    raise typer.Exit(0 if model is not None else FAILURE)


@app.command()
def version() -> None:
    """Say which version this is."""
    typer.echo(f"appnetctl {__version__}")


@app.command()
def verify() -> None:
    """Say what is installed, what is missing for which processor, and how to get it."""
    parts, processors, complete = verify_tables()
    open_screens().out.print(parts, "", processors, sep="\n")
    raise typer.Exit(0 if complete else FAILURE)


def _count(things: list[Path], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _plain(diagnostic: Diagnostic) -> dict[str, object]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "title": diagnostic.title,
        "label": diagnostic.label,
        "help": diagnostic.help,
        **_place(diagnostic.span),
        "places": [{"label": it.text, **_place(it.span)} for it in diagnostic.places],
    }


def _place(span: Span) -> dict[str, object]:
    return {
        "file": str(span.file),
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def main() -> None:
    """Entry point of the `appnetctl` script."""
    app()
