"""`appnetctl traces`: where calls went, span by span."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from appnet.cli.cluster import ControllerOption
from appnet.cli.errors import FAILURE, open_screens
from appnet.cli.live import plain
from appnet.cli.output import Format, OutputOption, line_text
from appnet.cli.watched import SinceOption, StatusOption, watched
from appnet.deploy.kubernetes.client.records import TracesAsked
from appnet.observe.shown import time_shown

EXAMPLES = (
    "appnetctl traces --status 127.0.0.1:18002",
    "appnetctl traces 4bf92f3577b34da6a3ce929d0e0e4736",
    "appnetctl traces --since 1h --last 100 -o json",
)
PAGE = "telemetry.md"

_DEEPEST = 12  # levels of a tree that move to the right
_INDENT = "  "
_ID = re.compile("[0-9a-f]{32}")


def _id(text: str) -> str:
    if not _ID.fullmatch(text.lower()):
        raise typer.BadParameter(f"{text!r} is not the id of a trace: 32 hexadecimal digits")
    return text.lower()


def command(
    trace: Annotated[
        str | None, typer.Argument(metavar="ID", parser=_id, help="Only the trace of this id, as `traceparent` has it.")
    ] = None,
    *,
    last: Annotated[
        int | None, typer.Option(min=0, max=1_000, help="How many at most; default: 10, with --since 1,000.")
    ] = None,
    since: SinceOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Also show new traces as they come, until Ctrl-C.")] = False,
    status: StatusOption = None,
    controller: ControllerOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show traces: where calls went, how long they took, and what elements made of them.

    Of a cluster, or with --status, of an application that `run` or `serve` has on this machine. Native Envoys and
    programs with a gRPC library make spans of the calls that callers trace, and of a share of the others where the
    configuration has `traces`.
    """
    if trace is not None and (last is not None or since is not None or follow):
        raise typer.BadParameter("an id means one trace: leave out --last, --since and --follow", param_hint="ID")
    screens = open_screens()
    shown = False
    try:
        with (
            watched(status, controller) as asked,
            asked.traces(TracesAsked(trace or "", last, since or 0.0, follow)) as traces,
        ):
            for it in traces:
                if output is not Format.TEXT:
                    typer.echo(line_text(it, output), nl=False)
                else:
                    for line in [*([""] if shown else []), *trace_lines(it)]:
                        screens.out.print(plain(line), markup=False, highlight=False, soft_wrap=True)
                shown = True
    except KeyboardInterrupt:
        raise typer.Exit from None
    if not shown and trace is not None:
        screens.err.print(
            f"error: no spans of trace {trace} are kept: the caller decides whether a call is traced", markup=False
        )
        raise typer.Exit(FAILURE)
    if not shown and output is Format.TEXT:
        screens.err.print("no call was traced yet: callers decide, or `traces` in the configuration", markup=False)


def trace_lines(trace: dict[str, Any]) -> Iterator[str]:
    """The trace as lines: a tree of spans, and below each of them what elements did."""
    spans = trace["spans"]
    begin, end = min(it["start_ns"] for it in spans), max(it["end_ns"] for it in spans)
    seconds, rest = divmod(begin, 10**9)
    clock = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 10**6:03}"
    several = f"{len(spans)} spans" if len(spans) != 1 else "1 span"
    yield f"trace {trace['trace_id']} at {clock}: {several} in {time_shown((end - begin) / 1e9)}"
    for depth, span in _tree(spans):
        indent = _INDENT * (min(depth, _DEEPEST) + 1)
        yield f"{indent}{_span(span, begin)}"
        yield from (f"{indent}{_INDENT}{_event(it, begin)}" for it in span["events"])
        if span["dropped_events"]:
            yield f"{indent}{_INDENT}and {span['dropped_events']} more"


def _tree(spans: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each span once, behind its parent, with its depth. Those without a parent here are roots, and so is the first of
    those that are one another's parents."""
    known = {it["span_id"] for it in spans}
    children: dict[str, list[dict[str, Any]]] = {}
    for it in spans:
        children.setdefault(it["parent_id"], []).append(it)
    seen: set[int] = set()
    roots = [it for it in spans if it["parent_id"] not in known]
    for root in [*roots, *spans]:
        open_ = [(0, root)]
        while open_:
            depth, span = open_.pop()
            if id(span) in seen:
                continue
            seen.add(id(span))
            yield depth, span
            open_ += [(depth + 1, it) for it in reversed(children.get(span["span_id"], []))]


def _span(span: dict[str, Any], begin: int) -> str:
    resource, attributes = span["resource"], span["attributes"]
    if "appnet.client" in resource:
        where = f"{resource['appnet.client']} → {resource.get('appnet.server')} ({resource.get('appnet.side')})"
    else:
        where = str(resource.get("service.name", "unknown"))
    took = time_shown((span["end_ns"] - span["start_ns"]) / 1e9)
    status = attributes.get("rpc.response.status_code", "ERROR" if span["failed"] else "")
    version = resource.get("appnet.version", "")
    parts = [
        f"{_after(span['start_ns'], begin)} {where} {span['name']}",
        took,
        status,
        f"version {version}" if version else "",
    ]
    return "  ".join(str(it) for it in parts if it != "")


def _event(event: dict[str, Any], begin: int) -> str:
    of = event["attributes"]
    row = f"row {of['appnet.row']}" if "appnet.row" in of else ""
    hits = f"{of['appnet.row.hits']} times" if "appnet.row.hits" in of else ""
    what = of.get("appnet.element") or {"appnet.unjudged": "no element"}.get(event["name"], event["name"])
    words = [what, of.get("appnet.handler"), row, hits, of.get("appnet.verdict"), of.get("rpc.response.status_code")]
    return f"{_after(event['time_ns'], begin)} {' '.join(str(it) for it in words if it)}"


def _after(time_ns: int, begin: int) -> str:
    return f"+{time_shown(max(0, time_ns - begin) / 1e9)}"
