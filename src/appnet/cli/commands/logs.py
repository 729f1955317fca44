"""`appnetctl logs`: the records of elements as they come, in a cluster or on this machine."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from appnet.cli.cluster import ControllerOption, NamespaceOption, cluster_of, the_controller
from appnet.cli.errors import open_screens
from appnet.cli.live import plain
from appnet.cli.output import Format, OutputOption, line_text
from appnet.cli.watched import SinceOption, StatusOption, watched
from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError
from appnet.deploy.kubernetes.client.configurations import elements_of, one
from appnet.deploy.kubernetes.client.records import Controller, RecordsAsked
from appnet.diagnostics.near import suggestion

EXAMPLES = (
    "appnetctl logs --follow",
    "appnetctl logs sample-echo-sidecar --element logging --tail 100",
    "appnetctl logs --status 127.0.0.1:18002 --element logging --follow",
    "appnetctl logs --since 1h --element firewall",
    "appnetctl logs --controller 127.0.0.1:8081 -o json",
)
PAGE = "telemetry.md"

_USUAL_TAIL = 10


def command(
    name: Annotated[str | None, typer.Argument(help="Only the elements of this AppNetConfig.")] = None,
    *,
    namespace: NamespaceOption = None,
    element: Annotated[str | None, typer.Option(help="Only this element.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Also show new records as they come, until Ctrl-C.")] = False,
    tail: Annotated[
        int | None,
        typer.Option(min=0, max=1_000, help="How many earlier records to show; default: 10, and with --since all."),
    ] = None,
    since: SinceOption = None,
    status: StatusOption = None,
    controller: ControllerOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show what elements record: a line each, with its time, element, variable and value.

    Of a cluster, or with --status, of an application that `run` or `serve` has on this machine.
    """
    if status is not None:
        if name is not None or namespace is not None:
            raise typer.BadParameter(
                "it is for this machine, and NAME for a cluster: leave one out", param_hint="--status"
            )
        with watched(status, controller) as asked:
            wanted = RecordsAsked(tail, since or 0.0, frozenset([element] if element else []), "", follow)
            _show(asked, wanted, output)
        return
    with cluster_of(namespace) as cluster:
        space = cluster.namespace if name is not None else ""
        wanted = RecordsAsked(tail, since or 0.0, _elements(cluster, name, element), space, follow)
        _show(the_controller(cluster, controller), wanted, output)


def _show(asked: Controller, wanted: RecordsAsked, output: Format) -> None:
    out = open_screens().out
    if wanted.tail is None and not wanted.since:
        wanted = replace(wanted, tail=_USUAL_TAIL)
    try:
        with asked.records(wanted) as records:
            for it in records:
                if output is Format.TEXT:
                    out.print(plain(_line(it)), markup=False)
                else:
                    typer.echo(line_text(it, output), nl=False)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _elements(cluster: Cluster, name: str | None, element: str | None) -> frozenset[str]:
    """Those that are wanted; none where all are."""
    if name is None:
        return frozenset([element] if element else [])
    known = elements_of(one(cluster, name))
    if element is not None and element not in known:
        told = f"{name} has no element {element}; {suggestion(element, known, what='elements')}"
        raise ClusterError(told, wrong_input=True)
    return frozenset([element] if element else known)


def _line(record: dict[str, Any]) -> str:
    seconds, rest = divmod(int(record["time_ns"]), 10**9)
    clock = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 10**6:03}"
    value = json.dumps(record["value"], ensure_ascii=False)
    proxy = record.get("resource", {}).get("appnet.processor", "")
    return f"{clock}  {record['element']}.{record['variable']}  {value}  {proxy}".rstrip()
