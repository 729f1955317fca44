"""Behaviour files and captured RPCs for `appnetctl test`, `trace` and `check`, and what comes of trying them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from appnet.application.kinds import BEHAVIOUR, LOCAL, is_behaviour
from appnet.application.load import LoadedApplication
from appnet.application.model import USUAL_PROCESSOR
from appnet.behaviour.captured import NothingCapturedError, captured_case
from appnet.behaviour.document import Behaviour, Case
from appnet.behaviour.reader import load_behaviour
from appnet.behaviour.run import Failure, Result
from appnet.cli.elements import notes_of
from appnet.cli.screen import counted
from appnet.compile.check import check_source
from appnet.compile.fit import Where, load_application
from appnet.deploy.local.calls import check_calls
from appnet.deploy.local.services import local_file, read_local_application
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import FileSource, check_there
from appnet.processors import registry
from appnet.processors.processor import CapturedCall, ForeignCaptureError


def behaviour_files(paths: Iterable[Path]) -> list[Path]:
    """The behaviour files that the paths name: files themselves, those beside elements and configurations,
    all in folders.

    Raises ``DiagnosticError`` for a path without any.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            here = [it for it in sorted(path.rglob("*")) if is_behaviour(it.name)]
        else:
            named = is_behaviour(path.name)
            file = path if named else path.parent / f"{path.stem}{BEHAVIOUR}"
            here = [file] if file.is_file() or (named and file.exists()) else []
        if not here:
            check_there(path)
            help_ = f"write NAME{BEHAVIOUR} next to NAME.appnet: see docs/behaviour.md"
            title = f"no behaviour file for {path}"
            raise DiagnosticError([Diagnostic("C070", Severity.ERROR, title, Span.whole(FileSource(path)), "", help_)])
        found += here
    return list(dict.fromkeys(found))


def captured(path: Path, taps: Sequence[Path]) -> list[Behaviour]:
    """The captured RPCs as a case of each chain that sees some: of an application, a behaviour file or an element."""
    if path.suffix in {".yaml", ".yml"} and not is_behaviour(path.name):
        behaviours = list(_of_chains(load_application(FileSource(path))))
    else:
        behaviours = load_all(behaviour_files([path]))
    found: list[Behaviour] = []
    wrong: list[Diagnostic] = []
    for it in behaviours:
        try:
            found.append(replace(it, cases=(captured_case(it, _captured_by_any(it, taps)),)))
        except NothingCapturedError as error:
            wrong += error.diagnostics
    if not found:
        raise DiagnosticError(wrong)
    return found


def _captured_by_any(behaviour: Behaviour, taps: Sequence[Path]) -> Iterator[CapturedCall]:
    """The calls of the behaviour's method, whichever processor captured them."""
    for tap in taps:
        yield from _captured_in(FileSource(tap), behaviour.method.full_name)


def _captured_in(file: Source, method: str) -> list[CapturedCall]:
    """The calls in a file, which one of the processors captured."""
    foreign: list[ForeignCaptureError] = []
    for it in sorted(registry.processors().values(), key=lambda one: one.name != USUAL_PROCESSOR):
        try:
            return list(it.captured(file, method))
        except ForeignCaptureError as error:
            foreign.append(error)
    raise foreign[0]


def _of_chains(loaded: LoadedApplication) -> Iterator[Behaviour]:
    """The chains of an application on each of their methods, without any step yet."""
    source = loaded.application.source
    for chain in loaded.chains:
        for method in chain.methods:
            elements = tuple(method.elements[it.spec.name.value] for it in chain.chain.stops)
            empty = Case("captured", Span.whole(source), elements, seed=1, backends=1, steps=())
            yield Behaviour(source, chain.proto, method.signature, (empty,))


def check_any(source: FileSource, proto: Path | None = None, method: str = "", target: str = "") -> list[Diagnostic]:
    """What is wrong with a file of any kind; of a behaviour file, with what it names too.

    ``target``: with notes of what it keeps or gives up of elements that are right.
    """
    file = source.path
    try:
        if file.name.endswith(BEHAVIOUR):
            load_behaviour(source)
            return []
        if file.name == LOCAL:
            read_local_application(source)
            return []
        where = Where(target) if target else Where()
        named = FileSource(proto) if proto is not None else None
        found = check_source(source, named, method, where, also=_of_programs)
        noted = target and file.suffix != ".proto" and not any(it.severity is Severity.ERROR for it in found)
        return [*found, *notes_of(source, proto, method, target)] if noted else found
    except DiagnosticError as error:
        return error.diagnostics


def _of_programs(application: LoadedApplication) -> list[Diagnostic]:
    """What is wrong with the application file beside the manifest, where there is one."""
    source = local_file(application.manifest.source)
    if source is None:
        return []
    try:
        check_calls(read_local_application(source, application.manifest.services), application)
    except DiagnosticError as error:
        return error.diagnostics
    return []


def load_all(files: Iterable[Path]) -> list[Behaviour]:
    """All of them. Raises ``DiagnosticError`` with what is wrong in any."""
    found: list[Behaviour] = []
    wrong: list[Diagnostic] = []
    for file in files:
        try:
            found.append(load_behaviour(FileSource(file)))
        except DiagnosticError as error:
            wrong += error.diagnostics
    if wrong:
        raise DiagnosticError(list(dict.fromkeys(wrong)))
    return found


def show_results(
    results: Iterable[Result], behaviours: Sequence[Behaviour], targets: Sequence[str], out: Console
) -> bool:
    """Tells what came of each case as it has been tried, and in the end of all; whether all went well."""
    seen: list[Result] = []
    for result in results:
        seen.append(result)
        for failure in result.failures:
            out.print(_text(failure) + "\n", markup=False)
        if result.skipped:
            name = f"{result.source.name}: {result.case} ({result.target})"
            out.print(f"{name} skipped: {result.skipped}", markup=False)
    failed, skipped = sum(bool(it.failures) for it in seen), sum(bool(it.skipped) for it in seen)
    cases = counted(sum(len(it.cases) for it in behaviours), "case")
    told = f"{cases} of {counted(len(behaviours), 'file')} on {', '.join(targets)}"
    told += f": {len(seen) - failed - skipped} passed, {failed} failed"
    out.print(f"{told}, {skipped} skipped" if skipped else told, markup=False)
    return failed == 0


def _text(failure: Failure) -> str:
    return (
        f"{failure.source.name}:{failure.line}: {failure.case} ({failure.target})\n"
        f"  {failure.subject}\n"
        f"    expected  {failure.expected}\n"
        f"    got       {failure.got}"
    )


def plain_result(result: Result) -> dict[str, Any]:
    """The result as data."""
    failures = [
        {"line": it.line, "subject": it.subject, "expected": it.expected_data, "got": it.got_data}
        for it in result.failures
    ]
    skipped = {"skipped": result.skipped} if result.skipped else {}
    return {"file": result.source.name, "case": result.case, "target": result.target, "failures": failures, **skipped}
