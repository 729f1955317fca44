"""An application as a Compose file: its containers, and processors at both ends of each edge that need no controller.

A container finds what it calls by the service's name. On a network that only it and its processors are on, that name is
the processor's; all others have names that no program knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from appnet.application.model import USUAL_PROCESSOR, EdgeEnd, Side
from appnet.compile.fit import Where, places_of
from appnet.compile.pipeline import Version
from appnet.compile.written import built_into, code_files, with_mark
from appnet.control.rollout import artifacts_of
from appnet.deploy.compose.workloads import Workload, workloads
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.yaml_reader import Located
from appnet.processors import registry
from appnet.processors.processor import NodeSettings
from appnet.system.address import Address

_FOLDER = Path("/appnet")  # of a processor's files, in its container
_EVERYWHERE = "default"
_README = """# {name}, compiled by AppNet

| | |
|---|---|
| `compose.yaml` | the application's containers, and processors at both ends of each edge |
| `processors/` | what the processors are started with: it has the modules in it |
| `code/CLIENT_SERVER/METHOD.SEGMENT` | each module: its C text (`.c`), and what it was built into ({built}) |
| `plan.json` | which element runs where, and why |
| `order.yaml` | what the next compilation replaces |

From this folder:

    docker compose up

Nothing else is needed: there is no control plane. After another compilation, replace the processors; their elements
begin anew:

    docker compose up -d --force-recreate
