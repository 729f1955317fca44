"""`appnetctl rollout` of a cluster's application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from appnet.cli.cluster import cluster_of
from appnet.cli.errors import Screens
from appnet.cli.live import plain
from appnet.cli.output import Format, print_data
from appnet.cli.screen import tell
from appnet.deploy.kubernetes.client.changes import Action, changed
from appnet.deploy.kubernetes.client.cluster import Cluster
from appnet.deploy.kubernetes.client.configurations import condition
from appnet.deploy.kubernetes.client.rollout import Rollout, rollout_of
from appnet.deploy.kubernetes.client.waiting import NOBODY, await_ready, controller


def cluster_action(
    action: Action,
    name: str,
    namespace: str | None,
    *,
    to: str | None,
    wait: float | None,
    output: Format,
    screens: Screens,
) -> None:
    """Does it, and tells what came of it. ``wait``: for so many seconds, until all proxies run what is written then."""
    out, err = screens.out, screens.err
    with cluster_of(namespace) as cluster:
        found = rollout_of(cluster, name)
        data, lines = _done(action, cluster, found, to)
        if output is Format.TEXT:
            for line in lines:
                tell(out, plain(line))
        if wait is not None:
            asked = rollout_of(cluster, name).asked
            await_ready(cluster, name, asked, wait, lambda told: tell(err, plain(f"waiting for {told}")))
            data["ready"] = True
            if output is Format.TEXT:
                tell(out, f"{cluster.namespace}/{name} is ready")
        if output is not Format.TEXT:
            print_data(data, output)


def _done(action: Action, cluster: Cluster, found: Rollout, to: str | None) -> tuple[dict[str, Any], list[str]]:
    """What it has to say, as data and in lines."""
    match action:
        case Action.STATUS:
            return _status_data(found), list(_status(found, controller(cluster)))
        case Action.HISTORY:
            return {"history": _history_data(found)}, list(_history(found))
    made = changed(cluster, found, action, to)
    return made.data, made.lines


def _status(found: Rollout, holder: str | None) -> Iterator[str]:
    status = found.asked.get("status", {})
    yield f"version {found.version}, on {status.get('rolledOut')} proxies" if found.version else "no version runs yet"
    if found.canary:
        yield f"canary {found.canary}: {condition(found.asked, 'Delivered').get('message')}"
    if found.paused:
        yield "paused"
    if "suggested" in status:
        yield f"suggested: {status['suggested']}"
    for it in ("Compiled", "Delivered", "Ready"):
        now = condition(found.asked, it)
        if now.get("status") == "False" and now.get("reason") != "Canary":
            yield f"not {it}: {now.get('message') or now.get('reason')}"
            break
    else:
        if status.get("observedGeneration") != found.asked["metadata"].get("generation"):
            waits = NOBODY if holder == "" else "the controller to look at it"
            yield f"the latest change waits for {waits}"


def _status_data(found: Rollout) -> dict[str, Any]:
    status = found.asked.get("status", {})
    return {
        "version": found.version or None,
        "canary": found.canary or None,
        "paused": found.paused,
        "suggested": status.get("suggested"),
        "counts": status.get("counts"),
        "conditions": status.get("conditions") or [],
        "up_to_date": status.get("observedGeneration") == found.asked["metadata"].get("generation"),
    }


def _history(found: Rollout) -> Iterator[str]:
    for it in found.revisions:
        runs = "  runs" if it.version == found.version else ""
        yield f"  {it.number}  {it.version}  since {it.since}  {it.reason}{runs}"
    if not found.revisions:
        yield "  no version has run yet"


def _history_data(found: Rollout) -> list[dict[str, Any]]:
    return [
        {"revision": it.number, "version": it.version, "since": it.since, "reason": it.reason} for it in found.revisions
    ]
