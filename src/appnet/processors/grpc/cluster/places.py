"""Which process belongs to which groups, and which to none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from appnet.application.model import Side
from appnet.processors.admission import Limits, TooManyError
from appnet.processors.grpc.cluster.node import ProcessNode, Seat
from appnet.processors.grpc.versions import Signer, application_of, message_class
from appnet.processors.places import LINGER_SECONDS, GroupPlaces
from appnet.processors.processor import Caller, ClusterNode, Group
from appnet.system.address import Address

_LONGEST_NAME = 253


class Follower:
    """One end in a process: calls to ``service`` where it is the ``server``, else the calls that the service makes.

    ``running``: digests of what it runs, by node. ``over``: nodes that are no more, which it is still to be told, and
    since when.
    """

    def __init__(self, report: Any, caller: Caller, host: str, wake: asyncio.Event) -> None:
        name = caller.pod or report.host
        for what, text in (("its service", report.service), ("the machine that it is on", name)):
            if not text or len(text) > _LONGEST_NAME or not text.isprintable():
                raise ValueError(f"the process does not say what {what} is")
        self.service, self.server = report.service, report.server
        self.proxy = f"{name}.{caller.namespace}"
        self.caller, self.host, self.wake = caller, host, wake
        self.running = {it.node: it.digest for it in report.running}
        self.over: dict[str, int] = {}
        self.seats: dict[str, tuple[ProcessNode, Seat]] = {}
        self.reason = self.chain = ""
        self.since = time.time()

    def fits(self, group: Group) -> bool:
        """Whether it is at the group's end, whoever it is."""
        end = group.end
        same = (end.service, end.side is Side.SERVER) == (self.service, self.server)
        return same and group.namespace == self.caller.namespace

    def due(self, signer: Signer) -> Any | None:
        """The ``SignedVersion`` that it is to be sent now, if any; it counts as sent."""
        for name in list(self.over):
            made = self.over.pop(name)
            self.running.pop(name, None)
            ends = {"server": self.service} if self.server else {"client": self.service}
            version = message_class("Version")(
                id="none", node=name, at_server=self.server, application=application_of(name), **ends
            )
            return signer.signed(version, made)
        return next((it for node, seat in self.seats.values() if (it := node.due(seat)) is not None), None)

    def answered(self, report: Any) -> None:
        """It has answered what it was told of a node."""
        found = self.seats.get(report.node)
        if found is not None:
            node, seat = found
            node.answered(seat, report)
            if seat.runs:
                self.running[report.node] = seat.runs


class Places(GroupPlaces[ProcessNode, Follower]):
    """The groups, and the processes in them. ``records``: where their elements' records go."""

    def __init__(
        self,
        signer: Signer,
        arrived: Callable[[ClusterNode], None],
        left: Callable[[ClusterNode], None],
        limits: Limits,
        records: Address | None,
        linger: float = LINGER_SECONDS,
    ) -> None:
        super().__init__(arrived, left, limits, linger)
        self._signer, self._records = signer, records
        self._whole: Callable[[str], bool] = lambda _: False
        self._followers: list[Follower] = []

    def expect(self, groups: Sequence[Group], whole: Callable[[str], bool]) -> None:
        """All groups there are, and whether these are all that there can be in a namespace."""
        before, self._whole = dict(self._groups or {}), whole
        self._now_expects(groups)
        ended = before.keys() - {it.name for it in groups}
        for it in list(self._followers):
            self._place(it, ended)
        self._forget_those_of_ended_groups()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept of anybody, but for those who left."""
        return super().is_empty and not self._followers

    def enter(self, it: Follower) -> None:
        """A process follows. Raises `TooManyError` where so many are served nothing that this one cannot wait."""
        self._followers.append(it)
        self._place(it, ())
        try:
            self._check_room(it)
        except TooManyError:
            self.leave(it)
            raise

    def leave(self, it: Follower) -> None:
        """It follows no more. Its node is waited for, if this was the last of it."""
        self._followers.remove(it)
        self._tell_apart(it, "", "")
        for node, seat in it.seats.values():
            node.leave(seat)
            self._cut_off(node)
        it.seats.clear()

    def _place(self, it: Follower, ended: Iterable[str]) -> None:
        """Puts it into the groups that it belongs to now; ``ended``: those that are no more."""
        if self._groups is None:
            return
        near = [group for group in self._groups.values() if it.fits(group)]
        mine = {group.name: group for group in near if it.caller.service_account in group.accounts}
        for name in [name for name in it.seats if name not in mine]:
            self._unseat(it, name)
        for name, group in mine.items():
            if name in it.seats:
                it.seats[name][0].meets(group, it.host)
            elif (why := self._seat(it, group)) != "":
                self._tell_apart(it, why, group.chains[0])
                return
        it.over.update(dict.fromkeys(self._over(it, set(ended)), self._signer.now()))
        if it.over:
            it.wake.set()
        if mine:
            self._tell_apart(it, "", "")
        elif near:
            accounts = ", ".join(sorted(near[0].accounts)) or "nobody, for it has no pods"
            text = f"the processes of {it.service} run as {accounts}, not as {it.caller.service_account}"
            self._tell_apart(it, text, near[0].chains[0])
        else:
            calls = f"calls to {it.service}" if it.server else f"calls of {it.service}"
            text = f"no AppNetConfig in the namespace {it.caller.namespace} has elements in libraries for {calls}"
            self._tell_apart(it, text, "")

    def _over(self, it: Follower, ended: set[str]) -> Iterator[str]:
        """The nodes that it runs and that are no more: as far as they are known to be, for nothing may pass unjudged
        only because a control plane has just begun."""
        assert self._groups is not None
        namespace = it.caller.namespace
        for name in it.running:
            known = name in ended or self._whole(namespace)
            if name not in self._groups and name.startswith(f"{namespace}/") and known:
                yield name

    def _seat(self, it: Follower, group: Group) -> str:
        """Puts it into the group; says why it cannot be there."""
        node = self._nodes.get(group.name, {}).get(it.proxy)
        if node is None:
            node = ProcessNode(group, it.proxy, it.caller, it.host, self._signer, self._records)
        elif node.caller != it.caller:
            return f"another process of {it.proxy} is connected, as {node.caller.service_account}"
        arrives = self._known(node)
        node.meets(group, it.host)
        seat = Seat(it.wake, it.running.get(group.name, b""))
        it.seats[group.name] = node, seat
        node.join(seat)
        it.wake.set()
        if arrives:
            self._arrived(node)
        return ""

    def _unseat(self, it: Follower, name: str) -> None:
        node, seat = it.seats.pop(name)
        node.leave(seat)
        if not node.running:
            self._forget(node)

    def _tell_apart(self, it: Follower, reason: str, chain: str) -> None:
        """Notes why it is served nothing; empty: it is served."""
        it.chain = chain
        self._set_stranger(it, reason)
