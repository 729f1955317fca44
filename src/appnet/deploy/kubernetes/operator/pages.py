"""How the controller is: for probes and Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from aiohttp import web
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from appnet.application.model import USUAL_PROCESSOR
from appnet.behaviour.explained import Program, RefusalsPage
from appnet.behaviour.telling import moment
from appnet.control.refused import program_of
from appnet.control.replan import Better, suggested_metric
from appnet.dashboard import Dashboard, Running
from appnet.dashboard.running import Past
from appnet.deploy.kubernetes.client.changes import CHANGES
from appnet.deploy.kubernetes.operator.acting import act
from appnet.deploy.kubernetes.operator.application import ClusterApplication
from appnet.observe.metrics import metrics_page
from appnet.observe.refusals import Refusal
from appnet.observe.telemetry import Telemetry
from appnet.processors import registry
from appnet.processors.processor import ControlPlane, Delivery
from appnet.system.address import Address
from appnet.system.http import own_pages, serve_http


class Pages:
    """Serves ``/healthz``, ``/readyz``, ``/metrics`` and the `Dashboard` on ``address``. Use it as an async context
    manager.

    It is ready once ``applications`` are known and proxies are served. With a ``token``, the dashboard has buttons for
    those who know it. Entering raises OSError where the address cannot be had.
    """

    def __init__(self, address: Address, telemetry: Telemetry, token: str | None = None) -> None:
        self._address, self.telemetry, self._token = address, telemetry, token
        self._runner: web.AppRunner | None = None
        self.applications: Callable[[], Iterable[ClusterApplication]] | None = None
        self.delivery: Delivery | None = None
        self.planes: Mapping[str, ControlPlane] = {}

    async def __aenter__(self) -> Pages:
        application = web.Application(middlewares=[own_pages])
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/native", self._native)
        Dashboard(self._running, self.telemetry, clustered=True, token=self._token).add_to(application)
        self.telemetry.add_pages(application)
        RefusalsPage(self.telemetry.refusals, self._program).add_to(application)
        self._runner = await serve_http(application, self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _program(self, refusal: Refusal) -> Program | None:
        applications = self.applications() if self.applications is not None else ()
        return program_of((version for it in applications for version in it.rollout.versions), refusal)

    def _running(self) -> Iterator[Running]:
        for it in self.applications() if self.applications is not None else ():
            namespace, name = it.key
            rollout = it.rollout
            past = [Past(version, f"since {moment(at)}: {why}") for version, at, why in rollout.past]
            refused = rollout.refused
            why = f"{refused.node} refused version {refused.version}: {refused.error}" if refused is not None else ""
            note = "; ".join(filter(None, (why or rollout.told_canary(), "paused" if it.paused else "")))
            nodes = [(node, rollout.meant_for(node)) for node in it.nodes]
            one = next(iter(it.configurations), "NAME")
            words = [word.value for word in CHANGES]
            commands = [f"appnetctl rollout {word} {one} -n {namespace}" for word in words]
            actions = {word.value: partial(act, it, word) for word in CHANGES}
            known = rollout.versions
            yield Running(
                name, namespace, rollout.running, rollout.candidate, known, nodes, past, note, commands, actions
            )

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        if self.applications is None:
            return web.Response(text="another controller is at work\n", status=503)
        return web.Response(text="ok\n")

    async def _native(self, request: web.Request) -> web.Response:
        """What the pods of a namespace need to run native modules of this controller; nothing in it is secret."""
        name, namespace = request.query.get("processor", USUAL_PROCESSOR), request.query.get("namespace", "default")
        mesh = registry.processor(name).mesh() if name in registry.ENTRIES else None
        if mesh is None or mesh.protocol not in self.planes:
            return web.Response(text="no such processor, or another controller is at work\n", status=404)
        *objects, template = mesh.native(namespace, self.planes[mesh.protocol])
        return web.json_response({"objects": objects, "template": template})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return metrics_page(self._families())

    def _families(self) -> Iterator[Metric]:
        leads = GaugeMetricFamily("appnet_controller_leads", "Whether this controller is the one that works.")
        leads.add_metric([], int(self.applications is not None))
        yield leads
        info = GaugeMetricFamily(
            "appnet_version_info",
            "The version that proxies should run.",
            labels=["namespace", "application", "version"],
        )
        proxies = GaugeMetricFamily("appnet_proxies", "Connected proxies.", labels=["namespace", "application"])
        for it in self.applications() if self.applications is not None else ():
            if it.rollout.running is not None:
                info.add_metric([*it.key, it.rollout.running.id], 1)
            proxies.add_metric([*it.key], len({node.proxy for node in it.nodes}))
        yield info
        yield proxies
        every = self.applications() if self.applications is not None else ()
        suggested: dict[tuple[str, ...], Iterable[Better]] = {
            it.key: it.replanner.suggestions(it.rollout.running) for it in every
        }
        yield suggested_metric(suggested, ("namespace", "application"))
        strangers = GaugeMetricFamily("appnet_strangers", "Connected proxies that are served nothing.")
        strangers.add_metric([], len(self.delivery.strangers()) if self.delivery is not None else 0)
        yield strangers
        yield from self.telemetry.families()
