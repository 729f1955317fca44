"""The controller and a waypoint: an AppNetConfig becomes what all callers of a service meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.kubernetes.cluster import Cluster, answers, await_
from tests.kubernetes.conftest import Application
from tests.kubernetes.control import STATUS, Controlled, with_texts
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
    cluster.kubectl("delete", "appnetconfigs", "--all", "--timeout=30s")
    found.stop()
    cluster.kubectl("delete", "-f", str(echo.folder / "echo.yaml"))


@pytest.mark.parametrize("mesh", [WAYPOINT], ids=str, indirect=True)
@pytest.mark.parametrize("target", ["wasm"])
def test_the_guides_calls(echo: Application, controlled: Controlled, mesh: Mesh) -> None:
    cluster = controlled.cluster
    assert Calls(echo).outcomes() == ["OK", "OK"]
    cluster.apply(with_texts(echo.folder, mesh.configuration))
    controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")
    calls = Calls(echo)
    assert calls.outcomes() == ["OK", REFUSED]
    echo.edit("firewall.appnet", "'test'", "'hello'")
    cluster.apply(with_texts(echo.folder, mesh.configuration))
    await_("the new rule", partial(calls.are, REFUSED, "OK"), 20)
    await_("counts of both versions", lambda: counted() == calls.made, 20)
    cluster.kubectl("delete", "appnetconfig", NAME, "--timeout=30s")
    await_("the plain path", partial(calls.are, "OK", "OK"), 20)


@dataclass
class Calls:
    """Calls that pass the waypoint; how many were ``made``."""

    echo: Application
    made: int = 0

    def outcomes(self) -> list[str]:
        """Of two calls, of which one version refuses the first and others the second."""
        self.made += 2
        return [self.echo.call(it) for it in ("hello", "test")]

    def are(self, *wanted: str) -> bool:
        """Whether calls end so now."""
        return self.outcomes() == list(wanted)


def counted() -> int:
    """How many calls the controller has been told of."""
    return sum(it["count"] for it in json.loads(answers(f"http://127.0.0.1:{STATUS}/totals"))["calls"])