"""

_Link = tuple[str, str]


@dataclass(frozen=True)
class ComposeSettings:
    """``replicas``: containers of each service, where not as the manifest says. ``collector``: where elements' records
    go; None: they are dropped. ``links``: clients and servers that call each other past all elements."""

    where: Where
    replicas: int | None = None
    collector: Address | None = None
    links: Sequence[_Link] = ()


def files(version: Version, settings: ComposeSettings) -> tuple[dict[str, bytes], list[Diagnostic]]:
    """What is to be written, by paths in the folder, and notes of what the manifest has and a Compose file has not.

    Raises `DiagnosticError` where nothing says which container is behind a service of an edge.
    """
    containers, notes = workloads(version.application.manifest.source)
    missing = _without_containers(version, containers)
    if missing:
        raise DiagnosticError(missing)
    writer = _Writer(version, settings, containers)
    name = version.application.application.name
    readme = _README.format(name=name, built=built_into(version))
    text = yaml.safe_dump(writer.compose(name), sort_keys=False, width=2**31, allow_unicode=True)
    found = {
        "compose.yaml": text.encode(),
        **writer.files,
        **code_files(version, settings.collector),
        "README.md": readme.encode(),
    }
    return with_mark(found), notes


def _without_containers(version: Version, containers: dict[str, Workload]) -> list[Diagnostic]:
    ends = {it.value: it for edge in reversed(version.application.application.edges) for it in edge}
    servers = {server.value for _, server in version.application.application.edges}
    wrong = []
    for name, place in ends.items():
        found = containers.get(name)
        if found is None:
            title, label = f"the manifest does not say which container `{name}` runs in", "no image"
            help_ = "add a Deployment whose pods its Service selects"
            wrong.append(_error(title, place, label, help_))
        elif name in servers and not found.port:
            title, help_ = f"the manifest does not say which port `{name}` listens on", "give its Service a port"
            wrong.append(_error(title, place, "calls go there", help_))
    return wrong


def _error(title: str, place: Located, label: str, help_: str) -> Diagnostic:
    return Diagnostic("C089", Severity.ERROR, title, place.span, label, help_)


class _Writer:
    def __init__(self, version: Version, settings: ComposeSettings, containers: dict[str, Workload]) -> None:
        self._version, self._settings, self._containers = version, settings, containers
        self._edges = [(client.value, server.value) for client, server in version.application.application.edges]
        self._called = {server for _, server in self._edges}
        past = (it for it in settings.links if it[1] in self._called and it[0] in containers)
        self._links = list(dict.fromkeys((*self._edges, *past)))
        self._services: dict[str, dict[str, Any]] = {}
        self._networks: dict[str, dict[str, Any]] = {_EVERYWHERE: {}}
        self._published: set[int] = set()
        self.files: dict[str, bytes] = {}

    def compose(self, name: str) -> dict[str, Any]:
        """The Compose file; ``files`` has what it mounts."""
        for service in self._containers.values():
            for instance in self._instances(service.service):
                self._services[instance] = self._application(service, instance)
        for link in self._links:
            hosts = tuple(self._before_server(link))
            for instance in self._instances(link[0]):
                self._before_client(link, instance, hosts)
        project = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "application"
        return {"name": project, "services": self._services, "networks": self._networks}

    def _instances(self, service: str) -> list[str]:
        """The names of a service's containers. Of one that is called over an edge none has the service's own name: that
        is the name of what stands before it."""
        asked = self._settings.replicas if any(service in it for it in self._links) else None
        number = asked or self._version.application.manifest.replicas(service)
        if number == 1 and service not in self._called:
            return [service]
        return [f"{service}-{it}" for it in range(number)]

    def _application(self, service: Workload, instance: str) -> dict[str, Any]:
        aliases = [service.service] if service.service not in {*self._called, instance} else []
        environment = {key: _escaped(it) for key, it in service.environment.items()}
        return {
            "image": service.image,
            **({"entrypoint": list(map(_escaped, service.entrypoint))} if service.entrypoint else {}),
            **({"command": list(map(_escaped, service.command))} if service.command else {}),
            **({"environment": environment} if environment else {}),
            **({"working_dir": service.folder} if service.folder else {}),
            **self._ports(service),
            "networks": {_EVERYWHERE: {"aliases": aliases} if aliases else {}},
        }

    def _ports(self, service: Workload) -> dict[str, Any]:
        """A service that nobody calls is called from outside: at its own port, or a free one where that is taken."""
        if not service.target or service.service in {server for _, server in (*self._links, *self._settings.links)}:
            return {}
        if any(client == service.service for client, _ in self._links):
            own = "" if service.target in self._published else f"{service.target}"
            self._published.add(service.target)
            return {"ports": [f"127.0.0.1:{own}:{service.target}"]}
        return {}

    def _before_server(self, link: _Link) -> Iterator[Address]:
        """Where calls over the link reach each container of its server."""
        server = self._containers[link[1]]
        for instance in self._instances(link[1]):
            there = Address(instance, server.target)
            if link in self._edges:
                yield self._beside(EdgeEnd(*link, Side.SERVER), instance, (there,))
            else:
                yield there

    def _before_client(self, link: _Link, instance: str, hosts: tuple[Address, ...]) -> None:
        network = f"{instance}-calls"
        self._networks[network] = {}
        entrance = self._beside(EdgeEnd(*link, Side.CLIENT), instance, hosts)
        self._services[entrance.host]["networks"][network] = {"aliases": [link[1]]}
        client = self._services[instance]
        client["networks"][network] = {}
        client.setdefault("depends_on", []).append(entrance.host)

    def _beside(self, end: EdgeEnd, instance: str, upstream: tuple[Address, ...]) -> Address:
        """Adds the processors of an edge's end before ``upstream``, the last that a request passes first; where calls
        go in."""
        port = self._containers[end.server].port
        for processor in self._processors(end):
            name = f"{instance}{self._other(end)}-{processor}"
            workers = self._settings.where.workers
            everywhere = Address("0.0.0.0", port)  # noqa: S104 -- of the container's own networks
            settings = NodeSettings(name, end, upstream, _FOLDER, self._settings.collector, workers, everywhere)
            self._add(name, processor, settings)
            upstream = (Address(name, port),)
        return upstream[0]

    def _processors(self, end: EdgeEnd) -> list[str]:
        chains = (it.chain for it in self._version.application.chains)
        here = (it for it in chains if (it.edge.client, it.edge.server) == (end.client, end.server))
        places = [it for chain in here for it in places_of(chain, self._settings.where) if it.side is end.side]
        return list(dict.fromkeys(it.processor for it in reversed(places))) or [USUAL_PROCESSOR]

    def _other(self, end: EdgeEnd) -> str:
        """What tells a processor from others of its service: the edge's other end, where the service has several."""
        ends = [*(client for client, _ in self._links), *(server for _, server in self._edges)]
        if ends.count(end.service) == 1:
            return ""
        return f"-to-{end.server}" if end.side is Side.CLIENT else f"-from-{end.client}"

    def _add(self, name: str, processor: str, settings: NodeSettings) -> None:
        artifacts = artifacts_of(settings.end, processor, self._version)
        container = registry.processor(processor).container(settings, artifacts)
        mounts = {}
        for path, content in container.files.items():
            below = Path(path).relative_to(_FOLDER)
            here = f"processors/{below}" if len(below.parts) > 1 else f"processors/{name}{below.suffix}"
            self.files[here] = content
            mounts[f"./{here}"] = path
        self._services[name] = {
            "image": container.image,
            "command": list(container.command),
            **({"environment": dict(container.environment)} if container.environment else {}),
            "volumes": [f"{here}:{path}:ro" for here, path in mounts.items()],
            "networks": {_EVERYWHERE: {}},
            "restart": "unless-stopped",
        }


def _escaped(text: str) -> str:
    """As a Compose file has texts in which `$` stands for itself."""
    return text.replace("$", "$$")
