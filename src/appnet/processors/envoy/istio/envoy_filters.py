"""Istio's resources that give proxies the compiled modules, or have them ask AppNet's control plane for these.

A module travels inside an extension configuration (ECDS); the listener only names it. So an upgrade is one message to
each proxy, and ends no connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from appnet.application.load import LoadedChain
from appnet.application.model import Limits
from appnet.ir.needs import Need, needs
from appnet.language.operations.metadata import DELAY, HIDDEN_KEYS
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.filters import chain_filter
from appnet.processors.envoy.istio.guard import filter_of_control_plane, filter_of_istiod
from appnet.processors.envoy.istio.pods import is_native
from appnet.processors.envoy.istio.spots import Spot
from appnet.processors.envoy.listeners import buffer_limit, delay_by_header
from appnet.processors.envoy.proxy.bootstrap import TELEMETRY_CLUSTER
from appnet.processors.envoy.replies import replies_from_wasm, reply_filter
from appnet.processors.options import ChainOptions
from appnet.processors.processor import ControlPlane, Entry, Object
from appnet.processors.signing import user_key
from appnet.system.address import Address

_API = "networking.istio.io/v1alpha3"
_ANNOTATIONS = {"galley.istio.io/analyze-suppress": "IST0133"}  # a warning of each EnvoyFilter that there is
_PRIORITY = 10  # behind what others patch by default
_HTTP = "envoy.filters.network.http_connection_manager"
_ROUTER = {"filter": {"name": _HTTP, "subFilter": {"name": "envoy.filters.http.router"}}}
_FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
_NOTHING = {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}  # istiod drops a config without a type


def chain_object(artifacts: Sequence[Artifact], name: str, namespace: str, spot: Spot, options: ChainOptions) -> Object:
    """The EnvoyFilter with the code of artifacts, in request order, which run in one spot.

    ``options``: of all of them, but for the version.
    """
    codes = [_code(it, spot, replace(options, version=it.version)) for it in artifacts]
    chain = artifacts[0].chain
    filters = [filter_of_istiod(it.name, _paths(chain)) for it in artifacts]
    replies = any(replies_from_wasm(it) for it in artifacts)
    filters = [*_helping(name, filters, replies=replies, delays=_asks(Need.DELAY, chain))]
    return _envoy_filter(name, namespace, [*codes, *_standing(filters, spot, chain.chain.limits)], spot.selection)


def entry_object(entry: Entry, spot: Spot, control: ControlPlane) -> Object:
    """The EnvoyFilter that has the proxies of a spot ask the control plane for these filters, in request order."""
    chain, paths = entry.chain, _paths(entry.chain)
    filters = [filter_of_control_plane(it, paths, control, closed=entry.closed) for it in entry.names]
    replies, delays = (_asks(it, chain) for it in (Need.REPLY, Need.DELAY))
    filters = [*_helping(entry.name, filters, replies=replies, delays=delays)]
    return _envoy_filter(entry.name, entry.namespace, [*_standing(filters, spot, chain.chain.limits)], spot.selection)


def telemetry_filter(name: str, namespace: str, collector: Address, selection: Object, context: str) -> Object:
    """The EnvoyFilter that tells the selected proxies of a namespace where elements' records go."""
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
    patch = {"applyTo": "CLUSTER", "match": {"context": context}, "patch": {"operation": "ADD", "value": cluster}}
    return _envoy_filter(name, namespace, [patch], selection)


def _paths(chain: LoadedChain) -> list[str]:
    return [it.signature.full_name for it in chain.methods]


def _asks(need: Need, chain: LoadedChain) -> bool:
    """Whether some element of the chain needs it, wherever and as whatever it runs."""
    every = ((element, it.signature) for it in chain.methods for element in it.elements.values())
    return any(asked.need is need for element, method in every for asked in needs(element, method))


