"""Istio's resources that give sidecars the compiled modules.

A module travels inside an extension configuration (ECDS); the listener only names it. So an upgrade is one message to
each proxy, and ends no connection.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import yaml
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from appnet.application.manifest import Service
from appnet.application.model import Side
from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.filters import chain_filter
from appnet.processors.envoy.istio.checks import http_ports
from appnet.processors.envoy.istio.guard import guarded_filter
from appnet.processors.envoy.listeners import buffer_limit
from appnet.processors.envoy.native.loader import loader_library
from appnet.processors.envoy.proxy.bootstrap import TELEMETRY_CLUSTER
from appnet.processors.envoy.replies import replies_from_wasm, reply_filter
from appnet.processors.envoy.targets import NATIVE, TARGETS
from appnet.processors.options import ChainOptions
from appnet.processors.processor import Object
from appnet.system.address import Address

_LOADER = "appnet-loader"
_LOADER_FOLDER = "/etc/appnet"

_API = "networking.istio.io/v1alpha3"
_PRIORITY = 10  # behind what others patch by default
_HTTP = "envoy.filters.network.http_connection_manager"
_MANAGER = {"filter": {"name": _HTTP}}
_ROUTER = {"filter": {"name": _HTTP, "subFilter": {"name": "envoy.filters.http.router"}}}
_CONTEXTS = {Side.CLIENT: "SIDECAR_OUTBOUND", Side.SERVER: "SIDECAR_INBOUND"}


def chain_object(
    artifacts: Sequence[Artifact], name: str, service: Service, server: Service, namespace: str, hosts: int
) -> Object:
    """The EnvoyFilter for artifacts that run beside the pods of ``service`` on calls to ``server``'s ``hosts``."""
    patches: list[Object] = []
    ports = http_ports(server)
    for it in artifacts:
        longest = it.limits.max_message
        options = ChainOptions(service.name, f"{service.name}-sidecar", it.version, longest, hosts)
        patches += _patches(it, options, ports)
    patches += _replying([it for it in artifacts if replies_from_wasm(it)][:1], f"{name}-reply", ports)
    patches += _limiting(artifacts[0], ports)
    patches += _sent_once(artifacts[0], ports)
    return _envoy_filter(name, namespace, patches, dict(service.selector))


def telemetry_filter(namespace: str, collector: Address) -> Object:
    """The EnvoyFilter that tells all sidecars of a namespace where elements' records go."""
    endpoint = {"address": {"socket_address": {"address": collector.host, "port_value": collector.port}}}
    cluster = {
        "name": TELEMETRY_CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": TELEMETRY_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
    }
    patch = {"applyTo": "CLUSTER", "match": {"context": "ANY"}, "patch": {"operation": "ADD", "value": cluster}}
    return _envoy_filter("appnet-telemetry", namespace, [patch], {})


def loader_map(namespace: str) -> Object:
    """The ConfigMap with the dynamic module that opens native modules."""
    library = loader_library()
    content = base64.b64encode(library.read_bytes()).decode()
    metadata = _metadata(_LOADER, namespace)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": {library.name: content}}


def set_up_proxy(template: Object, artifacts: Sequence[Artifact]) -> None:
    """Has the sidecars of a pod template run these artifacts."""
    native = any(is_native(it) for it in artifacts)
    alone = any(_needs_one_worker(it) for it in artifacts)
    if not native and not alone:
        return
    annotations = _mapping(_mapping(template, "metadata"), "annotations")
    written = yaml.safe_load(str(annotations.get("proxy.istio.io/config") or ""))
    config: Object = written if isinstance(written, dict) else {}
    if alone:
        config["concurrency"] = 1
    if native:
        _mapping(config, "proxyMetadata")["ENVOY_DYNAMIC_MODULES_SEARCH_PATH"] = _LOADER_FOLDER
        volume = {"name": _LOADER, "configMap": {"name": _LOADER}}
        mount = {"name": _LOADER, "mountPath": _LOADER_FOLDER, "readOnly": True}
        for key, entry in (("sidecar.istio.io/userVolume", volume), ("sidecar.istio.io/userVolumeMount", mount)):
            annotations[key] = json.dumps([*_others(annotations.get(key), entry["name"]), entry])
    annotations["proxy.istio.io/config"] = yaml.safe_dump(config, sort_keys=False)


def _others(written: object, name: object) -> list[Object]:
    """The entries of a JSON list, or of a mapping by name, but the one of this name; both forms are Istio's."""
    try:
        found = json.loads(str(written or "[]"))
    except ValueError:
        return []
    if isinstance(found, dict):
        found = [{"name": key, **it} for key, it in found.items() if isinstance(it, dict)]
    return [it for it in found if isinstance(it, dict) and it.get("name") != name] if isinstance(found, list) else []


