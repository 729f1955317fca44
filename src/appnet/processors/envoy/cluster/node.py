"""A proxy in a group: what it is offered on all of its streams, and what it makes of that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse

from appnet.processors.artifact import Artifact
from appnet.processors.envoy.cluster.offers import Offer, Offers, Served
from appnet.processors.envoy.cluster.state import FilterStream
from appnet.processors.places import GroupNode
from appnet.processors.processor import Acceptance, Caller, Group, NodeAnswer
from appnet.system.address import Address


class Line:
    """A stream of a proxy, and what wakes its writer."""

    def __init__(self, state: FilterStream) -> None:
        self.state = state
        self.wake = asyncio.Event()


class ProxyNode(GroupNode):
    """`ClusterNode`, by Envoy. ``targets``: what it can load, the best first."""

    def __init__(
        self,
        group: Group,
        proxy: str,
        caller: Caller,
        host: str,
        targets: tuple[str, ...],
        why: str,
        offers: Offers,
    ) -> None:
        super().__init__(group, proxy, caller, host)
        self.targets, self.why = targets, why
        self._offers = offers
        self._offer: Offer | None = None
        self._lack = ""
        self._lines: dict[str, set[Line]] = {}
        self._ran: dict[str, str] = {}
        """What filters ran whose streams have ended; it counts while none is open."""

    @property
    def target(self) -> str:
        """The best that it can load."""
        return self.targets[0]

    @property
    def running(self) -> bool:
        """Whether a stream of it is open."""
        return bool(self._lines)

    def meets(self, group: Group, host: str, targets: tuple[str, ...], why: str) -> None:
        """What it is now, which changes when it starts anew, or its group does."""
        renewed = group != self.group
        self.group, self.address, self.targets, self.why = group, Address(host, 0), targets, why
        if self._offer is None:
            return
        if renewed:  # it is told the same in another way, such as a store's new password
            self._offer = self._offers.of(self._offer.version, self._offer.artifacts, group)
            for it in self._all_lines():
                it.wake.set()
        self._lack = self._offer.lack(targets)
        self._note()

    def join(self, line: Line) -> None:
        """A stream of it has begun."""
        self._ran.clear()
        self._lines.setdefault(line.state.name, set()).add(line)
        line.wake.set()
        self._note()

    def leave(self, line: Line) -> None:
        """A stream of it has ended, or is another node's now."""
        name = line.state.name
        self._ran[name] = line.state.runs
        lines = self._lines.get(name, set())
        lines.discard(line)
        if not lines:
            self._lines.pop(name, None)
        self._note()

    def offer(self, version: str, artifacts: Sequence[Artifact]) -> None:
        """Makes these all that it is to run; what it has refused of them it is sent once more."""
        if self._offer is not None and self._offer.version != version:
            self._earlier.append(self._offer.version)
        self._offer = self._offers.of(version, artifacts, self.group)
        self._lack = self._offer.lack(self.targets)
        self._since = time.time()
        for it in self._all_lines():
            it.state.again()
            it.wake.set()
        self._note()

    def due(self, line: Line) -> DiscoveryResponse | None:
        """What the stream is to be sent now; it counts as sent."""
        wanted = self._wanted(line.state.name)
        if wanted is None or self._offer is None:
            return None
        return line.state.due(wanted, self._offer.version, self.proxy)

    def is_due(self, line: Line) -> bool:
        """Whether there is something to be sent."""
        wanted = self._wanted(line.state.name)
        return wanted is not None and line.state.is_due(wanted)

    def answered(self, line: Line) -> None:
        """The stream has answered."""
        self._since = time.time()
        line.wake.set()
        self._note()

    def stands(self, version: str) -> NodeAnswer:
        """How it stands to the version now."""
        offer = self._offer
        if offer is None or offer.version != version:
            return self._stands_to_another(version)
        if self._lack:
            why = f" ({self.why})" if self.why else ""
            return NodeAnswer(self.name, version, Acceptance.NACKED, self._lack + why, self._since)
        refused = [error for name in self._names(offer) for error in self._errors(name)]
        if refused:
            return NodeAnswer(self.name, version, Acceptance.NACKED, "; ".join(dict.fromkeys(refused)), self._since)
        waits = sorted(name for name in self._names(offer) if not self._runs(name, offer))
        acceptance = Acceptance.PENDING if waits else Acceptance.ACKED
        unasked = [it for it in waits if it not in self._lines]
        told = f"it has not asked for {', '.join(unasked)}" if unasked else ""
        return NodeAnswer(self.name, version, acceptance, told, self._since)

    def _names(self, offer: Offer) -> frozenset[str]:
        """The filters that have to run: those of the version, and those that the proxy has besides."""
        return offer.names | self._lines.keys()

    def _errors(self, name: str) -> Iterator[str]:
        wanted = self._wanted(name)
        for it in self._lines.get(name, ()):
            if wanted is not None and it.state.refused == wanted.digest:
                yield it.state.error or f"{name} was refused without a reason"

    def _runs(self, name: str, offer: Offer) -> bool:
        digest = offer.served(name, self.targets).digest
        if not self._lines:
            return self._ran.get(name) == digest
        lines = self._lines.get(name, ())
        return bool(lines) and all(it.state.runs == digest and it.state.settled for it in lines)

    def _wanted(self, name: str) -> Served | None:
        if self._offer is None or self._lack:
            return None
        return self._offer.served(name, self.targets)

    def _all_lines(self) -> Iterator[Line]:
        for it in self._lines.values():
            yield from it
