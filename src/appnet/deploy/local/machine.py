"""An application on one machine: its programs, and processors beside them that the controller tells what to run."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from appnet.application.kinds import LOCAL
from appnet.application.load import LoadedApplication, LoadedChain
from appnet.application.model import USUAL_PROCESSOR, EdgeEnd, Side
from appnet.compile.fit import Where, in_store, places_of
from appnet.compile.pipeline import Version
from appnet.control.canary import NO_CANARY
from appnet.control.controller import Controller
from appnet.control.rollout import artifact_names, artifacts_of
from appnet.deploy.local.calls import check_calls
from appnet.deploy.local.program import ApplicationError, ServiceProgram, check_free
from appnet.deploy.local.services import (
    INSTANCE,
    LocalApplication,
    LocalService,
    TrialCall,
    address_variable,
    local_file,
    read_local_application,
)
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Located
from appnet.observe.forward import Collector
from appnet.observe.kept import Keep
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.telemetry import Telemetry
from appnet.optimize import Settings
from appnet.processors import registry
from appnet.processors.options import store_options
from appnet.processors.processor import Contact, Followed, Node, Nodes, NodeSettings
from appnet.processors.signing import SigningKey, user_key
from appnet.state.gateway import Door, Gateway
from appnet.state.server import running_store, store_folder, store_url
from appnet.system.address import ANY_LOCAL_PORT, MAX_PORT, Address
from appnet.system.tls import ServerTls

_ALIVE_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class RunSettings:
    """How to run the application in ``sources``.

    ``folder`` receives logs and the processors' files. ``upstreams``: services that run already, each with the
    addresses of its instances. ``programs``: the application file; None: the one beside the manifest, if there is one.
    ``port``: where the application is called (0: a free one): of the program that nobody calls, or else of the first
    edge, the others on the ports behind it. ``served``: nothing is started here, neither programs nor processors.
    ``canaries``: names of nodes that what is saved goes to first. ``keep``: what is kept of telemetry; None: as
    usual, in ``folder``. ``forward``: where it goes on to.
    """

    sources: tuple[Source, ...]
    folder: Path
    plans: Settings = field(default_factory=Settings)
    where: Where = field(default_factory=Where)
    port: int = 0
    upstreams: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    programs: Source | None = None
    served: Served | None = None
    canaries: tuple[str, ...] = ()
    keep: Keep | None = None
    forward: Collector | None = None


@dataclass(frozen=True)
class Served:
    """Where a control plane listens for nodes that others start: for what they ask, and for their records, by ``tls``
    or without. Who asks has to show the ``token`` in a file, if there is one. Programs that have chains inside ask at
    ``programs`` where proxies ask, too. The nodes' own listeners are on ``first_port`` of ``host`` and the ports behind
    it. ``grpc``: where records are taken over gRPC as well; None: nowhere."""

    control: Address
    records: Address
    programs: Address
    host: str = ANY_LOCAL_PORT.host
    first_port: int = 15_000
    tls: ServerTls | None = None
    token: Path | None = None
    grpc: Address | None = None


@dataclass
class Instance:
    """One of the instances of a service. ``pod``: its name as its program is told."""

    pod: str
    program: ServiceProgram


_Link = tuple[str, str]
"""A client and a server that it calls, over an edge of the configuration or past all elements."""


class LocalMachine:
    """The application with a node of each processor at both ends of its edges. Use it as an async context manager.

    A service's program runs as often as the application file or the manifest has replicas of it, each behind nodes of
    its own. A service that runs already is only called. ``nodes`` are all of them by name, and ``placed`` how they were
    set up; ``entrances`` say where calls of an edge go in whose client or server has no program here; ``controller`` is
    who upgrades the nodes, and ``telemetry`` has what they tell.

    ``progress`` is told in a few words what is being done. Start it from the main thread: its children end with it.
    Starting raises ``DiagnosticError`` for input that cannot be used, and ``ProcessorError`` or ``ApplicationError``
    where a part does not come up.
    """

    def __init__(self, settings: RunSettings, progress: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        self._store = store_folder()
        where = settings.where
        if not settings.served and not where.store:
            where = replace(where, store=store_url(self._store))
        self._cleanup = AsyncExitStack()
        self.controller = Controller(settings.sources, settings.plans, where, settings.canaries, self._prepare)
        self.nodes: dict[str, Node] = {}
        self.placed: dict[str, NodeSettings] = {}
        self.instances: dict[str, list[Instance]] = {}
        self.entrances: dict[_Link, Address] = {}
        self.local: LocalApplication | None = None
        self._progress = progress
        served = settings.served
        receiver = OtlpReceiver(served.records, served.tls, served.grpc) if served else OtlpReceiver()
        keep = settings.keep or Keep(settings.folder / "telemetry")
        self.telemetry = Telemetry(receiver, keep, settings.forward)
        self._gateway: Gateway
        self._ports = itertools.count(served.first_port if served else 0)
        self._starters: dict[str, Nodes] = {}
        self._edges: list[_Link] = []
        self._links: list[_Link] = []
        self._outermost: str | None = None
        self._before_servers: dict[_Link, tuple[Address, ...]] = {}
        self._has_both = False
        self.has_proxies = True
        """Whether any chain is to run beside programs."""
        self._down: set[str] = set()

    async def __aenter__(self) -> LocalMachine:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for it in self.programs:
            it.ask_to_end()  # all at once, as each may take its time
        await self._cleanup.aclose()

    @property
    def programs(self) -> list[ServiceProgram]:
        """Those of all instances."""
        return [it.program for several in self.instances.values() for it in several]

    @property
    def inside(self) -> frozenset[str]:
        """The names of nodes that are part of programs."""
        return frozenset(name for name, it in self.nodes.items() if _is_inside(it.processor))

    @property
    def services_inside(self) -> frozenset[str]:
        """The services whose programs these nodes are part of."""
        return frozenset(self.nodes[name].end.service for name in self.inside)

    @property
    def programs_follow(self) -> Address | None:
        """Where programs follow that have chains inside; None where there are none."""
        return next((it.control for it in self._starters.values() if isinstance(it, Followed)), None)

    def strangers(self) -> frozenset[str]:
        """Names under which processors have connected that are no node's of this application."""
        return frozenset[str]().union(*(it.strangers() for it in self._starters.values()))

    @property
    def calls(self) -> list[TrialCall]:
        """The calls of the application file, as far as the programs run here that take them."""
        calls = self.local.calls if self.local is not None else ()
        return [it for it in calls if it.service.value in self.instances]

    def url(self, service: str) -> str:
        """Where the first instance of a service takes HTTP requests."""
        return f"http://{self.instances[service][0].program.address}"

    async def _start(self) -> None:
        await self._open_gateway()
        names = ", ".join(map(base_name, self.settings.sources))
        self._progress(f"compiling {names} to {self.settings.where.target} modules")
        version = await self.controller.begin()
        application = version.application
        self._edges = [(client.value, server.value) for client, server in application.application.edges]
        self.local = None if self.settings.served else self._read_programs(application)
        services = {} if self.local is None else self.local.services
        others = ((name, server) for name, it in services.items() for server in it.upstreams)
        self._links = list(dict.fromkeys((*self._edges, *others)))
        _check_upstreams(application, self.settings.upstreams)
        _check(application, services, self.settings.upstreams, served=self.settings.served is not None)
        if self.local is not None:
            check_calls(self.local, application)
        await self._cleanup.enter_async_context(self.telemetry)
        linked = _servers_first(self._links)
        order = [*(it for it in services if it not in linked), *linked]
        here = [it for it in order if it in services and it not in self.settings.upstreams]
        called = {server for _, server in self._links}
        self._outermost = next((it for it in reversed(here) if it not in called), None)
        for name in here:
            port = self.settings.port if name == self._outermost else 0
            self.instances[name] = list(self._prepared(services[name], application.manifest.replicas(name), port))
        for it in self.programs:
            it.check_port()
        chains = (it.chain for it in version.application.chains)
        inside = {_is_inside(it.processor) for chain in chains for it in places_of(chain, self.settings.where)}
        self._has_both = len(inside) > 1
        self.has_proxies = inside != {True}
        await self._follow(version)
        for port in filter(None, self._entrance_ports().values()):
            check_free(port, "clients connect to")
        for name in here:
            await self._start_service(name, services[name], version)
        await self._open_entrances(version)
        _check_canaries(application, self.settings.canaries, self.nodes)

    async def _open_gateway(self) -> None:
        """The proxies of others outlive this control plane, and show the next one the passes that they have."""
        served = self.settings.served is not None
        key = await asyncio.to_thread(user_key) if served else SigningKey.generate()
        self._gateway = await self._cleanup.enter_async_context(Gateway(key.gateway_secret))
        self.telemetry.receiver.serve_besides(self._gateway.add_to)

    def _prepare(self, version: Version) -> None:
        """Starts the store of shared state, where the version needs one that is not there; opens the gateway to it."""
        shared = [it for it in version.application.chains if any(in_store(it, self.settings.where))]
        self._gateway.open(version.id, self._doors(version, shared))
        if any(it.chain.state.address == store_url(self._store) for it in shared) and not self._store.exists():
            self._progress(f"starting a store for shared state at {store_url(self._store)}")
            self._cleanup.enter_context(running_store(self._store))

    def _doors(self, version: Version, shared: Iterable[LoadedChain]) -> Iterator[Door]:
        """Those to the state of these chains."""
        for it in shared:
            end = EdgeEnd(it.chain.edge.client, it.chain.edge.server, Side.CLIENT)
            store = store_options(it.chain.state, version.application.application.name, end)
            if store is not None:
                yield Door(store.scope, store.address)

    def _read_programs(self, application: LoadedApplication) -> LocalApplication | None:
        source = self.settings.programs or local_file(application.manifest.source)
        return None if source is None else read_local_application(source, application.manifest.services)

    def _prepared(self, service: LocalService, replicas: int, port: int) -> Iterator[Instance]:
        """The instances of a service, none of them started; the first listens on ``port``, unless that is 0."""
        name, replicas = service.name.value, service.replicas or replicas
        if replicas > 1 and service.port.number is not None:
            raise DiagnosticError([_one_port(service, replicas)])
        if port and not service.port.variable:
            title, label = f"`{name}` chooses its port itself", "it does not get its port from `run`"
            help_ = "with --port, the program must take its port from a variable: write `port: PORT`"
            raise DiagnosticError([_error(title, service.name, label, help_)])
        pod = f"{name}-{secrets.token_hex(3)}"
        for replica in range(replicas):
            tail = f"-{replica}" if replicas > 1 else ""
            log = self.settings.folder / f"{name}{tail}.log"
            fixed = replace(service, port=replace(service.port, number=port)) if port and replica == 0 else service
            yield Instance(f"{pod}{tail}", ServiceProgram(f"{name}{tail}", fixed, log))

    async def _start_service(self, name: str, service: LocalService, version: Version) -> None:
        """Starts what stands between its instances and the services they call, then the instances."""
        for it in self.instances[name]:
            self._progress(f"starting {it.program.name}{' and its sidecars' if self.has_proxies else ''}")
            variables = {INSTANCE: it.pod, **self._followed(name, it.program.name)}
            for link in self._links:
                client, server = link
                if client == name and server in service.upstreams:
                    address = await self._behind_client(link, it.program.name, version)
                    if server in self.settings.upstreams:
                        self.entrances.setdefault(link, address)
                    variables[service.upstreams[server].value] = str(address)
            self._cleanup.push_async_callback(it.program.stop)
            await it.program.start(variables)

    async def _follow(self, version: Version) -> None:
        """Starts what programs follow that have their chains inside, before any program starts."""
        for chain in version.application.chains:
            for place in places_of(chain.chain, self.settings.where):
                if _is_inside(place.processor):
                    await self._starter(place.processor)

    def _followed(self, service: str, instance: str) -> dict[str, str]:
        """The variables that tell a program what to follow."""
        found: dict[str, str] = {}
        for processor, nodes in self._starters.items():
            if isinstance(nodes, Followed):
                at, records = nodes.control, self.telemetry.receiver.address
                made = registry.processor(processor).bootstrap(
                    f"{instance}-{processor}", service, Contact(at), records, at
                )
                found.update(made.environment)
        return found

    async def _open_entrances(self, version: Version) -> None:
        """Starts what stands before the servers of clients that have no program here."""
        for link, port in self._entrance_ports().items():
            bind = replace(ANY_LOCAL_PORT, port=port)
            self.entrances[link] = await self._behind_client(link, link[0], version, bind)

    def _entrance_ports(self) -> dict[_Link, int]:
        """Where calls go in over the edges of clients that have no program here; 0: at a free port."""
        links = [it for it in self._edges if it[0] not in self.instances]
        first = self.settings.port if self._outermost is None else 0
        return {it: _checked(first + number) if first else 0 for number, it in enumerate(links)}

    async def _behind_client(
        self, link: _Link, instance: str, version: Version, bind: Address = ANY_LOCAL_PORT
    ) -> Address:
        """Where the calls of a client's instance go in."""
        hosts = await self._before_server(link, version)
        if link not in self._edges and len(hosts) == 1:
            return hosts[0]
        return await self._beside(EdgeEnd(*link, Side.CLIENT), instance, hosts, version, bind)

    async def _before_server(self, link: _Link, version: Version) -> tuple[Address, ...]:
        """Where calls over the edge reach each instance of its server."""
        if link not in self._before_servers:
            end = EdgeEnd(*link, Side.SERVER)
            hosts = []
            for name, address in self._hosts(end.server):
                judged = link in self._edges
                hosts.append(await self._beside(end, name, (address,), version) if judged else address)
            self._before_servers[link] = tuple(hosts)
        return self._before_servers[link]

    def _hosts(self, service: str) -> Iterator[tuple[str, Address]]:
        """The instances of a service, with where their programs listen."""
        for number, address in enumerate(self.settings.upstreams.get(service, ())):
            several = len(self.settings.upstreams[service]) > 1
            yield (f"{service}-{number}" if several else service), address
        for it in self.instances.get(service, ()):
            if not it.program.is_placed:
                raise ApplicationError(
                    f"{service} and a service that it calls also call each other; "
                    f"give {service} a port number or variable instead of `printed`"
                )
            yield it.program.name, it.program.address

    async def _beside(
        self,
        end: EdgeEnd,
        instance: str,
        upstream: Sequence[Address],
        version: Version,
        bind: Address = ANY_LOCAL_PORT,
    ) -> Address:
        """Starts the processors of an edge's end before ``upstream``, the last that a request passes first; where calls
        go in."""
        chains = (it.chain for it in version.application.chains)
        here = (it for it in chains if (it.edge.client, it.edge.server) == (end.client, end.server))
        places = [it for chain in here for it in places_of(chain, self.settings.where) if it.side is end.side]
        processors = list(dict.fromkeys(it.processor for it in reversed(places))) or [USUAL_PROCESSOR]
        for number, processor in enumerate(processors, start=1):
            name = f"{instance}{self._other(end)}-{processor}"
            settings = NodeSettings(
                name,
                end,
                tuple(upstream),
                self.settings.folder / name,
                self.telemetry.receiver.address,
                self.settings.where.workers,
                self._place(bind if number == len(processors) else ANY_LOCAL_PORT),
                artifact_names(end, processor, version, self.settings.where),
                instance,
                version.application.application.name,
                self._gateway.secret,
                processor,
            )
            self.placed[name] = settings
            upstream = [await self._node(processor, settings, version)]
        return upstream[0]

    def _place(self, bind: Address) -> Address:
        """Where a node listens; of one that others start, where they have to find it."""
        served = self.settings.served
        return Address(served.host, _checked(next(self._ports))) if served is not None else bind

    def _other(self, end: EdgeEnd) -> str:
        """What tells a node from others of its service: the edge's other end, where the service has several ends."""
        ends = [*(client for client, _ in self._links), *(server for _, server in self._edges)]
        if ends.count(end.service) == 1:
            return ""
        return f"-to-{end.server}" if end.side is Side.CLIENT else f"-from-{end.client}"

    async def _node(self, processor: str, settings: NodeSettings, version: Version) -> Address:
        starter = await self._starter(processor)
        artifacts = artifacts_of(settings.end, processor, version)
        node = await starter.start(settings, version.id, artifacts)
        self.nodes[node.name] = node
        self.controller.nodes.append(node)
        return node.address

    async def _starter(self, processor: str) -> Nodes:
        at = registry.processor(processor)
        for name, there in self._starters.items():
            if registry.processor(name).control == at.control:
                return there
        served = self.settings.served
        if served is None:
            nodes = at.nodes()
        else:
            control = served.programs if self._has_both and _is_inside(processor) else served.control
            nodes = at.awaited(control, served.tls, served.token)
        self._starters[processor] = await self._cleanup.enter_async_context(nodes)
        return self._starters[processor]

    def check(self) -> None:
        """Raises `ApplicationError` where one of the programs or processors has ended by itself; a program that did not
        start again is down until it does."""
        for it in self.programs:
            if not it.running and it.name not in self._down:
                raise ApplicationError(f"{it.name} ended {it.how_it_ended()}")
        for name, node in self.nodes.items():
            if not node.running and name not in self.inside:
                raise ApplicationError(f"{name} ended; the end of its log:\n{node.last_words()}")

    async def restart(self, service: str = "") -> AsyncIterator[tuple[ServiceProgram, float, str]]:
        """Starts the programs of a service again, or all, one after the other: each with the seconds that it took, and
        what is wrong where it did not start. What stands beside it stays."""
        for it in [it.program for name, several in self.instances.items() if service in ("", name) for it in several]:
            self._down.add(it.name)
            began = time.monotonic()
            try:
                await it.restart()
            except ApplicationError as error:
                yield it, time.monotonic() - began, str(error)
            else:
                self._down.discard(it.name)
                yield it, time.monotonic() - began, ""

    async def watch(self) -> NoReturn:
        """Waits until one of the programs or processors has ended by itself, and raises `ApplicationError`."""
        while True:
            self.check()
            await asyncio.sleep(_ALIVE_POLL_SECONDS)


