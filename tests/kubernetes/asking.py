"""AppNet's control plane for the echo application, in the test's own process; proxies prove to the API server who they are."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import Version, compile_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import Settings
from appnet.processors.artifact import Artifact
from appnet.processors.processor import (
    Acceptance,
    Caller,
    ClusterNode,
    ClusterObjects,
    ControlPlane,
    Entry,
    Group,
    Object,
    Serving,
)
from appnet.processors.registry import processor
from appnet.system.address import Address
from appnet.system.tls import ServerTls
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.pods import Pod
from tests.kubernetes.programs import kubectl
from tests.support.certificates import Authority
from tests.support.proxies import KEY

if TYPE_CHECKING:
    from tests.kubernetes.conftest import Application

T = TypeVar("T")

_LABELS = {"appnet.io/test": "asked"}
_ADDRESS = Address("127.0.0.1", 18000)


@dataclass
class Asked:
    """What the proxies of an application ask, whether it is there or not. ``nodes``: those that have come, by group."""

    echo: Application
    nodes: dict[str, ClusterNode] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None
    _serving: AsyncExitStack = field(default_factory=AsyncExitStack)
    _offered: tuple[str, Sequence[Artifact]] = ("", ())

    @cached_property
    def authority(self) -> Authority:
        """Who signed its certificate."""
        return Authority(self.echo.folder)

    @property
    def control(self) -> ControlPlane:
        """As objects tell proxies of it."""
        return ControlPlane(_ADDRESS, self.authority.certificate.read_text(), KEY.public_text)

    @property
    def objects(self) -> ClusterObjects:
        """What the processor of the configuration tells a cluster."""
        return processor("ambient" if "ambient" in self.echo.mesh.configuration else "sidecar").objects()

    def compiled(self) -> Version:
        """The application as it is in its folder now."""
        source = FileSource(self.echo.folder / self.echo.mesh.configuration)
        return compile_application(load_application(source), Settings(), Where(self.echo.target, cluster=True))

    def entries(self, *, closed: bool = True) -> list[Object]:
        """What has the proxies of both sides ask."""
        version = self.compiled()
        services = version.application.manifest.services
        made = []
        for it in version.artifacts:
            side, name = it.segment.place.side, f"appnet.{it.segment.place.side.value}"
            service, server = services[it.service], services[it.edge.server]
            home = self.objects.proxies(service).namespace
            entry = Entry(it.chain, side, [it.name], name, service, server, home, closed)
            made.append(self.objects.entry(entry, self.control))
        return made

    def apply(self, *objects: Object) -> None:
        """Objects that `remove` takes away."""
        self.echo.cluster.apply(*({**it, "metadata": {**it["metadata"], "labels": _LABELS}} for it in objects))

    def remove(self) -> None:
        """All that was applied."""
        selected = ",".join(f"{key}={it}" for key, it in _LABELS.items())
        self.echo.cluster.kubectl("delete", "envoyfilters,configmaps", "-l", selected)

    def start_pods(self) -> None:
        """The proxies, with what native modules need."""
        self.echo.mesh.start(self.echo.cluster, self._metadata)

    def start(self) -> None:
        """Begins to answer."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self._serve())

    def stop(self) -> None:
        """Ends all connections, and answers no more."""
        if self._loop is not None:
            self._run(self._serving.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None
            self.nodes.clear()

    def offer(self, version: str, artifacts: Sequence[Artifact]) -> None:
        """To those that are there, and those that come."""
        self._offered = version, artifacts
        for it in list(self.nodes.values()):
            self._give(it)

    def answers(self, version: str) -> set[Acceptance]:
        """How the proxies of all groups stand to it, once these have come."""
        wanted = {it.name for it in self._groups()}
        await_(f"proxies of {wanted}", lambda: wanted <= {it.group.name for it in self.nodes.values()}, 30)
        return {self._run(it.answer(version, 20)).acceptance for it in self.nodes.values()}

    async def _serve(self) -> None:
        pair = self.authority.pair("control")
        tls = ServerTls(pair.certificate, pair.key)
        serving = Serving(_ADDRESS, tls, self._caller, self._arrived, self._left, KEY)
        delivery = await self._serving.enter_async_context(processor("sidecar").mesh().delivery(serving))
        delivery.expect(list(self._groups()))

    def _arrived(self, node: ClusterNode) -> None:
        self.nodes[node.name] = node
        self._give(node)

    def _left(self, node: ClusterNode) -> None:
        self.nodes.pop(node.name, None)

    def _give(self, node: ClusterNode) -> None:
        version, artifacts = self._offered
        if version:
            node.offer(version, [it for it in artifacts if it.end == node.end])

    def _groups(self) -> Iterator[Group]:
        version = self.compiled()
        services = version.application.manifest.services
        for it in version.artifacts:
            found = self.objects.proxies(services[it.service])
            accounts = found.accounts or frozenset({f"echo-{it.service}"})
            place = it.segment.place
            name = f"{it.service}/{place.side.value}"
            yield Group(name, found.namespace, place.processor, it.end, found.labels, accounts, (it.name,), 1)

    async def _caller(self, token: str | None, _: str | None) -> Caller | None:
        return await asyncio.to_thread(_reviewed, self.echo.cluster, token)

    def _metadata(self, pod: Pod) -> Mapping[str, str]:
        """What the objects give the pods of the template, or the waypoint."""
        version = self.compiled()
        artifacts = [it for it in version.artifacts if pod.role == "waypoint" or it.service == pod.app]
        template: Object = {}
        self.objects.set_up(template, artifacts, self.control)
        for _, it in self.objects.shared(
            "default", artifacts, version.application.manifest.services, None, self.control
        ):
            self.apply(it)
        return self.echo.metadata(pod, template)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


def _reviewed(cluster: Cluster, token: str | None) -> Caller | None:
    if token is None:
        return None
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["istio-ca"]},
    }
    command = [str(kubectl()), "create", "-o", "json", "-f", "-"]
    done = subprocess.run(
        command, input=json.dumps(review), capture_output=True, text=True, env=cluster.environment, check=True
    )
    status = json.loads(done.stdout)["status"]
    if not status.get("authenticated"):
        return None
    _, _, namespace, account = status["user"]["username"].split(":")
    return Caller(namespace, account)