def _mapping(object_: Object, key: str) -> Object:
    """The mapping at the key, put there where there is none."""
    if not isinstance(object_.get(key), dict):
        object_[key] = {}
    found: Object = object_[key]
    return found


def _patches(artifact: Artifact, options: ChainOptions, ports: Iterable[int]) -> Iterator[Object]:
    """The artifact's code, and its place in the listeners of ``ports``; on the server's side in that for all calls."""
    context = _CONTEXTS[artifact.segment.place.side]
    code = chain_filter(artifact, options)
    methods = [it.signature.full_name for it in artifact.chain.methods]
    yield _patch("EXTENSION_CONFIG", {"context": context}, "ADD", code)
    for it in _listeners(artifact, ports):
        match = {"context": context, "listener": {**it, "filterChain": _ROUTER}}
        yield _patch("HTTP_FILTER", match, "INSERT_BEFORE", guarded_filter(artifact.name, methods))


def _replying(artifacts: Sequence[Artifact], name: str, ports: Iterable[int]) -> Iterator[Object]:
    """What lets wasm modules reply, behind all of them: one of them says where."""
    for artifact in artifacts:
        context = _CONTEXTS[artifact.segment.place.side]
        for it in _listeners(artifact, ports):
            match = {"context": context, "listener": {**it, "filterChain": _ROUTER}}
            yield _patch("HTTP_FILTER", match, "INSERT_BEFORE", reply_filter(name))


def _limiting(artifact: Artifact, ports: Iterable[int]) -> Iterator[Object]:
    """What the listeners that the artifact's calls pass need to keep their limits."""
    context, limits = _CONTEXTS[artifact.segment.place.side], artifact.limits
    for it in _listeners(artifact, ports):
        match = {"context": context, **({"listener": it} if it else {})}
        yield _patch("LISTENER", match, "MERGE", _with_room(limits.max_message))
        if limits.idle:
            match = {"context": context, "listener": {**it, "filterChain": _MANAGER}}
            yield _patch("NETWORK_FILTER", match, "MERGE", _with_idle_timeout(limits.idle))


def _sent_once(artifact: Artifact, ports: Iterable[int]) -> Iterator[Object]:
    """Turns retries off: a proxy that may send a call again keeps what it has sent, and shows it to modules again."""
    context = _CONTEXTS[artifact.segment.place.side]
    for it in _listeners(artifact, ports):
        match = {"context": context, **({"routeConfiguration": it} if it else {})}
        yield _patch("HTTP_ROUTE", match, "MERGE", _without_retries())


def _without_retries() -> Route:
    route = Route()
    route.route.retry_policy.retry_on = "never"  # an empty text would leave Istio's own
    route.route.retry_policy.num_retries.value = 0
    return route


def _listeners(artifact: Artifact, ports: Iterable[int]) -> list[Object]:
    return [{"portNumber": it} for it in ports] if artifact.segment.place.side is Side.CLIENT else [{}]


def _with_room(max_message: int) -> Listener:
    """What a listener needs to hold back the longest message: Envoy's own limit is 1 MiB."""
    listener = Listener()
    listener.per_connection_buffer_limit_bytes.value = buffer_limit(max_message)
    return listener


def _with_idle_timeout(seconds: float) -> Filter:
    manager = HttpConnectionManager()
    manager.stream_idle_timeout.FromTimedelta(timedelta(seconds=seconds))
    filter_ = Filter()
    filter_.typed_config.Pack(manager)
    return filter_


def is_native(artifact: Artifact) -> bool:
    """Whether proxies need the loader for it."""
    return artifact.segment.place.target == NATIVE


def _needs_one_worker(artifact: Artifact) -> bool:
    """Whether its elements keep what several workers of a proxy would each have for themselves; code by hand may."""
    asks = artifact.code.by_hand or any(it.need is Need.ONE_STATE for it in artifact.asked)
    return asks and Need.ONE_STATE not in TARGETS[artifact.segment.place.target].gives


def _patch(kind: str, match: Mapping[str, Any], operation: str, value: Message) -> Object:
    plain = json.loads(MessageToJson(value, preserving_proto_field_name=True))
    return {"applyTo": kind, "match": dict(match), "patch": {"operation": operation, "value": plain}}


def _envoy_filter(name: str, namespace: str, patches: list[Object], labels: Object) -> Object:
    spec: Object = {"priority": _PRIORITY, **({"workloadSelector": {"labels": labels}} if labels else {})}
    spec["configPatches"] = patches
    return {"apiVersion": _API, "kind": "EnvoyFilter", "metadata": _metadata(name, namespace), "spec": spec}


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, **({"namespace": namespace} if namespace else {})}
