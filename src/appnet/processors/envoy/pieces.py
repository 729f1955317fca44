"""What an Envoy with a configuration of its own is given, so that it runs a node's chains before its router."""

from __future__ import annotations

import json
from typing import Any

import yaml
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from appnet.processors.envoy.listeners import buffer_limit, discovered_filter
from appnet.processors.envoy.proxy.bootstrap import ask_for_filters, static_clusters
from appnet.processors.envoy.replies import reply_filter
from appnet.processors.processor import Contact, Pieces
from appnet.system.address import Address

FILTERS_ONLY = "appnet.filters_only"
"""The key of a node's metadata by which the controller knows that it asks for nothing but filters."""

IDLE_TYPE = f"type.googleapis.com/{HeaderMutation.DESCRIPTOR.full_name}"

_HEAD = """\
# For the node {node}. This belongs to the top level of the configuration:
{top}
---
# And this to the listener whose calls the chains judge: its buffer, and its filters, just before the router.
{listener}"""


def idle_filter(name: str) -> TypedExtensionConfig:
    """What stands in a listener for a chain that has no elements at this end: it changes no header."""
    config = TypedExtensionConfig(name=name)
    config.typed_config.Pack(HeaderMutation())
    return config


def pieces_yaml(pieces: Pieces, control: Contact, records: Address) -> str:
    """The pieces, as two YAML documents."""
    top = Bootstrap()
    top.node.id, top.node.cluster = pieces.node, pieces.service
    top.node.metadata[FILTERS_ONLY] = True
    ask_for_filters(top, control)
    top.static_resources.clusters.extend(static_clusters(control, records))
    filters = [discovered_filter(name) for name in pieces.chains]
    for it in filters:
        it.config_discovery.type_urls.append(IDLE_TYPE)
    listener = {
        "per_connection_buffer_limit_bytes": buffer_limit(pieces.max_message),
        "http_filters": [_plain(it) for it in (*filters, reply_filter("appnet.reply"))],
    }
    return _HEAD.format(node=pieces.node, top=_yaml(_plain(top)), listener=_yaml(listener)).rstrip()


def _plain(message: Message) -> Any:
    return json.loads(MessageToJson(message, preserving_proto_field_name=True))


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=140)
