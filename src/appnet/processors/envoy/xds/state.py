"""Which versions a proxy should run, which it runs, and what it last said: no input, no output.

``NodeState`` is what the controller wants of a proxy and knows of it; it outlives the proxy's connections.
``StreamState`` is the xDS conversation of one connection: requests in, due responses out.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from appnet.processors.envoy.filters import marked
from appnet.processors.envoy.xds.snapshot import (
    ENDPOINTS,
    EXTENSIONS,
    RESOURCE_TYPES,
    ROUTES,
    WILDCARD_TYPES,
    Resources,
    digests,
)
from appnet.processors.processor import Acceptance, NodeAnswer


@dataclass
class TypeState:
    """What a proxy should have of one type. ``serial`` counts the changes; 0 means that nothing was ever set."""

    resources: Resources = field(default_factory=dict)
    version: str = ""
    serial: int = 0
    acceptance: Acceptance = Acceptance.PENDING
    error: str = ""
    since: float = field(default_factory=time.time)

    def answered(self, acceptance: Acceptance, error: str = "") -> None:
        """Notes how the proxy stands to it from now on."""
        if (self.acceptance, self.error) != (acceptance, error):
            self.acceptance, self.error, self.since = acceptance, error, time.time()


class NodeState:
    """What one proxy should have of each type."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.types = {type_url: TypeState() for type_url in RESOURCE_TYPES}
        self.idle: Resources = {}
        """Filters that do nothing, which are there for a proxy that asks for filters only."""
        self._filters_only = False
        self._versions: set[str] = set()

    @property
    def is_known(self) -> bool:
        """Whether anybody has said what it should have."""
        return bool(self._versions)

    def set_type(self, type_url: str, resources: Resources, version: str) -> bool:
        """Sets the resources of a type; says whether they differ from what was set before."""
        self._versions.add(version)
        if type_url == EXTENSIONS and self._filters_only:
            resources = {**self.idle, **resources}
        state = self.types[type_url]
        empty_and_unasked = not resources and type_url not in WILDCARD_TYPES and state.serial == 0
        same = state.serial > 0 and digests(state.resources, state.resources) == digests(resources, resources)
        if empty_and_unasked or (same and state.acceptance is not Acceptance.NACKED):
            if same:
                state.version = version
            return False
        self.types[type_url] = TypeState(dict(resources), version, state.serial + 1)
        return True

    def asks_for(self, *, filters_only: bool) -> None:
        """Notes whether the proxy asks for filters only: its listeners and clusters are its own."""
        if filters_only != self._filters_only:
            self._filters_only = filters_only
            state = self.types[EXTENSIONS]
            resources = {name: it for name, it in state.resources.items() if self.idle.get(name) is not it}
            self.set_type(EXTENSIONS, resources, state.version)

    def answer(self, version: str) -> NodeAnswer:
        """How the proxy stands to ``version``: refused if any type of it was, accepted once all types were."""
        types = [self.types[EXTENSIONS]] if self._filters_only else self.types.values()
        concerned = [state for state in types if state.serial and state.version == version]
        refused = [state.error for state in concerned if state.acceptance is Acceptance.NACKED]
        since = max((state.since for state in concerned), default=0.0)
        if refused:
            return NodeAnswer(self.name, version, Acceptance.NACKED, "; ".join(refused), since)
        if concerned:
            accepted = all(state.acceptance is Acceptance.ACKED for state in concerned)
            return NodeAnswer(self.name, version, Acceptance.ACKED if accepted else Acceptance.PENDING, since=since)
        known = version in self._versions
        return NodeAnswer(self.name, version, Acceptance.SUPERSEDED if known else Acceptance.PENDING)


@dataclass(frozen=True)
class TypeAnswer:
    """An ACK or a NACK of one type's version."""

    node: str
    type_url: str
    version: str
    acceptance: Acceptance
    error: str = ""


def _new_mark() -> str:
    return secrets.token_hex(4)


@dataclass
class _Subscription:
    """One type on one stream.

    ``sent`` are the digests, by resource name, in the last response; ``accepted`` those that the proxy surely runs:
    a name leaves it when something else is sent and comes back with the ACK, since a refused response may still have
    been taken in part. ``wanted`` are names asked for and not answered yet; ``mark`` is that of filter configurations.
    """

    names: frozenset[str] = frozenset()
    nonce: str = ""
    version: str = ""
    serial: int = 0
    pending: bool = False
    sent: Mapping[str, bytes] = field(default_factory=dict)
    accepted: dict[str, bytes] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)
    mark: str = field(default_factory=_new_mark)


