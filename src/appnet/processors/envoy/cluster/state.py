"""One stream of a filter, as the protocol has it: no input, no output."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field

from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from appnet.processors.envoy.cluster.offers import Served
from appnet.processors.envoy.xds.snapshot import EXTENSIONS

_MOST_NAMED = 512
_MOST_TOLD = 4_000


@dataclass
class FilterStream:
    """The state-of-the-world protocol of one filter's stream.

    ``runs`` is the digest of what the proxy runs, as it says when it connects and whenever it accepts something: one
    that comes back is sent nothing that it has. ``refused`` is the digest of what it refused, with its ``error``, and
    which is not sent again before `again`. One response is on its way at a time.

    Every attempt carries the mark of its stream, and another one after a refusal: Envoy acknowledges what equals the
    last that it refused, and does not apply it.
    """

    name: str
    runs: str = ""
    refused: str = ""
    error: str = ""
    _sent: str = ""
    _nonce: str = ""
    _mark: str = ""
    _nonces: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def begun(cls, request: DiscoveryRequest) -> FilterStream:
        """By its first request. Raises ``ValueError`` where that asks for anything but one filter."""
        names = list(request.resource_names)
        if request.type_url not in ("", EXTENSIONS):
            raise ValueError("only filter configurations are served here")
        if len(names) != 1 or not names[0] or not names[0].isprintable() or len(names[0]) > _MOST_NAMED:
            raise ValueError("a stream is about one filter")
        return cls(names[0], runs=request.version_info.partition(" ")[2])

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way to the proxy."""
        return not self._sent

    def receive(self, request: DiscoveryRequest) -> bool:
        """Takes a further request; says whether it answers the last response."""
        if not self._sent or request.response_nonce != self._nonce:
            return False
        if request.HasField("error_detail"):
            self.refused, self.error = self._sent, request.error_detail.message[:_MOST_TOLD]
            self._mark = ""
        else:
            self.runs, self.refused, self.error = self._sent, "", ""
        self._sent = ""
        return True

    def again(self) -> None:
        """Forgets a refusal, so that the same is tried once more."""
        self.refused, self.error = "", ""

    def is_due(self, wanted: Served) -> bool:
        """Whether the proxy is to be sent something."""
        return self.settled and wanted.digest not in (self.runs, self.refused)

    def due(self, wanted: Served, version: str, proxy: str) -> DiscoveryResponse | None:
        """The response to send now, if one is due; it counts as sent."""
        if not self.is_due(wanted):
            return None
        self._sent, self._nonce = wanted.digest, str(next(self._nonces))
        self._mark = self._mark or secrets.token_hex(4)
        return DiscoveryResponse(
            type_url=EXTENSIONS,
            version_info=f"{version} {wanted.digest}",
            nonce=self._nonce,
            resources=[wanted.packed(proxy, self._mark)],
        )
