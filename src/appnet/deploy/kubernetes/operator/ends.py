"""The ends of an application's edges in a cluster: which proxies stand there, and what has them ask for chains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from appnet.application.load import LoadedChain
from appnet.application.manifest import label_value, object_name
from appnet.application.model import ALL_METHODS, EdgeEnd, Side
from appnet.compile.fit import Where, places_of
from appnet.compile.pipeline import Version
from appnet.control.rollout import artifacts_of
from appnet.deploy.kubernetes.names import CONTROLLER, MANAGED_BY
from appnet.deploy.kubernetes.operator.world import CONFIGURATIONS, Key, Object, Workload, World
from appnet.deploy.kubernetes.rollouts import APPLICATION
from appnet.optimize.placement import labels
from appnet.processors import registry
from appnet.processors.artifact import Artifact, name_of
from appnet.processors.processor import ClusterObjects, ControlPlane, Entry, Group, Mesh, Proxies
from appnet.system.address import Address

CONFIGURATION = "appnet.io/configuration"


@dataclass(frozen=True)
class End:
    """Where chains of one AppNetConfig run: proxies of ``processor`` at ``end`` may be given the ``names``, in request
    order. ``application``: its namespace and name."""

    application: Key
    configuration: str
    chain: LoadedChain
    end: EdgeEnd
    processor: str
    names: tuple[str, ...]

    @property
    def group(self) -> str:
        """The name of its proxies."""
        edge = self.chain.chain.edge
        return f"{'/'.join(self.application)}/{edge.client}/{edge.server}.{self.end.side.value}.{self.processor}"


def ends_of(version: Version, application: Key, where: Where) -> list[End]:
    """Every end at which elements of the version run, or might after it is planned anew."""
    found = []
    for it in version.application.chains:
        fixed = [stop.fixed for stop in it.chain.stops]
        sides = set(Side) if None in fixed else {side for side in fixed if side is not None}
        places = places_of(it.chain, where)
        for processor, side in dict.fromkeys((place.processor, place.side) for place in places):
            every = zip(places, labels(places), strict=True)
            names = tuple(
                name_of(it.chain, "-".join(words))
                for place, words in every
                if (place.processor, place.side) == (processor, side)
            )
            if side in sides or len({place.side for place in places}) == 1:
                edge = it.chain.edge
                end = EdgeEnd(edge.client, edge.server, side)
                found.append(End(application, configuration_of(it), it, end, processor, names))
    return found


def configuration_of(chain: LoadedChain) -> str:
    """The name of the AppNetConfig that a chain comes from."""
    place = chain.chain.methods[0].span.source.name.partition("/")[2]
    return place.removesuffix(".yaml")


def groups_of(
    ends: Iterable[End], version: Version, world: World, passwords: Mapping[str, str] = MappingProxyType({})
) -> list[Group]:
    """The proxies at the ends; several chains of an edge have the same. ``passwords``: of stores, by their Secrets."""
    found: dict[str, Group] = {}
    manifest = version.application.manifest
    for it in ends:
        before = found.get(it.group)
        names = tuple(dict.fromkeys((*(before.chains if before else ()), *it.names)))
        proxies = proxies_of(it, version)
        secret = it.chain.chain.state.secret
        own = {secret: passwords[secret]} if secret in passwords else {}
        found[it.group] = Group(
            name=it.group,
            namespace=proxies.namespace,
            processor=it.processor,
            end=it.end,
            labels=proxies.labels,
            accounts=proxies.accounts or frozenset(one.account for one in pods_of(it, version, world)),
            chains=names,
            hosts=manifest.replicas(it.end.server),
            passwords={**(before.passwords if before else {}), **own},
        )
    return list(found.values())


def proxies_of(end: End, version: Version) -> Proxies:
    """In which pods the proxies of an end are."""
    return _objects(end).proxies(version.application.manifest.services[end.end.service])


def pods_of(end: End, version: Version, world: World) -> list[Workload]:
    """These pods. Where processors are in programs, all have one."""
    proxies = proxies_of(end, version)
    found = world.behind(proxies.namespace, proxies.labels)
    return found if mesh_of(end.processor).beside else [replace(it, judged=True) for it in found]


def bypassed(end: End, version: Version, written: Mapping[str, Object]) -> bool:
    """Whether the end has no elements, and its AppNetConfig allows that nothing of AppNet's stands there then."""
    allowed = written[end.configuration].get("spec", {}).get("bypass") == "allowed"
    return allowed and not _artifacts(end, version)


def by_manifest(configuration: Object, processors: Iterable[str]) -> bool:
    """Whether the code is to stand in the objects themselves, for proxies that cannot reach the controller; programs
    always ask it."""
    wanted = bool(configuration.get("spec", {}).get("delivery") == "manifest")
    return wanted and all(mesh_of(it).beside for it in processors)


def entries(
    ends: Iterable[End], version: Version, written: Mapping[str, Object], control: ControlPlane
) -> dict[Key, Object]:
    """What has the proxies ask for their chains, by key; each belongs to its AppNetConfig."""
    found: dict[Key, Object] = {}
    services = version.application.manifest.services
    for it in ends:
        body, (namespace, application) = written[it.configuration], it.application
        closed = body.get("spec", {}).get("beforeFirstVersion", "closed") != "open"
        beside = services[it.end.service], services[it.end.server], namespace
        entry = Entry(it.chain, it.end.side, it.names, _name(it), *beside, closed)
        made = mesh_of(it.processor).entry(entry, control)
        if made is not None:
            found[namespace, _name(it)] = owned(made, body, application)
    return found


