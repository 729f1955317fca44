"""How a control plane is: whether it is ready, and what its nodes run, for probes and Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from aiohttp import web
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from appnet.application.model import DEFAULT_MAX_MESSAGE
from appnet.behaviour.explained import Program, RefusalsPage
from appnet.behaviour.telling import moment
from appnet.control.refused import program_of
from appnet.control.replan import suggested_metric
from appnet.control.rollout import artifacts_of
from appnet.dashboard import Dashboard, Running
from appnet.dashboard.running import Past
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.rollouts import WORDS, RolloutPages
from appnet.diagnostics.near import suggestion
from appnet.observe.metrics import metrics_page
from appnet.observe.refusals import Refusal
from appnet.processors.processor import Acceptance
from appnet.system.address import Address
from appnet.system.http import own_pages, serve_http


class StatusServer:
    """Serves ``/healthz``, ``/readyz``, ``/metrics``, `RolloutPages` and the `Dashboard` on ``address``. Use it as an
    async context manager.

    It is ready once there is a version for nodes to run. ``told`` hears of versions that somebody changes here.
    With a ``token``, the dashboard has buttons for those who know it. Entering raises OSError where the address cannot
    be had.
    """

    def __init__(
        self, machine: LocalMachine, address: Address, told: Callable[[str], None], token: str | None = None
    ) -> None:
        self._machine, self._address, self._token = machine, address, token
        self._rollouts = RolloutPages(machine.controller, told)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> StatusServer:
        application = web.Application(middlewares=[own_pages])
        application.router.add_get("/healthz", self._ok)
        application.router.add_get("/readyz", self._ok)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/nodes/{name}", self._node)
        self._rollouts.add_to(application)
        Dashboard(self._applications, self._machine.telemetry, clustered=False, token=self._token).add_to(application)
        self._machine.telemetry.add_pages(application)
        RefusalsPage(self._machine.telemetry.refusals, self._program).add_to(application)
        self._runner = await serve_http(application, self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def address(self) -> Address:
        """Where it listens, once it was entered."""
        assert self._runner is not None
        return Address(*self._runner.addresses[0][:2])

    def _program(self, refusal: Refusal) -> Program | None:
        return program_of(self._machine.controller.versions, refusal)

    def _applications(self) -> Iterator[Running]:
        it = self._machine.controller
        name = it.running.application.application.name
        past = [Past(one.version.id, f"until {moment(one.until)}") for one in it.past]
        notes = [f"canaries: {', '.join(sorted(it.canaries))}"] if it.canaries else []
        if it.paused:
            notes.append(f"paused: version {it.waiting.id} waits" if it.waiting is not None else "paused")
        address = f" --status {self.address}"
        words = [word for word in WORDS if word != "promote" or it.canaries]
        commands = [f"appnetctl rollout {word}{address}" for word in words]
        actions = {word: partial(self._rollouts.change, word) for word in words}
        nodes = [(node, it.meant_for(node)) for node in it.nodes]
        note = "; ".join(notes)
        yield Running(name, "", it.running, it.candidate, it.versions, nodes, past, note, commands, actions)

    async def _ok(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _node(self, request: web.Request) -> web.Response:
        """What `appnetctl listener` needs to know of a node."""
        name = request.match_info["name"]
        placed = self._machine.placed.get(name)
        if placed is None:
            help_ = suggestion(name, self._machine.placed, what="nodes of this application")
            return web.json_response({"error": f"no node `{name}`; {help_}"}, status=404)
        artifacts = artifacts_of(placed.end, self._machine.nodes[name].processor, self._machine.controller.running)
        asked = {one.need.value: it.stem for it in artifacts for one in it.asked}
        return web.json_response(
            {
                "service": placed.end.service,
                "chains": placed.chains,
                "max_message": max((it.limits.max_message for it in artifacts), default=DEFAULT_MAX_MESSAGE),
                "asked": asked,
                "foreign": [it.name for it in artifacts if it.name not in placed.chains],
            }
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        controller = self._machine.controller
        answers = {}
        for name, it in self._machine.nodes.items():
            answers[name] = (await it.answer(controller.meant_for(it).id, 0)).acceptance
        return metrics_page(self._families(controller.running.id, answers))

    def _families(self, version: str, answers: Mapping[str, Acceptance]) -> Iterator[Metric]:
        info = GaugeMetricFamily("appnet_version_info", "The version that nodes should run.", labels=["version"])
        info.add_metric([version], 1)
        yield info
        connected = GaugeMetricFamily("appnet_node_connected", "Whether a node is connected.", labels=["node"])
        stands = GaugeMetricFamily(
            "appnet_node_acceptance",
            "Whether a node accepted its version.",
            labels=["node", "acceptance"],
        )
        for name, node in self._machine.nodes.items():
            connected.add_metric([name], int(node.running))
            for it in Acceptance:
                stands.add_metric([name, it.value], int(answers[name] is it))
        yield connected
        yield stands
        controller = self._machine.controller
        yield suggested_metric({(): controller.replanner.suggestions(controller.running)})
        yield from self._machine.telemetry.families()
