"""What an instance of a chain is told when it is made, whatever processor carries it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from appnet.application.model import DEFAULT_MAX_MESSAGE, EdgeEnd
from appnet.observe.otlp import Resource

_VERSION = 1


@dataclass(frozen=True)
class ChainOptions:
    """What one instance of a chain is told when it is made.

    ``service`` is the service the proxy stands beside, ``node`` the proxy's node id and ``version`` the version
    of the chain; all telemetry of the chain carries them. ``max_message`` bounds a gRPC message in bytes,
    ``backend_count`` is the number of hosts upstream, ``seed`` starts the elements' random draws; 0 takes a random one.
    ``end``: of which edge it stands at, where that is known.
    """

    service: str
    node: str
    version: str
    max_message: int = DEFAULT_MAX_MESSAGE
    backend_count: int = 0
    seed: int = 0
    end: EdgeEnd | None = None

    def encode(self) -> bytes:
        """The options as the runtime reads them: little-endian numbers, then an encoded OTLP ``Resource``."""
        resource = self.resource()
        numbers = struct.pack("<IQIII", _VERSION, self.seed, self.max_message, self.backend_count, len(resource))
        return numbers + resource

    def resource(self) -> bytes:
        """The encoded OTLP ``Resource`` alone."""
        resource: Any = Resource()
        attributes = {
            "service.name": self.service,
            "appnet.processor": self.node,
            "appnet.version": self.version,
        }
        if self.end is not None:
            attributes["appnet.client"] = self.end.client
            attributes["appnet.server"] = self.end.server
            attributes["appnet.side"] = self.end.side.value  # the runtime looks for it
        for key, value in attributes.items():
            resource.attributes.add(key=key).value.string_value = value
        encoded: bytes = resource.SerializeToString(deterministic=True)
        return encoded
