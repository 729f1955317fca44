"""The controller and a waypoint: an AppNetConfig becomes what all callers of a service meet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.conftest import Application
from tests.kubernetes.control import Controlled, with_texts
from tests.kubernetes.meshes import WAYPOINT, Mesh

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

NAME = "sample-echo-ambient"
REFUSED = "ABORTED"  # by the firewall


@pytest.fixture
def controlled(cluster: Cluster, echo: Application) -> Iterator[Controlled]:
    """A controller, and the application and its waypoint without any chain."""
    found = Controlled(cluster)
    found.install()
    found.start()
    cluster.kubectl("apply", "-f", str(echo.folder / "echo.yaml"))
    echo.start_pods()
    yield found
    cluster.kubectl("delete", "appnetconfigs", "--all", "--timeout=100s")
    found.stop()
    cluster.kubectl("delete", "-f", str(echo.folder / "echo.yaml"))


@pytest.mark.parametrize("mesh", [WAYPOINT], ids=str, indirect=True)
@pytest.mark.parametrize("target", ["wasm"])
def test_the_guides_calls(echo: Application, controlled: Controlled, mesh: Mesh) -> None:
    cluster = controlled.cluster
    assert outcomes(echo) == ["OK", "OK"]
    cluster.apply(with_texts(echo.folder, mesh.configuration))
    controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")
    assert outcomes(echo) == ["OK", REFUSED]
    echo.edit("firewall.appnet", "'test'", "'hello'")
    cluster.apply(with_texts(echo.folder, mesh.configuration))
    await_("the new rule", partial(are, echo, REFUSED, "OK"), 20)
    cluster.kubectl("delete", "appnetconfig", NAME, "--timeout=100s")
    await_("the plain path", partial(are, echo, "OK", "OK"), 20)


def outcomes(echo: Application) -> list[str]:
    return [echo.call(it) for it in ("hello", "test")]


def are(echo: Application, *wanted: str) -> bool:
    return outcomes(echo) == list(wanted)