def _is_inside(processor: str) -> bool:
    """Whether it is part of programs, and so runs where they do."""
    return all(it.inside for it in registry.processor(processor).targets.values())


def _checked(port: int) -> int:
    if port > MAX_PORT:
        raise ApplicationError(f"--port: there is no port {port}; start lower, because each edge needs its own ports")
    return port


def _servers_first(links: Sequence[_Link]) -> list[str]:
    """All services, each behind those that it calls, as far as no calls go in a circle."""
    found: dict[str, None] = {}
    begun: set[str] = set()

    def visit(name: str) -> None:
        if name not in begun:
            begun.add(name)
            for client, server in links:
                if client == name:
                    visit(server)
            found[name] = None

    for client, _ in links:
        visit(client)
    return list(found)


def _check_upstreams(application: LoadedApplication, running: Iterable[str]) -> None:
    known = application.manifest.services
    for name in running:
        if name not in known:
            title, place = f"--upstream: no service `{name}`", Span.whole(application.manifest.source)
            help_ = suggestion(name, known, what="services of the manifest")
            raise DiagnosticError([Diagnostic("C040", Severity.ERROR, title, place, "", help_)])


def _check_canaries(application: LoadedApplication, canaries: Iterable[str], nodes: Iterable[str]) -> None:
    known = list(nodes)
    for name in canaries:
        if name not in known:
            title, place = f"--canary: no node `{name}`", Span.whole(application.manifest.source)
            help_ = suggestion(name, known, what="nodes of this application")
            raise DiagnosticError([Diagnostic(NO_CANARY, Severity.ERROR, title, place, "", help_)])


