"""`appnetctl uninstall`: removes AppNet from a cluster, without a trace."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from appnet.cli.cluster import USUAL_TIMEOUT, TimeoutOption, cluster_of
from appnet.cli.errors import FAILURE, open_screens
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.screen import counted, tell
from appnet.deploy.kubernetes.client.cluster import Cluster
from appnet.deploy.kubernetes.client.removal import Installed, installed, remove
from appnet.deploy.kubernetes.client.waiting import controller
from appnet.deploy.kubernetes.names import SYSTEM

EXAMPLES = ("appnetctl uninstall", "appnetctl uninstall --yes --timeout 2m")
PAGE = "kubernetes.md"

_MOST_LISTED = 20


def command(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout: TimeoutOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Remove AppNet from a cluster: all AppNetConfigs, what was made for them, the controller, roles and definition.

    What AppNet did not make stays, and so does its namespace if others use it, too.
    """
    screens = open_screens()
    with cluster_of() as cluster:
        found = installed(cluster)
        holder = "" if any(it.startswith("Deployment ") for it in found.system) else controller(cluster)
        if not found.empty:
            if not yes:
                _ask(found, cluster)
            gone: list[str] = []

            def done(name: str) -> None:
                gone.append(name)
                if output is Format.TEXT:
                    tell(screens.out, f"{name} removed")

            seconds = USUAL_TIMEOUT if timeout is None else timeout
            remove(cluster, found, seconds, done, lambda told: tell(screens.err, f"waiting for {told}"))
        else:
            gone = []
    if output is not Format.TEXT:
        print_data({"removed": gone, "left": list(found.foreign)}, output)
        return
    if found.empty:
        tell(screens.out, "AppNet is not installed in this cluster")
    if found.foreign:
        tell(screens.out, f"the namespace {SYSTEM} stays: others have {', '.join(found.foreign)} in it")
    if holder:
        tell(screens.out, f"the controller {holder} runs outside the cluster: stop it there")


def _ask(found: Installed, cluster: Cluster) -> None:
    """Ends the command unless a person agrees."""
    screens = open_screens()
    names = [f"AppNetConfig {it['metadata']['namespace']}/{it['metadata']['name']}" for it in found.configurations]
    every = [*names, *found.made, *found.system]
    tell(screens.err, f"{counted(len(every), 'object')} of the cluster at {cluster.server} will be removed:")
    for it in every[:_MOST_LISTED]:
        tell(screens.err, f"  {it}")
    if len(every) > _MOST_LISTED:
        tell(screens.err, f"  and {len(every) - _MOST_LISTED} more")
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on: give it to agree", param_hint="--yes")
    if not typer.confirm("Remove them?", err=True):
        tell(screens.err, "nothing was removed")
        raise typer.Exit(FAILURE)