class StreamState:
    """The state-of-the-world protocol with one connected proxy.

    A response of a type other than listeners and clusters carries only what the proxy has not accepted yet, so that
    a new version of one filter does not send the code of all others again.

    Filter configurations carry the mark of an attempt. It changes after a refusal, and where a proxy that connects says
    that it runs another version: it may have refused this one before. The version that the proxy is told names the
    mark, so that one that comes back gets the same bytes, which it leaves alone.
    """

    def __init__(self, node: NodeState) -> None:
        self.node = node
        self._subscriptions: dict[str, _Subscription] = {}
        self._nonces = itertools.count(1)

    def receive(self, request: DiscoveryRequest) -> TypeAnswer | None:
        """Takes a request; returns the answer in it to the response last sent, if it is one."""
        type_url = request.type_url
        if type_url not in RESOURCE_TYPES:
            return None
        subscription = self._subscriptions.get(type_url)
        first = subscription is None
        if subscription is None:
            subscription = self._subscriptions[type_url] = _Subscription()
            runs, _, mark = request.version_info.partition(" ")
            if mark and runs == self.node.types[type_url].version:
                subscription.mark = mark
        elif request.response_nonce != subscription.nonce:
            return None  # about a response that has been overtaken; the proxy answers the later one, too
        answer = self._settle(subscription, request) if subscription.pending else None
        self._subscribe(subscription, request, repeated=answer is None and not first)
        return answer

    def due(self) -> list[DiscoveryResponse]:
        """The responses to send now; they count as sent."""
        responses = []
        for type_url in RESOURCE_TYPES:
            subscription = self._subscriptions.get(type_url)
            state = self.node.types[type_url]
            if subscription is None or not state.serial:
                continue
            response = self._respond(type_url, state, subscription)
            if response is not None:
                responses.append(response)
            else:
                self._refresh(state, subscription)
        return responses

    def _settle(self, subscription: _Subscription, request: DiscoveryRequest) -> TypeAnswer:
        subscription.pending = False
        refused = request.HasField("error_detail")
        error = request.error_detail.message if refused else ""
        state = self.node.types[request.type_url]
        if not refused:
            subscription.accepted.update(subscription.sent)
            self._refresh(state, subscription)
        else:
            subscription.mark = _new_mark()
            if state.serial == subscription.serial:
                state.answered(Acceptance.NACKED, error)
        acceptance = Acceptance.NACKED if refused else Acceptance.ACKED
        return TypeAnswer(self.node.name, request.type_url, subscription.version, acceptance, error)

    @staticmethod
    def _refresh(state: TypeState, subscription: _Subscription) -> None:
        """The type is accepted once the proxy runs every resource of it, those it asks for later included."""
        current = state.serial == subscription.serial and not subscription.pending
        if current and state.acceptance is Acceptance.PENDING:
            runs = all(subscription.accepted.get(name) == it.digest for name, it in state.resources.items())
            state.answered(Acceptance.ACKED if runs else Acceptance.PENDING)

    @staticmethod
    def _subscribe(subscription: _Subscription, request: DiscoveryRequest, *, repeated: bool) -> None:
        names = frozenset(request.resource_names)
        added = names - subscription.names
        for name in subscription.names - names:
            subscription.accepted.pop(name, None)
            subscription.wanted.discard(name)
        subscription.wanted |= added
        # A proxy that warms a changed cluster or listener asks again for the endpoints or routes it had.
        if repeated and not added and request.type_url in (ENDPOINTS, ROUTES):
            subscription.wanted |= names
        subscription.names = names

    def _respond(self, type_url: str, state: TypeState, subscription: _Subscription) -> DiscoveryResponse | None:
        changed = state.serial != subscription.serial
        subscription.serial = state.serial
        names = self._names_to_send(type_url, state, subscription, changed=changed)
        if not names and not (changed and type_url in WILDCARD_TYPES):
            return None
        subscription.wanted -= names
        subscription.sent = digests(state.resources, names)
        if type_url in WILDCARD_TYPES:
            subscription.accepted.clear()
        for name in names:
            subscription.accepted.pop(name, None)
        subscription.nonce = str(next(self._nonces))
        subscription.version = state.version
        subscription.pending = True
        state.answered(Acceptance.PENDING)
        resources = [state.resources[name].packed for name in sorted(names)]
        told = state.version
        if type_url == EXTENSIONS:
            resources = [marked(it, subscription.mark) for it in resources]
            told = f"{told} {subscription.mark}"
        return DiscoveryResponse(type_url=type_url, version_info=told, nonce=subscription.nonce, resources=resources)

    @staticmethod
    def _names_to_send(
        type_url: str, state: TypeState, subscription: _Subscription, *, changed: bool
    ) -> frozenset[str]:
        if type_url in WILDCARD_TYPES:
            return frozenset(state.resources) if changed else frozenset()
        names = set(subscription.wanted)
        if changed:
            names |= {
                name
                for name in subscription.names
                if name in state.resources and state.resources[name].digest != subscription.accepted.get(name)
            }
        return frozenset(names & state.resources.keys())
