"""What can be done of a rollout in a cluster, by one word, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from appnet.deploy.kubernetes.client.cluster import Cluster
from appnet.deploy.kubernetes.client.rollout import Rollout, pause, promote, undo


class Action(Enum):
    """What to do."""

    STATUS = "status"
    HISTORY = "history"
    UNDO = "undo"
    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"


CHANGES = (Action.UNDO, Action.PROMOTE, Action.PAUSE, Action.RESUME)


@dataclass(frozen=True)
class Changed:
    """What came of a change, as data and in lines for people."""

    data: dict[str, Any]
    lines: list[str]


def changed(cluster: Cluster, found: Rollout, action: Action, to: str | None = None) -> Changed:
    """Does one of `CHANGES`. ``to``: the version that an undo goes back to. Raises `ClusterError`."""
    match action:
        case Action.UNDO:
            undone = undo(cluster, found, to)
            version = undone.revision.version
            names = [it["metadata"]["name"] for it in undone.changed]
            told = [f"{cluster.namespace}/{it} is written as in version {version}" for it in names]
            data = {"version": version, "changed": names, "notes": list(undone.notes)}
            return Changed(data, [*(told or [f"everything is already written as in version {version}"]), *undone.notes])
        case Action.PROMOTE:
            version = promote(cluster, found)
            return Changed({"version": version}, [f"version {version} goes to all proxies"])
    paused = action is Action.PAUSE
    pause(cluster, found, paused=paused)
    now = "paused: later changes wait" if paused else "resumed: changes go to the proxies again"
    return Changed({"paused": paused}, [f"the rollout of {found.name} is {now}"])


def with_canary(found: Rollout) -> Rollout:
    """The same as seen from an AppNetConfig of the application whose proxies try a canary, if there is one."""
    every = (replace(found, asked=it) for it in found.configurations)
    return next((it for it in every if it.canary), found)
