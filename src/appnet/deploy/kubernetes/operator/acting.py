"""Rollouts changed from the dashboard, as `appnetctl rollout` changes them, with the controller's own rights."""

from __future__ import annotations

import asyncio
import logging

from appnet.control.rollout import RolloutError
from appnet.deploy.kubernetes.client.changes import Action, changed, with_canary
from appnet.deploy.kubernetes.client.cluster import ClusterError
from appnet.deploy.kubernetes.client.connection import connected
from appnet.deploy.kubernetes.client.rollout import rollout_of
from appnet.deploy.kubernetes.operator.application import ClusterApplication

_log = logging.getLogger(__name__)


async def act(application: ClusterApplication, action: Action) -> str:
    """Does it, and says what came of it; the log says so, too. Raises `RolloutError`."""
    namespace, name = application.key
    names = application.configurations
    if not names:
        raise RolloutError(f"no AppNetConfig of {name} is left")
    try:
        lines = await asyncio.to_thread(_done, namespace, names[0], action)
    except ClusterError as error:
        raise RolloutError(str(error)) from None
    told = "; ".join(lines)
    _log.info("%s/%s: rollout %s from the dashboard: %s", namespace, name, action.value, told)
    return told


def _done(namespace: str, name: str, action: Action) -> list[str]:
    with connected(namespace) as cluster:
        found = with_canary(rollout_of(cluster, name))
        return changed(cluster, found, action).lines