def manifests(ends: Iterable[End], version: Version, written: Mapping[str, Object]) -> dict[Key, Object]:
    """What gives the proxies their code itself, by key: wasm, which all of them run."""
    found: dict[Key, Object] = {}
    services = version.application.manifest.services
    for it in ends:
        artifacts = [_as_wasm(one) for one in _artifacts(it, version)]
        namespace, application = it.application
        if artifacts:
            service, server = services[it.end.service], services[it.end.server]
            hosts = version.application.manifest.replicas(server.name)
            made = _objects(it).chain(artifacts, _name(it), service, server, namespace, hosts)
            found[namespace, _name(it)] = owned(made, written[it.configuration], application)
    return found


def shared(
    ends: Iterable[End], version: Version, world: World, control: ControlPlane, collector: Address
) -> dict[Key, Object]:
    """What the proxies of a namespace need once, by key, so that records reach the controller. It belongs to all
    AppNetConfigs of the namespace."""
    found: dict[Key, Object] = {}
    services = version.application.manifest.services
    every = list(ends)
    for processor in dict.fromkeys(it.processor for it in every):
        namespace = every[0].application[0]
        artifacts = [_as_wasm(one) for it in every if it.processor == processor for one in _artifacts(it, version)]
        made = registry.processor(processor).objects().shared(namespace, artifacts, services, collector, control)
        for _, it in made:
            owners = [_owner(body) for body in living(world, namespace).values()]
            marks = {"namespace": namespace, "labels": {MANAGED_BY: CONTROLLER}, "ownerReferences": owners}
            found[namespace, it["metadata"]["name"]] = {**it, "metadata": {**it["metadata"], **marks}}
    return found


def _artifacts(end: End, version: Version) -> list[Artifact]:
    return [it for it in artifacts_of(end.end, end.processor, version) if it.name in end.names]


def _as_wasm(artifact: Artifact) -> Artifact:
    every = (artifact, *artifact.others)
    return next((it for it in every if it.segment.place.target == "wasm"), artifact)


def mesh_of(processor: str) -> Mesh:
    """How proxies are told that do not get their code in objects."""
    mesh = registry.processor(processor).mesh()
    assert mesh is not None, "checked as an AppNetConfig is judged"
    return mesh


def _objects(end: End) -> ClusterObjects:
    return registry.processor(end.processor).objects()


def _name(end: End) -> str:
    chain = end.chain.chain
    return object_name(f"appnet.{chain.edge.client}.{chain.edge.server}.{chain.method}.{end.end.side.value}")


def owned(object_: Object, configuration: Object, application: str) -> Object:
    """The object with the marks of whom it belongs to."""
    metadata = configuration["metadata"]
    owner = {**_owner(configuration), "controller": True, "blockOwnerDeletion": True}
    marks = {
        MANAGED_BY: CONTROLLER,
        APPLICATION: label_value(application),
        CONFIGURATION: label_value(metadata["name"]),
    }
    own = {**object_["metadata"], "namespace": metadata["namespace"], "labels": marks, "ownerReferences": [owner]}
    return {**object_, "metadata": own}


def _owner(configuration: Object) -> dict[str, Any]:
    metadata = configuration["metadata"]
    kind = {key: configuration[key] for key in ("apiVersion", "kind")}
    return {**kind, "name": metadata["name"], "uid": metadata["uid"]}


def unjudged(ends: Iterable[End], version: Version, world: World) -> Iterator[tuple[End, Sequence[Workload]]]:
    """The pods at each end that have no proxy beside them: their calls pass no chain there."""
    for it in ends:
        without = [one for one in pods_of(it, version, world) if not one.judged]
        if without:
            yield it, without


def configurations_of(world: World, application: Key) -> Mapping[str, Object]:
    """The AppNetConfigs of an application, by name, but those that are on their way out."""
    namespace, name = application
    every = living(world, namespace)
    return {one: body for one, body in every.items() if application_of(body) == application and name}


def stores_secrets(written: Iterable[Object]) -> set[str]:
    """The Secrets that AppNetConfigs name for the passwords of their stores."""
    every = ((it.get("spec", {}).get("state") or {}).get("secret") for it in written)
    return {str(it) for it in every if it}


def living(world: World, namespace: str) -> Mapping[str, Object]:
    """The AppNetConfigs of a namespace, by name, but those that are on their way out."""
    every = world.inside(CONFIGURATIONS, namespace)
    return {name: body for name, body in every if "deletionTimestamp" not in body["metadata"]}


def application_of(body: Object) -> Key:
    """The application that an AppNetConfig belongs to."""
    return str(body["metadata"].get("namespace", "")), str(body.get("spec", {}).get("appName", ""))


def claimed(world: World, application: Key) -> Mapping[str, str]:
    """The application's AppNetConfigs that are for methods of an edge which an older one of another application is for,
    by name, with that one's."""
    every = living(world, application[0])
    found = {}
    for name, body in configurations_of(world, application).items():
        for other, older in every.items():
            if application_of(older) != application and _age(older) < _age(body) and _overlap(body, older):
                found[name] = other
    return found


def _age(body: Object) -> tuple[str, str]:
    return str(body["metadata"].get("creationTimestamp", "")), str(body["metadata"]["name"])


def _overlap(one: Object, other: Object) -> bool:
    first, second = one.get("spec", {}), other.get("spec", {})
    if any(first.get(key) != second.get(key) for key in ("clientService", "serverService")):
        return False
    pairs = ((it, its) for it in _methods(first) for its in _methods(second))
    return any(ALL_METHODS in pair or pair[0].endswith(pair[1]) or pair[1].endswith(pair[0]) for pair in pairs)


def _methods(spec: Object) -> list[str]:
    """Each as the end of its full name, as it may be written without its service and package."""
    written = spec.get("method") or ()
    names = [written] if isinstance(written, str) else written
    return [it if it == ALL_METHODS else f".{str(it).strip('/').replace('/', '.')}" for it in names]
