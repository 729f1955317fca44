"""Waiting for what a cluster's controller does, and what to say where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError, MissingError, Object
from appnet.deploy.kubernetes.client.configurations import condition, every, one
from appnet.deploy.kubernetes.names import LEASE_PATH
from appnet.deploy.kubernetes.rollouts import GONE_BACK, PROMOTE

_POLL_SECONDS = 0.3
_HOPELESS = (("Compiled", "Invalid"), ("Delivered", "Refused"))
"""Conditions that do not change until somebody writes something else, and their reasons."""

NOBODY = "a controller, and none runs in this cluster: `make run` or `make deploy` starts one"


def await_ready(cluster: Cluster, name: str, asked: Object, seconds: float, told: Callable[[str], None]) -> None:
    """Waits until all proxies run what the AppNetConfig says as it was ``asked``, or since: an undo and a promotion
    count, too. ``told`` is given what it waits for, each time that changes.

    Raises `ClusterError` where that will not come, or not in time.
    """

    def look() -> str:
        body = one(cluster, name)
        if _seen(body, asked):
            if condition(body, "Ready").get("status") == "True":
                return ""
            _give_up(name, body)
        return _waits_for(cluster, body, asked)

    waits = _poll(look, seconds, told)
    if waits:
        raise ClusterError(f"{name} is not ready after {seconds:.0f} s: it waits for {waits}")


def await_gone(
    cluster: Cluster, names: Collection[tuple[str, str]], seconds: float, told: Callable[[str], None]
) -> None:
    """Waits until AppNetConfigs, by namespace and name, are gone. Raises `ClusterError` where that takes longer."""

    def left() -> list[str]:
        spaces = sorted({space for space, _ in names})
        found = [it["metadata"] for space in spaces for it in every(cluster, space)]
        return sorted(f"{it['namespace']}/{it['name']}" for it in found if (it["namespace"], it["name"]) in names)

    def look() -> str:
        if not left():
            return ""
        return NOBODY if controller(cluster) == "" else "the controller to remove what it made for them"

    waits = _poll(look, seconds, told)
    if waits and (which := left()):
        raise ClusterError(f"still there after {seconds:.0f} s: {', '.join(which)}; they wait for {waits}")


def _poll(look: Callable[[], str], seconds: float, told: Callable[[str], None]) -> str:
    """Asks ``look`` what is waited for until that is nothing, which is empty; what it is after so many seconds."""
    end, last = time.monotonic() + seconds, ""
    while waits := look():
        if waits != last:
            told(waits)
            last = waits
        if time.monotonic() >= end:
            break
        time.sleep(_POLL_SECONDS)
    return waits


def _seen(body: Object, asked: Object) -> bool:
    """Whether the controller has looked at what was asked, and followed it as far as it can."""
    status, marks = body.get("status", {}), asked["metadata"].get("annotations") or {}
    if status.get("observedGeneration", 0) < asked["metadata"]["generation"]:
        return False
    if GONE_BACK in marks and marks[GONE_BACK] != status.get("undone"):
        return False
    waits = condition(body, "Delivered").get("reason") == "Canary"
    return not (waits and any(it.get("version") == marks.get(PROMOTE) for it in status.get("proxies") or ()))


def _give_up(name: str, body: Object) -> None:
    for type_, reason in _HOPELESS:
        found = condition(body, type_)
        if (found.get("status"), found.get("reason")) == ("False", reason):
            raise ClusterError(f"{name} is not {type_}: {found.get('message')}\n`appnetctl describe {name}` says more")


def _waits_for(cluster: Cluster, body: Object, asked: Object) -> str:
    if not _seen(body, asked):
        holder = controller(cluster)
        return NOBODY if holder == "" else f"the controller{f' ({holder})' if holder else ''} to look at it"
    ready = condition(body, "Ready")
    return f"this: {ready.get('message') or ready.get('reason')}" if ready else "the controller"


def controller(cluster: Cluster) -> str | None:
    """Who holds the controllers' Lease, and renews it; empty where nobody does, None where one may not know."""
    try:
        spec = cluster.get(LEASE_PATH).get("spec", {})
    except MissingError:
        return ""
    except ClusterError:
        return None
    renewed = datetime.fromisoformat(spec.get("renewTime") or "1970-01-01T00:00:00Z")
    lasts = timedelta(seconds=spec.get("leaseDurationSeconds") or 0)
    return str(spec.get("holderIdentity") or "") if renewed + lasts > datetime.now(UTC) else ""
