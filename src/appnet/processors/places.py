"""Who belongs to which group of a cluster, and to none: what is the same for proxies and for programs."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from appnet.application.model import EdgeEnd
from appnet.processors.admission import Limits, TooManyError
from appnet.processors.processor import Acceptance, Caller, Group, NodeAnswer, Stranger
from appnet.system.address import Address

_MOST_GONE = 256
_REMEMBERED = 8
LINGER_SECONDS = 10.0
"""How long one that was cut off is waited for: the slower of Envoy's two gRPC clients takes 8 s, a library 5 s."""


class GroupNode(ABC):
    """`ClusterNode`, but for what it is offered."""

    def __init__(self, group: Group, proxy: str, caller: Caller, host: str) -> None:
        self.group, self.proxy, self.caller = group, proxy, caller
        self.address = Address(host, 0)
        self._since = 0.0
        self._earlier: deque[str] = deque(maxlen=_REMEMBERED)
        self._changed = asyncio.Event()

    @property
    def name(self) -> str:
        """The group's and its own."""
        return f"{self.group.name}/{self.proxy}"

    @property
    def processor(self) -> str:
        """What its group is of."""
        return self.group.processor

    @property
    def end(self) -> EdgeEnd:
        """That of its group."""
        return self.group.end

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it is connected."""

    def last_words(self) -> str:
        """Its log is elsewhere."""
        return "its log is in its pod"

    async def answer(self, version: str, timeout_seconds: float) -> NodeAnswer:
        """Waits until all of it has accepted the version, or something of it has refused, while it is connected."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while True:
                    changed = self._changed
                    found = self.stands(version)
                    if found.acceptance is not Acceptance.PENDING or not self.running:
                        return found
                    await changed.wait()
        return self.stands(version)

    @abstractmethod
    def stands(self, version: str) -> NodeAnswer:
        """How it stands to the version now."""

    def _stands_to_another(self, version: str) -> NodeAnswer:
        known = version in self._earlier
        return NodeAnswer(self.name, version, Acceptance.SUPERSEDED if known else Acceptance.PENDING)

    def _note(self) -> None:
        """Lets every ``answer`` look again."""
        self._changed.set()
        self._changed = asyncio.Event()


class Peer(Protocol):
    """One who is connected; ``chain``: what it wants; ``reason``: why it is served nothing, empty where it is."""

    caller: Caller
    reason: str
    since: float

    @property
    def chain(self) -> str: ...  # noqa: D102
    @property
    def proxy(self) -> str: ...  # noqa: D102


N = TypeVar("N", bound=GroupNode)
P = TypeVar("P", bound=Peer)


class GroupPlaces(Generic[N, P]):
    """The nodes of groups, those who left them, and the peers that are served nothing. ``arrived`` and ``left`` are as
    of `Mesh.delivery`; a node that was cut off is waited for ``linger`` seconds."""

    def __init__(self, arrived: Callable[[N], None], left: Callable[[N], None], limits: Limits, linger: float) -> None:
        self._arrived, self._left, self._limits, self._linger = arrived, left, limits, linger
        self._groups: dict[str, Group] | None = None
        self._nodes: dict[str, dict[str, N]] = {}
        self._gone: OrderedDict[str, N] = OrderedDict()
        self._strangers: dict[P, None] = {}
        self._strange: Counter[tuple[str, str]] = Counter()
        self._closed = False

    def nodes(self, group: str) -> Sequence[N]:
        """Those of a group, by name."""
        nodes = self._nodes.get(group, {})
        return [nodes[it] for it in sorted(nodes)]

    def gone(self, group: str) -> Sequence[N]:
        """The last few that left it."""
        return [it for it in self._gone.values() if it.group.name == group]

    def strangers(self) -> Sequence[Stranger]:
        """Connected peers that are served nothing."""
        found = [Stranger(it.caller, it.proxy, it.chain, it.reason, it.since) for it in self._strangers]
        return sorted(found, key=lambda it: (it.proxy, it.chain))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept of anybody, but for those who left."""
        return not (self._strangers or self._strange or self._nodes)

    def close(self) -> None:
        """From now on nobody is told of peers that leave."""
        self._closed = True

    # --- for those who place peers ---

    def _now_expects(self, groups: Sequence[Group]) -> None:
        self._groups = {it.name: it for it in groups}
        for name in [name for name, it in self._gone.items() if it.group.name not in self._groups]:
            del self._gone[name]

    def _forget_those_of_ended_groups(self) -> None:
        """Also nodes that are waited for."""
        ended = [nodes for name, nodes in self._nodes.items() if self._groups is not None and name not in self._groups]
        for node in [it for nodes in ended for it in nodes.values()]:
            self._forget(node)

    def _known(self, node: N) -> bool:
        """Keeps a node, with which somebody is connected; says whether it arrives."""
        known = self._nodes.setdefault(node.group.name, {})
        arrives = node.proxy not in known
        known[node.proxy] = node
        self._gone.pop(node.name, None)
        return arrives

    def _cut_off(self, node: N) -> None:
        """Waits for a node for a while, if nobody of it is connected any more."""
        if not node.running and not self._closed:
            asyncio.get_running_loop().call_later(self._linger, self._give_up, node)

    def _give_up(self, node: N) -> None:
        if not (self._closed or node.running) and self._nodes.get(node.group.name, {}).get(node.proxy) is node:
            self._forget(node)

    def _forget(self, node: N) -> None:
        nodes = self._nodes[node.group.name]
        del nodes[node.proxy]
        if not nodes:
            del self._nodes[node.group.name]
        if self._groups is not None and node.group.name in self._groups:
            self._gone[node.name] = node
            while len(self._gone) > _MOST_GONE:
                self._gone.popitem(last=False)
        self._left(node)

    def _set_stranger(self, peer: P, reason: str) -> None:
        """Notes why it is served nothing; empty: it is served."""
        peer.reason = reason
        account = peer.caller.namespace, peer.caller.service_account
        if reason and peer not in self._strangers:
            self._strangers[peer] = None
            self._strange[account] += 1
        elif not reason and peer in self._strangers:
            del self._strangers[peer]
            self._strange[account] -= 1
            if not self._strange[account]:
                del self._strange[account]

    def _check_room(self, peer: P) -> None:
        """Raises `TooManyError` where so many are served nothing that one more cannot wait."""
        account = peer.caller.namespace, peer.caller.service_account
        full = self._strange[account] > self._limits.account or len(self._strangers) > self._limits.strangers
        if peer.reason and full:
            raise TooManyError(peer.reason)
