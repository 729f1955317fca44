"""`appnetctl apply`: AppNetConfigs of this machine in a cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from appnet.cli.behaviour import check_any
from appnet.cli.cluster import USUAL_TIMEOUT, NamespaceOption, TimeoutOption, cluster_of
from appnet.cli.errors import WRONG_INPUT, open_screens, told_errors
from appnet.cli.files import application_sources
from appnet.cli.live import plain
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.screen import show_diagnostics, tell
from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError, Object
from appnet.deploy.kubernetes.client.configurations import apply
from appnet.deploy.kubernetes.client.inline import objects_in
from appnet.deploy.kubernetes.client.waiting import await_ready
from appnet.diagnostics.diagnostic import Severity
from appnet.diagnostics.source import FileSource

EXAMPLES = (
    "appnetctl apply app.yaml",
    "appnetctl apply app.yaml -n shop --wait --timeout 2m",
    "appnetctl apply app.yaml --dry-run -o yaml",
)
PAGE = "kubernetes.md"


def command(
    files: Annotated[list[Path], typer.Argument(help="AppNetConfigs (.yaml).")],
    *,
    namespace: NamespaceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only have the API server check them.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all proxies run what is applied.")] = False,
    timeout: TimeoutOption = None,
    force_conflicts: Annotated[
        bool, typer.Option("--force-conflicts", help="Also overwrite fields that others have set since.")
    ] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Apply AppNetConfigs to a cluster, with the texts of their elements and .proto files inside them.

    It checks them first, as `appnetctl check` does. Fields that others have set, such as a paused rollout, stay.
    """
    screens = open_screens()
    if dry_run and wait:
        raise typer.BadParameter("--dry-run leaves nothing to wait for: leave one of them out", param_hint="--wait")
    with told_errors():
        sources = application_sources("apply", files)
    _check(sources, screens.err)
    with cluster_of(namespace) as cluster:
        made = [(_placed(it, cluster, namespace), it) for source in sources for it in objects_in(source)]
        _no_twins([(where.namespace, it["metadata"]["name"]) for where, it in made])
        found = []
        for where, it in made:
            outcome, body = apply(where, it, dry_run=dry_run, force=force_conflicts)
            found.append(_plain(where, outcome, body))
            if output is Format.TEXT:
                told = f"{where.namespace}/{it['metadata']['name']} {outcome}{' (dry run)' if dry_run else ''}"
                tell(screens.out, told)
        if output is not Format.TEXT:
            print_data(found, output)
        if wait:
            _await(made, found, timeout, screens.out if output is Format.TEXT else screens.err)


def _check(sources: tuple[FileSource, ...], err: Console) -> None:
    found = list(dict.fromkeys(it for source in sources for it in check_any(source)))
    show_diagnostics(err, found)
    if any(it.severity is Severity.ERROR for it in found):
        raise typer.Exit(WRONG_INPUT)


def _placed(made: Object, cluster: Cluster, namespace: str | None) -> Cluster:
    """The cluster with the namespace of the object. Raises `ClusterError` where the option names another."""
    own = made["metadata"].get("namespace")
    if own and namespace and own != namespace:
        told = f"{made['metadata']['name']} has namespace {own}, and -n says {namespace}: leave one of them out"
        raise ClusterError(told, wrong_input=True)
    return replace(cluster, namespace=own) if own else cluster


def _no_twins(keys: list[tuple[str, str]]) -> None:
    twins = ["/".join(it) for it in dict.fromkeys(keys) if keys.count(it) > 1]
    if twins:
        raise ClusterError(f"two AppNetConfigs are called {twins[0]}: give each its own name", wrong_input=True)


def _plain(where: Cluster, outcome: str, body: Object) -> dict[str, Any]:
    kept = {key: it for key, it in body["metadata"].items() if key != "managedFields"}
    name = body["metadata"]["name"]
    return {"namespace": where.namespace, "name": name, "outcome": outcome, "object": {**body, "metadata": kept}}


def _await(
    made: list[tuple[Cluster, Object]], found: list[dict[str, Any]], timeout: float | None, out: Console
) -> None:
    seconds = USUAL_TIMEOUT if timeout is None else timeout
    for (where, _), it in zip(made, found, strict=True):
        name = it["name"]
        await_ready(where, name, it["object"], seconds, lambda told: tell(out, plain(f"waiting for {told}")))
        tell(out, f"{where.namespace}/{name} is ready")
