"""`appnetctl trace`: RPCs stepped through a chain, for people and as data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from appnet.behaviour.document import OF_INSTANCES, Behaviour, Case, Step
from appnet.behaviour.run import plain_fields, plain_outcome, status_name, told, told_fields
from appnet.behaviour.trace import Change, HandlerTrace, StepTrace, trace_case
from appnet.cli.behaviour import behaviour_files, captured, load_all
from appnet.cli.errors import told_errors
from appnet.cli.output import Format, OutputOption, print_data
from appnet.interpret.shown import plain, shown
from appnet.ir.rows import Row
from appnet.language.messages import MessageSchema
from appnet.language.types import STRING

EXAMPLES = (
    "appnetctl trace circuit_breaker.appnet --case 'it opens'",
    "appnetctl trace app.yaml --tap tap_1.json --tap tap_2.json -o yaml",
)
PAGE = "behaviour.md"


def trace_text(behaviour: Behaviour, case: Case) -> Iterator[str]:
    """The case as lines: what came, which rows fired, what changed, what went on."""
    yield f"{behaviour.source.name}: {case.name}"
    for number, trace in enumerate(trace_case(behaviour, case), start=1):
        schema = _schema(behaviour, trace.step)
        yield f"{number:3}  {_event(trace.step, schema)}"
        for handler in trace.handlers:
            yield f"       {handler.element}.{handler.handler}"
            yield from (f"         {_row(row)}" for row in handler.rows)
            yield from (f"         {_changed(it)}" for it in handler.changes)
        if trace.outcome is not None:
            yield f"     {told(trace.outcome, trace.step.kind, behaviour.method)}"


def trace_data(behaviour: Behaviour, case: Case) -> Iterator[dict[str, Any]]:
    """The case as an object for each event, with the keys and values of a behaviour file."""
    for trace in trace_case(behaviour, case):
        schema = _schema(behaviour, trace.step)
        yield {
            "file": behaviour.source.name,
            "case": case.name,
            "line": trace.step.span.line,
            "event": _plain_event(trace.step, schema),
            "handlers": [_plain_handler(it) for it in trace.handlers],
            "outcome": _plain_outcome(trace, behaviour),
        }


def _plain_outcome(trace: StepTrace, behaviour: Behaviour) -> dict[str, Any] | None:
    return None if trace.outcome is None else plain_outcome(trace.outcome, trace.step.kind, behaviour.method)


def _plain_event(step: Step, schema: MessageSchema) -> dict[str, Any]:
    event: dict[str, Any] = {} if step.kind in OF_INSTANCES else {"call": step.call.removeprefix("#")}
    if step.after_ns:
        event["after"] = step.after_ns / 1e9
    if step.kind in OF_INSTANCES:
        return {**event, step.kind: ("away" if step.away else "back") if step.kind == "store" else list(step.of)}
    if step.instance:
        event["instance"] = step.instance
    if step.kind == "end":
        return {**event, "end": True}
    event[step.kind] = plain_fields(step.fields, schema)
    if step.metadata:
        event["metadata"] = {key: plain(it, STRING) for key, it in step.metadata.items()}
    return {**event, "status": status_name(step.status)} if step.kind == "response" else event


def _changed(change: Change) -> str:
    before, after = (shown(it, change.variable.type) for it in (change.before, change.after))
    return f"{change.variable.name}: {before} -> {after}"


def _plain_change(change: Change) -> dict[str, Any]:
    type_ = change.variable.type
    return {"before": plain(change.before, type_), "after": plain(change.after, type_)}


def _plain_handler(handler: HandlerTrace) -> dict[str, Any]:
    return {
        "element": handler.element,
        "handler": handler.handler,
        "rows": [{"number": it.number, "match": it.match, "actions": list(it.actions)} for it in handler.rows],
        "state": {it.variable.name: _plain_change(it) for it in handler.changes},
    }


def _schema(behaviour: Behaviour, step: Step) -> MessageSchema:
    return behaviour.method.request if step.kind == "request" else behaviour.method.response


def _event(step: Step, schema: MessageSchema) -> str:
    if step.kind == "store":
        return f"the store is {'away' if step.away else 'back'}"
    if step.kind in OF_INSTANCES:
        return f"{step.kind} of {', '.join(f'instance {it}' for it in step.of)}"
    return f"instance {step.instance}: {_of_call(step, schema)}" if step.instance else _of_call(step, schema)


def _of_call(step: Step, schema: MessageSchema) -> str:
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
    output: OutputOption = Format.TEXT,
) -> None:
    """Step a chain through RPCs of behaviour files or captures: the rows that fire, the state before and after."""
    with told_errors():
        every = [it for file in files for it in captured(file, taps)] if taps else load_all(behaviour_files(files))
    chosen = [(behaviour, it) for behaviour in every for it in behaviour.cases if case in it.name]
    if not chosen:
        raise typer.BadParameter(f"no case has {case!r} in its name", param_hint="--case")
    if output is not Format.TEXT:
        print_data([event for it in chosen for event in trace_data(*it)], output)
        return
    for behaviour, one in chosen:
        for line in trace_text(behaviour, one):
            typer.echo(line)
