"""What one proxy should have, as a value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from appnet.processors.envoy.filters import refuse_remote_code


def _type_url(message: type[Message]) -> str:
    return f"type.googleapis.com/{message.DESCRIPTOR.full_name}"


CLUSTERS = _type_url(Cluster)
ENDPOINTS = _type_url(ClusterLoadAssignment)
LISTENERS = _type_url(Listener)
ROUTES = _type_url(RouteConfiguration)
EXTENSIONS = _type_url(TypedExtensionConfig)

RESOURCE_TYPES = (CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, EXTENSIONS)
"""Every type served, in the order in which a change must be sent so that nothing names what is not there yet."""

WILDCARD_TYPES = frozenset({CLUSTERS, LISTENERS})
"""Types of which a proxy takes all there are: what is not in a response is gone."""


@dataclass(frozen=True)
class Resource:
    """One resource, ready to be sent, and the digest that tells whether two are the same."""

    packed: AnyMessage
    digest: bytes

    @classmethod
    def of(cls, message: Message) -> Resource:
        """``message``, packed."""
        packed = AnyMessage()
        packed.Pack(message, deterministic=True)
        return cls(packed, hashlib.sha256(packed.value).digest())


Resources = Mapping[str, Resource]
"""Resources of one type, by name."""


@dataclass(frozen=True)
class Snapshot:
    """All resources that a proxy should have, under one version label.

    ``resources`` may be clusters, endpoints, listeners, routes and extensions (filter configurations) in any order.
    ``idle``: filters that do nothing, for proxies whose listeners are their own and name more filters than there are.
    """

    version: str
    resources: tuple[Message, ...]
    idle: tuple[TypedExtensionConfig, ...] = ()

    def by_type(self) -> dict[str, Resources]:
        """The resources by type URL and name, every served type present.

        Raises ``ValueError`` for a message of any other type, for two resources of one name, and (``RemoteCodeError``)
        for a filter whose code the proxy would have to fetch.
        """
        grouped: dict[str, dict[str, Resource]] = {type_url: {} for type_url in RESOURCE_TYPES}
        for message in self.resources:
            of_type = grouped.get(_type_url(type(message)))
            if of_type is None:
                raise ValueError(f"{message.DESCRIPTOR.full_name} is not a resource type served by xDS here")
            name = resource_name(message)
            if name in of_type:
                raise ValueError(f"two resources {name!r} of type {message.DESCRIPTOR.full_name}")
            if isinstance(message, TypedExtensionConfig):
                refuse_remote_code(message)
            of_type[name] = Resource.of(message)
        return dict(grouped)


def resource_name(message: Message) -> str:
    """The name by which a proxy asks for ``message``."""
    name: str = message.cluster_name if isinstance(message, ClusterLoadAssignment) else message.name  # type: ignore[attr-defined]
    return name


def digests(resources: Resources, names: Iterable[str]) -> dict[str, bytes]:
    """Digest of each of ``names`` that is among ``resources``."""
    return {name: resources[name].digest for name in names if name in resources}
