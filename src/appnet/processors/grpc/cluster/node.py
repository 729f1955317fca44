"""A pod's processes in a group: what they are offered, and what they make of that."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appnet.processors.artifact import Artifact
from appnet.processors.grpc.versions import Signer, application_of, told
from appnet.processors.places import GroupNode
from appnet.processors.processor import Acceptance, Caller, Group, NodeAnswer, NodeSettings
from appnet.processors.stores import lacking_password, store_in_group
from appnet.system.address import Address

_MOST_TOLD = 4_000


class Seat:
    """One process in a node. ``runs`` and ``refused`` are digests of versions; one is ``sent`` at a time.

    What it has refused is not sent again before it is offered again. ``wake`` wakes whoever writes to the process.
    """

    def __init__(self, wake: asyncio.Event, runs: bytes = b"") -> None:
        self.wake, self.runs = wake, runs
        self.refused = self.sent = b""
        self.version = self.error = ""
        """The version that is sent, and what was wrong with the one that is refused."""

    def is_due(self, wanted: bytes) -> bool:
        """Whether the process is to be told this version."""
        return not self.sent and wanted not in (b"", self.runs, self.refused)

    def answered(self, *, accepted: bool, error: str) -> None:
        """The process has answered what it was sent."""
        if accepted:
            self.runs, self.refused, self.error = self.sent, b"", ""
        else:
            self.refused, self.error = self.sent, error[:_MOST_TOLD]
        self.sent = b""


class ProcessNode(GroupNode):
    """`ClusterNode`, by libraries: the processes of one pod that are at one end of an edge."""

    target = "library"
    why = ""

    def __init__(
        self, group: Group, proxy: str, caller: Caller, host: str, signer: Signer, records: Address | None
    ) -> None:
        super().__init__(group, proxy, caller, host)
        self._signer, self._records = signer, records
        self._version, self._artifacts = "", tuple[Artifact, ...]()
        self._digest, self._lack = b"", ""
        self._made = 0
        self._seats: list[Seat] = []
        self._ran = b""
        """What the last of them ran; it counts while there is none."""

    @property
    def running(self) -> bool:
        """Whether a process of it follows."""
        return bool(self._seats)

    def meets(self, group: Group, host: str) -> None:
        """What its group is now, and where its processes call from."""
        renewed = group.passwords != self.group.passwords
        self.group, self.address = group, Address(host, 0)
        if renewed and self._version:
            self.offer(self._version, self._artifacts)

    def join(self, seat: Seat) -> None:
        """A process has come."""
        self._seats.append(seat)
        self._note()

    def leave(self, seat: Seat) -> None:
        """It has gone, or is no longer of the group."""
        self._seats.remove(seat)
        self._ran = seat.runs
        self._note()

    def offer(self, version: str, artifacts: Sequence[Artifact]) -> None:
        """Makes these all that its processes are to run; what they have refused of them they are sent once more."""
        if self._version not in ("", version):
            self._earlier.append(self._version)
        self._version, self._artifacts = version, tuple(artifacts)
        self._lack = lacking_password(artifacts, self.group)
        self._made = self._signer.now()
        encoded = b"" if self._lack else self._told().SerializeToString(deterministic=True)
        self._digest, self._since = encoded and hashlib.sha256(encoded).digest(), time.time()
        for it in self._seats:
            it.refused, it.error = b"", ""
            it.wake.set()
        self._note()

    def due(self, seat: Seat) -> Any | None:
        """The ``SignedVersion`` that the process is to be sent now; it counts as sent. It is made when it is sent, so
        that nothing of the size of the code is kept."""
        if not seat.is_due(self._digest):
            return None
        seat.sent, seat.version = self._digest, self._version
        return self._signer.signed(self._told(), self._made)

    def answered(self, seat: Seat, report: Any) -> None:
        """The process has answered what it was sent."""
        if seat.sent and report.version == seat.version:
            seat.answered(accepted=report.accepted, error=report.error)
            self._since = time.time()
            seat.wake.set()
            self._note()

    def stands(self, version: str) -> NodeAnswer:
        """How it stands to the version now."""
        if version != self._version:
            return self._stands_to_another(version)
        if self._lack:
            return NodeAnswer(self.name, version, Acceptance.NACKED, self._lack, self._since)
        refused = [it.error or "without a reason" for it in self._seats if it.refused == self._digest]
        if refused:
            error = "; ".join(dict.fromkeys(refused))
            return NodeAnswer(self.name, version, Acceptance.NACKED, error, self._since)
        runs = [it.runs for it in self._seats] or [self._ran]
        acceptance = Acceptance.ACKED if set(runs) == {self._digest} else Acceptance.PENDING
        return NodeAnswer(self.name, version, acceptance, since=self._since)

    def _told(self) -> Any:
        # Libraries know a node by its group, whichever pod they are in; records are by pod.
        settings = NodeSettings(
            self.group.name, self.end, (), Path(), self._records, application=application_of(self.group.name)
        )
        group = self.group
        return told(settings, self._version, self._artifacts, self.proxy, store_of=lambda it: store_in_group(it, group))
