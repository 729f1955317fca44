"""`appnetctl get`: the AppNetConfigs of a cluster, in the columns that `kubectl get` shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from appnet.cli.cluster import AllNamespacesOption, NamespaceOption, cluster_of
from appnet.cli.errors import open_screens
from appnet.cli.live import plain
from appnet.cli.output import Format, OutputOption, print_data
from appnet.deploy.kubernetes.client.configurations import Table, every, one, table

EXAMPLES = ("appnetctl get", "appnetctl get -A --wide", "appnetctl get sample-echo-sidecar -o yaml")
PAGE = "kubernetes.md"


def command(
    names: Annotated[list[str] | None, typer.Argument(help="Only these AppNetConfigs.")] = None,
    *,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    wide: Annotated[bool, typer.Option("--wide", help="Show all columns.")] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """List AppNetConfigs of a cluster with what became of them; as data, the objects themselves."""
    if all_namespaces and names:
        raise typer.BadParameter(
            "names are of one namespace: leave out -A, or the names", param_hint="--all-namespaces"
        )
    with cluster_of(namespace) as cluster:
        chosen = None if all_namespaces else cluster.namespace
        wanted = [one(cluster, it) for it in names or ()]
        if output is not Format.TEXT:
            items = wanted if names else every(cluster, chosen)
            print_data({"apiVersion": "v1", "kind": "List", "items": items}, output)
            return
        found = table(cluster, chosen)
        rows = [it for it in found.rows if not names or it[1][0] in names]
        screens = open_screens()
        if not rows:
            where = "any namespace" if all_namespaces else f"namespace {cluster.namespace}"
            screens.err.print(f"no AppNetConfigs in {where}", markup=False)
            return
        for line in _lines(replace(found, rows=rows), wide=wide, namespaces=all_namespaces):
            screens.out.print(plain(line), markup=False)


def _lines(found: Table, *, wide: bool, namespaces: bool) -> list[str]:
    shown = [index for index, (_, extra) in enumerate(found.columns) if wide or not extra]
    lines = [[found.columns[it][0].upper() for it in shown]]
    lines += [[cells[it] for it in shown] for _, cells in found.rows]
    if namespaces:
        spaces = ["NAMESPACE", *(space for space, _ in found.rows)]
        lines = [[space, *line] for space, line in zip(spaces, lines, strict=True)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["   ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
