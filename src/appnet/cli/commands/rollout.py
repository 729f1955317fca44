"""`appnetctl rollout`: which node of a running `serve`, or of a cluster, runs which version, and the way back."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from appnet.cli.cluster import USUAL_TIMEOUT, NamespaceOption, TimeoutOption
from appnet.cli.cluster_rollout import cluster_action
from appnet.cli.errors import open_screens, told_errors
from appnet.cli.live import plain
from appnet.cli.options import STATUS, address_given
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.served import asked
from appnet.deploy.kubernetes.client.changes import Action

EXAMPLES = (
    "appnetctl rollout status",
    "appnetctl rollout undo --status 127.0.0.1:18002",
    "appnetctl rollout undo sample-echo-sidecar -n shop --wait",
)
PAGE = "local.md"


def command(
    action: Annotated[
        Action,
        typer.Argument(
            help="status: what each node runs. history: earlier versions. undo: go back to the previous version, or "
            "take a canary version back. promote: give all nodes what the canaries run. pause: have later versions "
            "wait. resume: let them go on."
        ),
    ],
    name: Annotated[
        str | None, typer.Argument(help="An AppNetConfig of a cluster; default: the nodes of a running `serve`.")
    ] = None,
    *,
    namespace: NamespaceOption = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="For undo in a cluster: the version to go back to.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="In a cluster: wait until all proxies run it.")] = False,
    timeout: TimeoutOption = None,
    status: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help=f"The `--status` of `serve`; default: {STATUS}.")
    ] = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show which node runs which version, go back to the previous one, promote a canary, or have later versions wait.

    With the name of an AppNetConfig, all of this is about its application in a cluster. There, `undo` writes back what
    an earlier version was made of, even after the controller has restarted.
    """
    screens = open_screens()
    if name is not None:
        if status is not None:
            raise typer.BadParameter("it is for `serve`, and NAME for a cluster: leave one out", param_hint="--status")
        if to is not None and action is not Action.UNDO:
            raise typer.BadParameter("only undo goes to a version", param_hint="--to")
        seconds = USUAL_TIMEOUT if timeout is None else timeout
        cluster_action(action, name, namespace, to=to, wait=seconds if wait else None, output=output, screens=screens)
        return
    with told_errors():
        place = address_given(status or STATUS, "--status")
        looks = action in (Action.STATUS, Action.HISTORY)
        found = asked(place, "GET", "/rollout") if looks else asked(place, "POST", f"/rollout/{action.value}")
        if output is not Format.TEXT:
            print_data(found, output)
            return
        for line in _history(found) if action is Action.HISTORY else _status(found):
            screens.out.print(plain(line), markup=False)


def _status(found: dict[str, Any]) -> list[str]:
    canary = found["canary"] or {}
    lines = [f"version {found['version']}"]
    if canary.get("version"):
        lines.append(f"canary {canary['version']} on {', '.join(canary['nodes'])}")
    if found["paused"]:
        lines.append(f"paused: version {found['waiting']} waits" if found["waiting"] else "paused")
    width = max(len(it["node"]) for it in found["nodes"])
    for it in found["nodes"]:
        told = it["acceptance"] if it["connected"] or it["acceptance"] == "nacked" else "not connected"
        since = f" since {_clock(it['since'])}" if it["connected"] else ""
        error = f": {it['error']}" if it["error"] else ""
        lines.append(f"  {it['node']:{width}}  {it['version']}  {told}{since}{error}")
    return [*lines, *(f"suggested: {it}" for it in found.get("suggested", ()))]


def _history(found: dict[str, Any]) -> list[str]:
    past = [f"  {it['version']}  until {_clock(it['until'])}" for it in found["history"]]
    return [f"version {found['version']}", *(past or ["  none ran before"])]


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
