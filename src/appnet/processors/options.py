"""What an instance of a chain is told when it is made, whatever processor carries it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from appnet.application.model import DEFAULT_MAX_MESSAGE, EdgeEnd, StateStore
from appnet.observe.otlp import Resource
from appnet.state.gateway import make_pass
from appnet.state.layout import script, state_scope
from appnet.system.store_address import password_of, read_address

_VERSION = 2
_WHOLE = 2**32 - 1


@dataclass(frozen=True)
class StoreOptions:
    """Where a chain shares state. ``address``: a URL, as `StateStore` has it; ``encode`` raises `NoPasswordError` where
    the environment does not have the password that it names. ``scope``: what keys begin with. ``password``: where the
    address has none.

    ``timeout``: seconds that a call waits. ``merge_every``: seconds between merges of weak state. ``tunnel``: the Unix
    socket by which the processor leads there, where the chain is not to connect to the address itself.
    """

    address: str
    scope: str
    timeout: float
    merge_every: float
    tunnel: str = field(default="", kw_only=True)
    password: str = field(default="", kw_only=True, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether only the chain's own machine reaches the store: it has a socket there."""
        return bool(read_address(self.address).path)

    def encode(self) -> bytes:
        """As payload.h has it."""
        store = read_address(self.address)
        hosts = "" if self.tunnel else "".join(f"{it.host} {it.port}\n" for it in store.hosts)
        path = self.tunnel or store.path
        password = self.password or password_of(store)
        texts = [path, hosts, store.service, store.user, password, store.database, self.scope]
        parts = [*(it.encode() for it in texts), script()]
        return self._milliseconds() + b"".join(struct.pack("<I", len(it)) + it for it in parts)

    def encode_pass(self, secret: bytes) -> bytes:
        """What is told to those who share state through the gateway with this secret, as gateway.h has it."""
        return self._milliseconds() + make_pass(secret, self.scope, self.address).encode()

    def _milliseconds(self) -> bytes:
        return struct.pack("<II", *(max(1, round(it * 1000)) for it in (self.timeout, self.merge_every)))


def store_options(store: StateStore, application: str, end: EdgeEnd, password: str = "") -> StoreOptions | None:
    """What chains at the end of an edge are told of the store; None where there is none."""
    if not store.address:
        return None
    scope = state_scope(store.prefix, application, end.client, end.server)
    return StoreOptions(store.address, scope, store.timeout, store.merge_every, password=password)


@dataclass(frozen=True)
class ChainOptions:
    """What one instance of a chain is told when it is made.

    ``service`` is the service the proxy stands beside, ``node`` the proxy's node id and ``version`` the version
    of the chain; all telemetry of the chain carries them. ``max_message`` bounds a gRPC message in bytes,
    ``backend_count`` is the number of hosts upstream, ``seed`` starts the elements' random draws; 0 takes a random one.
    ``end``: of which edge it stands at, where that is known. ``store``: of what it shares, if anything. ``traces``: the
    share, from 0 to 1, of calls that it makes spans of where their callers do not decide. ``gateway``: the secret of
    the gateway to stores, for those that cannot open connections; empty: there is none.
    """

    service: str
    node: str
    version: str
    max_message: int = DEFAULT_MAX_MESSAGE
    backend_count: int = 0
    seed: int = 0
    end: EdgeEnd | None = None
    store: StoreOptions | None = None
    traces: float = 0.0
    gateway: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """The options as the runtime reads them: little-endian numbers, then an encoded OTLP ``Resource``."""
        resource = self.resource()
        numbers = _VERSION, self.seed, self.max_message, self.backend_count, self.trace_share, len(resource)
        head = struct.pack("<IQIIII", *numbers)
        return head + resource

    @property
    def trace_share(self) -> int:
        """``traces`` as chains take it: so many of 2^32 - 1."""
        return round(self.traces * _WHOLE)

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