def _helping(name: str, filters: Sequence[HttpFilter], *, replies: bool, delays: bool) -> Iterator[HttpFilter]:
    """The filters, with those before and behind them that they need of Envoy."""
    yield _of_type(f"{name}-callers", _without_hidden_headers())
    yield from filters
    if delays:
        yield _of_type(f"{name}-delay", delay_by_header())
    if replies:
        yield reply_filter(f"{name}-reply")


def _without_hidden_headers() -> HeaderMutation:
    """Takes away what callers send of `HIDDEN_KEYS`."""
    mutation = HeaderMutation()
    for key in sorted(HIDDEN_KEYS):
        mutation.mutations.request_mutations.add(remove=key)
    return mutation


def _of_type(name: str, config: Message) -> HttpFilter:
    filter_ = HttpFilter(name=name)
    filter_.typed_config.Pack(config)
    return filter_


def _code(artifact: Artifact, spot: Spot, options: ChainOptions) -> Object:
    key = user_key() if is_native(artifact) else None
    return _patch("EXTENSION_CONFIG", {"context": spot.context}, "ADD", chain_filter(artifact, options, key))


def _standing(filters: Sequence[HttpFilter], spot: Spot, limits: Limits) -> Iterator[Object]:
    """The filters in the listeners of a spot, what these need to keep the limits, and routes that leave calls alone."""
    for it in filters:
        it.disabled = spot.hosts is not None
        for listener in spot.listeners:
            chain = {**listener.get("filterChain", {}), **_ROUTER}
            match = {"context": spot.context, "listener": {**listener, "filterChain": chain}}
            yield _patch("HTTP_FILTER", match, "INSERT_BEFORE", it)
    for host in spot.hosts or ():
        match = {"context": spot.context, "routeConfiguration": host}
        yield _patch("VIRTUAL_HOST", match, "MERGE", _enabling([it.name for it in filters]))
    for listener in spot.listeners:
        match = {"context": spot.context, **({"listener": listener} if listener else {})}
        yield _patch("LISTENER", match, "MERGE", _with_room(limits.max_message))
    for route in spot.routes:
        match = {"context": spot.context, **({"routeConfiguration": route} if route else {})}
        yield _patch("HTTP_ROUTE", match, "MERGE", _undisturbed(limits.idle))


def _enabling(names: Sequence[str]) -> Object:
    """What has routes run filters that their listener has disabled."""
    enabled = {"@type": _FILTER_CONFIG, "is_optional": True, "config": _NOTHING}
    return {"typed_per_filter_config": dict.fromkeys(names, enabled)}


def _undisturbed(idle_seconds: float | None) -> Route:
    """Turns retries off: a proxy that may send a call again keeps what it has sent, and shows it to modules again.

    Calls end after so many seconds of silence. Servers do not see what Envoy was told.
    """
    route = Route(request_headers_to_remove=[DELAY])
    route.route.retry_policy.retry_on = "never"  # an empty text would leave Istio's own
    route.route.retry_policy.num_retries.value = 0
    if idle_seconds:
        route.route.idle_timeout.FromTimedelta(timedelta(seconds=idle_seconds))
    return route


def _with_room(max_message: int) -> Listener:
    """What a listener needs to hold back the longest message: Envoy's own limit is 1 MiB."""
    listener = Listener()
    listener.per_connection_buffer_limit_bytes.value = buffer_limit(max_message)
    return listener


def _patch(kind: str, match: Mapping[str, Any], operation: str, value: Message | Object) -> Object:
    plain = json.loads(MessageToJson(value, preserving_proto_field_name=True)) if isinstance(value, Message) else value
    return {"applyTo": kind, "match": dict(match), "patch": {"operation": operation, "value": plain}}


def _envoy_filter(name: str, namespace: str, patches: Sequence[Object], selection: Object) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "annotations": _ANNOTATIONS}
    spec: Object = {"priority": _PRIORITY, **selection, "configPatches": patches}
    return {"apiVersion": _API, "kind": "EnvoyFilter", "metadata": metadata, "spec": spec}
