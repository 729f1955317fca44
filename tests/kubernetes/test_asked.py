"""The same calls, judged by what AppNet's control plane gives proxies that ask."""

from __future__ import annotations

from functools import partial

import pytest

from appnet.processors.processor import Acceptance
from tests.kubernetes.asking import Asked
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.conftest import Application
from tests.kubernetes.meshes import ALL, Mesh
from tests.kubernetes.pods import listener_errors

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

REFUSED = "ABORTED"  # by the firewall
ACKED = {Acceptance.ACKED}


def outcomes(echo: Application, *bodies: str) -> list[str]:
    return [echo.call(it) for it in bodies]


@pytest.mark.parametrize("mesh", ALL, ids=str, indirect=True)
def test_calls_are_judged(echo: Application, asked: Asked, cluster: Cluster, mesh: Mesh) -> None:
    before = cluster.refused()
    asked.start()
    asked.offer("v1", asked.compiled().artifacts)
    asked.apply(*asked.entries())
    asked.start_pods()
    assert asked.answers("v1") == ACKED
    assert outcomes(echo, "hello", "test", "hello") == ["OK", REFUSED, "OK"]
    assert echo.call("test", "another") == "OK", "a method that nobody judges"
    echo.edit("firewall.appnet", "'test'", "'hello'")
    asked.offer("v2", asked.compiled().artifacts)
    assert asked.answers("v2") == ACKED
    assert outcomes(echo, "hello", "test") == [REFUSED, "OK"]
    asked.stop()
    assert outcomes(echo, "hello", "test") == [REFUSED, "OK"], "proxies keep what they have"
    asked.remove()
    await_("calls go plainly", partial(all_pass, echo), 30)
    assert cluster.refused() == before
    assert [error for it in mesh.pods for error in listener_errors(it)] == []


def all_pass(echo: Application) -> bool:
    return set(outcomes(echo, "hello", "test")) == {"OK"}