def _check(
    application: LoadedApplication,
    services: Mapping[str, LocalService],
    running: Mapping[str, tuple[Address, ...]],
    *,
    served: bool,
) -> None:
    """Every server has to run, and every program has to learn where the services are that it calls."""
    wrong: dict[str, Diagnostic] = {}
    for name, service in services.items():
        for called, variable in service.upstreams.items() if name not in running else ():
            if called not in services and called not in running:
                wrong.setdefault(called, _nothing_runs(Located(called, variable.span), served=served))
    for client, server in application.application.edges:
        if server.value not in services and server.value not in running:
            wrong.setdefault(server.value, _nothing_runs(server, served=served))
        caller = services.get(client.value)
        if caller is not None and client.value not in running and server.value not in caller.upstreams:
            wrong[f"{client} {server}"] = _not_told(caller, server.value)
    if wrong:
        raise DiagnosticError(list(wrong.values()))


def _nothing_runs(server: Located, *, served: bool) -> Diagnostic:
    where = f"pass its address, `--upstream {server}=127.0.0.1:50051`"
    help_ = where if served else f"{where}, or describe how to start it in {LOCAL}"
    return _error(f"`{server}` does not run here", server, "this service is called", help_)


def _not_told(client: LocalService, server: str) -> Diagnostic:
    title = f"`{client.name}` does not get the address of `{server}`"
    help_ = f"name the variable that its program reads: `upstreams: {{{server}: {address_variable(server)}}}`"
    return _error(title, client.name, f"it calls `{server}`", help_)


def _one_port(service: LocalService, replicas: int) -> Diagnostic:
    title = f"{replicas} replicas of `{service.name}` cannot share one port"
    help_ = "let the program take its port from a variable, `port: PORT`, or write `replicas: 1`"
    return _error(title, service.name, f"all on port {service.port.number}", help_)


def _error(title: str, place: Located, label: str, help_: str) -> Diagnostic:
    return Diagnostic("C061", Severity.ERROR, title, place.span, label, help_)
