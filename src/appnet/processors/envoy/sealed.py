"""What filters are told, as Envoy keeps it to itself: it may have the password of a store, or a pass to a gateway.

Envoy's admin interface shows whole configurations, but for what its messages mark as sensitive. Of those that a
filter's configuration can be, that is the content of a `GenericSecret`. Envoy hands it to the filter as it is, and
``http/sealed.h`` opens it.
"""

from __future__ import annotations

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import GenericSecret
from google.protobuf.any_pb2 import Any as AnyMessage


def sealed(content: bytes) -> AnyMessage:
    """The content as a filter's configuration."""
    secret, found = GenericSecret(), AnyMessage()
    secret.secret.inline_bytes = content
    found.Pack(secret)
    return found


def opened(configuration: AnyMessage) -> bytes:
    """What is sealed in it."""
    content: bytes = GenericSecret.FromString(configuration.value).secret.inline_bytes
    return content
