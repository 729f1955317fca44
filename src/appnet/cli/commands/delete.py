"""`appnetctl delete`: AppNetConfigs go from a cluster, and with them what proxies run of them."""

from __future__ import annotations

from typing import Annotated

import typer

from appnet.cli.cluster import USUAL_TIMEOUT, NamespaceOption, TimeoutOption, cluster_of
from appnet.cli.errors import open_screens
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.screen import tell
from appnet.deploy.kubernetes.client.configurations import delete, one
from appnet.deploy.kubernetes.client.waiting import await_gone

EXAMPLES = ("appnetctl delete sample-echo-sidecar", "appnetctl delete first second -n shop --no-wait")
PAGE = "kubernetes.md"


def command(
    names: Annotated[list[str], typer.Argument(help="The AppNetConfigs.")],
    *,
    namespace: NamespaceOption = None,
    wait: Annotated[bool, typer.Option(help="Wait until the controller has removed what it made for them.")] = True,
    timeout: TimeoutOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Delete AppNetConfigs of a cluster. Calls of their edges go on without the elements."""
    screens = open_screens()
    with cluster_of(namespace) as cluster:
        wanted = list(dict.fromkeys(names))
        for it in wanted:
            one(cluster, it)  # none goes where one of the names is wrong
        for it in wanted:
            delete(cluster, it)
        if wait:
            keys = [(cluster.namespace, it) for it in wanted]
            seconds = USUAL_TIMEOUT if timeout is None else timeout
            await_gone(cluster, keys, seconds, lambda told: tell(screens.err, f"waiting for {told}"))
        if output is not Format.TEXT:
            print_data([{"namespace": cluster.namespace, "name": it, "gone": wait} for it in wanted], output)
            return
        for it in wanted:
            tell(screens.out, f"{cluster.namespace}/{it} {'deleted' if wait else 'is being deleted'}")
