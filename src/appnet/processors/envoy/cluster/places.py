"""Which stream belongs to which proxy of which group, and which to none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse

from appnet.processors.admission import Limits, TooManyError
from appnet.processors.envoy.cluster.identity import Said, group_of
from appnet.processors.envoy.cluster.node import Line, ProxyNode
from appnet.processors.envoy.cluster.offers import Offers
from appnet.processors.envoy.cluster.state import FilterStream
from appnet.processors.places import LINGER_SECONDS, GroupPlaces
from appnet.processors.processor import Caller, ClusterNode, Group
from appnet.processors.signing import SigningKey


class Asking(Line):
    """A stream whose caller is known, from ``host``; ``reason``: why it is served nothing."""

    def __init__(self, state: FilterStream, said: Said, caller: Caller, host: str) -> None:
        super().__init__(state)
        self.said, self.caller, self.host = said, caller, host
        self.node: ProxyNode | None = None
        self.reason = ""
        self.since = time.time()

    @property
    def chain(self) -> str:
        """The name of the filter."""
        return self.state.name

    @property
    def proxy(self) -> str:
        """The name of the proxy."""
        return f"{self.said.name}.{self.caller.namespace}"

    def is_due(self) -> bool:
        """Whether there is something to be sent."""
        return self.node is not None and self.node.is_due(self)

    def due(self) -> DiscoveryResponse | None:
        """What is to be sent now; it counts as sent."""
        return None if self.node is None else self.node.due(self)

    def answered(self) -> None:
        """It has answered."""
        if self.node is not None:
            self.node.answered(self)


class Places(GroupPlaces[ProxyNode, Asking]):
    """The groups, and the streams among them. ``loader``: the one that native code needs."""

    def __init__(
        self,
        key: SigningKey,
        loader: str,
        arrived: Callable[[ClusterNode], None],
        left: Callable[[ClusterNode], None],
        limits: Limits,
        linger: float = LINGER_SECONDS,
    ) -> None:
        super().__init__(arrived, left, limits, linger)
        self._key, self._loader = key, loader
        self._by_chain: Mapping[str, Sequence[Group]] = {}
        self._offers: dict[str, Offers] = {}
        self._lines: set[Asking] = set()

    def expect(self, groups: Sequence[Group]) -> None:
        """All groups there are; streams whose groups have changed find their places anew."""
        known, before = self._groups is not None, self._by_chain
        self._now_expects(groups)
        by_chain: dict[str, list[Group]] = {}
        for group in groups:
            for chain in group.chains:
                by_chain.setdefault(chain, []).append(group)
        self._by_chain = by_chain
        names = (it.name for it in groups)
        self._offers = {name: self._offers.get(name, Offers(self._key)) for name in names}
        changed = {it for it in {*before, *by_chain} if before.get(it) != by_chain.get(it)}
        for line in list(self._lines):
            if not known or line.state.name in changed:
                self._place(line)
        self._forget_those_of_ended_groups()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept of anybody, but for those who left."""
        return super().is_empty and not self._lines

    def enter(self, line: Asking) -> None:
        """A stream has begun. Raises `TooManyError` where so many are served nothing that this one cannot wait."""
        self._place(line)
        try:
            self._check_room(line)
        except TooManyError:
            self._set_stranger(line, "")
            raise
        self._lines.add(line)

    def leave(self, line: Asking) -> None:
        """It has ended. Its proxy is waited for, if this was its last."""
        self._lines.discard(line)
        self._set_stranger(line, "")
        node, line.node = line.node, None
        if node is not None:
            node.leave(line)
            self._cut_off(node)

    def _place(self, line: Asking) -> None:
        """Puts the stream into the group that it belongs to now."""
        if self._groups is None:
            return
        group = group_of(line.said, line.caller, line.state.name, self._by_chain.get(line.state.name, ()))
        if isinstance(group, str):
            self._move(line, None, group)
            return
        targets, why = line.said.targets(self._loader)
        node = self._nodes.get(group.name, {}).get(line.proxy)
        if node is None:
            offers = self._offers[group.name]
            node = ProxyNode(group, line.proxy, line.caller, line.host, targets, why, offers)
        elif node.caller != line.caller:
            self._move(line, None, f"another proxy of this name is connected, as {node.caller.service_account}")
            return
        node.meets(group, line.host, targets, why)
        self._move(line, node, "")

    def _move(self, line: Asking, node: ProxyNode | None, reason: str) -> None:
        """From where it is to the node, or among those that are served nothing for a reason."""
        self._set_stranger(line, reason)
        before, line.node = line.node, node
        if before is node:
            return
        if before is not None:
            before.leave(line)
            if not before.running:
                self._forget(before)
        if node is not None:
            arrives = self._known(node)
            node.join(line)
            if arrives:
                self._arrived(node)
