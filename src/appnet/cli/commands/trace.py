"""`appnetctl trace`: RPCs stepped through a chain, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from appnet.behaviour.document import Behaviour, Case, Step
from appnet.behaviour.run import status_name, told, told_fields
from appnet.behaviour.trace import HandlerTrace, StepTrace, trace_case
from appnet.cli.behaviour import behaviour_files, captured, load_all
from appnet.cli.errors import told_errors
from appnet.ir.rows import Row
from appnet.language.messages import MessageSchema


def trace_text(behaviour: Behaviour, case: Case) -> Iterator[str]:
    """The case as lines: what came, which rows fired, what changed, what went on."""
    yield f"{behaviour.source.name}: {case.name}"
    for number, trace in enumerate(trace_case(behaviour, case), start=1):
        schema = _schema(behaviour, trace.step)
        yield f"{number:3}  {_event(trace.step, schema)}"
        for handler in trace.handlers:
            yield f"       {handler.element}.{handler.handler}"
            yield from (f"         {_row(row)}" for row in handler.rows)
            yield from (f"         {it.variable}: {it.before} -> {it.after}" for it in handler.changes)
        if trace.outcome is not None:
            yield f"     {told(trace.outcome, trace.step.kind, behaviour.method)}"


def trace_json(behaviour: Behaviour, case: Case) -> Iterator[dict[str, Any]]:
    """The case as an object for each event."""
    for trace in trace_case(behaviour, case):
        schema = _schema(behaviour, trace.step)
        yield {
            "file": behaviour.source.name,
            "case": case.name,
            "line": trace.step.span.line,
            "event": _event(trace.step, schema),
            "handlers": [_plain(it) for it in trace.handlers],
            "outcome": _told(trace, behaviour),
        }


def _told(trace: StepTrace, behaviour: Behaviour) -> str | None:
    return told(trace.outcome, trace.step.kind, behaviour.method) if trace.outcome is not None else None


def _plain(handler: HandlerTrace) -> dict[str, Any]:
    return {
        "element": handler.element,
        "handler": handler.handler,
        "rows": [{"number": it.number, "match": it.match, "actions": list(it.actions)} for it in handler.rows],
        "state": {it.variable: {"before": it.before, "after": it.after} for it in handler.changes},
    }


def _schema(behaviour: Behaviour, step: Step) -> MessageSchema:
    return behaviour.method.request if step.kind == "request" else behaviour.method.response


def _event(step: Step, schema: MessageSchema) -> str:
    if step.kind == "end":
        return f"end of the call of line {step.call[1:]}" if step.call.startswith("#") else f"end of call {step.call}"
    text = f"{step.kind}: {told_fields(step.fields, schema)}"
    if step.status:
        text += f", status: {status_name(step.status)}"
    headers = ", ".join(f"{key}: {value.decode(errors='backslashreplace')}" for key, value in step.metadata.items())
    later = f"{step.after_ns / 1e9:.9g} s later, " if step.after_ns else ""
    return f"{later}{text}{f', metadata: {{{headers}}}' if headers else ''}"


def _row(row: Row) -> str:
    return f"{row.number + '  ' if row.number else ''}{row.match}  =>  {'; '.join(row.actions) or 'nothing'}"


def command(
    files: Annotated[list[Path], typer.Argument(help="Behaviour files, or elements and applications that have one.")],
    *,
    case: Annotated[str, typer.Option(help="Only cases whose name contains this.")] = "",
    taps: Annotated[
        list[Path] | None, typer.Option("--tap", help="RPCs captured by Envoy's tap filter, instead of cases.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event.")] = False,
) -> None:
    """Step a chain through RPCs of behaviour files or captures: the rows that fire, the state before and after."""
    with told_errors():
        every = [it for file in files for it in captured(file, taps)] if taps else load_all(behaviour_files(files))
    chosen = [(behaviour, it) for behaviour in every for it in behaviour.cases if case in it.name]
    if not chosen:
        raise typer.BadParameter(f"no case has {case!r} in its name", param_hint="--case")
    for behaviour, one in chosen:
        if as_json:
            for event in trace_json(behaviour, one):
                typer.echo(json.dumps(event))
        else:
            for line in trace_text(behaviour, one):
                typer.echo(line)
