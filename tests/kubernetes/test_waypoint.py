"""The controller and a waypoint: an AppNetConfig becomes what all callers of a service meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

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
    cluster.kubectl("delete", "appnetconfigs", "--all", "--timeout=100s")
    found.stop()
    cluster.kubectl("delete", "-f", str(echo.folder / "echo.yaml"))


@pytest.mark.parametrize("mesh", [WAYPOINT], ids=str, indirect=True)
@pytest.mark.parametrize("target", ["wasm"])
def test_the_guides_calls(echo: Application, controlled: Controlled, mesh: Mesh) -> None:
    cluster = controlled.cluster
    calls = Calls(echo)
    assert calls.both() == ["OK", "OK"]
    cluster.apply(with_texts(echo.folder, mesh.configuration))
    controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")
    await_("a connection that the chain is on", lambda: echo.call("test") == REFUSED, 20)
    calls.ended = [REFUSED]  # those before went the old way, on a connection that was open
    assert calls.both() == ["OK", REFUSED]
    echo.edit("firewall.appnet", "'test'", "'hello'")
    cluster.apply(with_texts(echo.folder, mesh.configuration))
    await_("the new rule", partial(calls.are, REFUSED, "OK"), 20)
    await_("counts of both versions", lambda: counted("calls") == len(calls.ended), 60)
    assert counted("refusals") == calls.ended.count(REFUSED)
    cluster.kubectl("delete", "appnetconfig", NAME, "--timeout=100s")
    await_("the plain path", partial(calls.are, "OK", "OK"), 20)


@dataclass
class Calls:
    """Calls of the client's; ``ended``: how."""

    echo: Application
    ended: list[str] = field(default_factory=list)

    def both(self) -> list[str]:
        """How two calls end, of which one version refuses the first and another the second."""
        self.ended += (both := [self.echo.call(it) for it in ("hello", "test")])
        return both

    def are(self, *wanted: str) -> bool:
        """Whether they end so now."""
        return self.both() == list(wanted)


def counted(what: str) -> int:
    """How many the controller has been told of."""
    found: dict[str, Any] = json.loads(answers(f"http://127.0.0.1:{STATUS}/totals"))
    return sum(it["count"] for it in found[what])
