"""Which version of an application its proxies run, and the way from one to the next: all at once, or canaries first."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from appnet.application.limits import seconds
from appnet.compile.pipeline import Version
from appnet.control.canary import half_changes
from appnet.deploy.kubernetes.operator.bring import Refused, bring, canaries, offer
from appnet.deploy.kubernetes.operator.world import Object
from appnet.deploy.kubernetes.rollouts import GONE_BACK, PROMOTE
from appnet.deploy.kubernetes.status_schema import MOST_HISTORY
from appnet.processors.processor import ClusterNode

_CANARY_SECONDS = 60.0
_MOST_KNOWN = 5


class ClusterRollout:
    """Brings versions to the ``nodes`` that there are.

    ``running`` is the version of all of them, but for canaries, which try ``candidate`` where there is one.
    ``refused``: what the last one came to that a proxy refused. ``past``: versions, when they became the running one,
    in seconds since the epoch, and why, the last first.
    """

    def __init__(self, nodes: Callable[[], Sequence[ClusterNode]]) -> None:
        self._nodes = nodes
        self.running: Version | None = None
        self.candidate: Version | None = None
        self.refused: Refused | None = None
        self.past: deque[tuple[str, float, str]] = deque(maxlen=MOST_HISTORY)
        self._known: deque[Version] = deque(maxlen=_MOST_KNOWN)
        self._canaries: set[str] = set()
        self._promote_at = 0.0

    def arrived(self, node: ClusterNode) -> Version | None:
        """Offers a proxy that connects what it is to run."""
        version = self.meant_for(node)
        if version is not None:
            offer(node, version)
        return version

    def meant_for(self, node: ClusterNode) -> Version | None:
        """The version that a proxy is to run."""
        return self.candidate if self.candidate is not None and node.proxy in self._canaries else self.running

    @property
    def versions(self) -> list[Version]:
        """Those that are known: the candidate, the running one, and the last few before it."""
        return [*([self.candidate] if self.candidate is not None else []), *self._known]

    @property
    def secrets(self) -> set[str]:
        """Those that have the passwords of stores, as what runs names them."""
        every = (
            it for version in (self.running, self.candidate) if version is not None for it in version.application.chains
        )
        return {it.chain.state.secret for it in every} - {""}

    @property
    def due(self) -> float | None:
        """When the canaries have tried their version for long enough, in seconds of the monotonic clock."""
        return self._promote_at if self.candidate is not None else None

    def told_canary(self) -> str:
        """What is tried where, for people; empty where nothing is."""
        if self.candidate is None:
            return ""
        return f"version {self.candidate.id} is tried on {len(self._canaries)} proxies"

    def begin(self, version: Version, why: str) -> None:
        """Makes it the running version, without waiting for anybody."""
        self.running, self.candidate, self._canaries = version, None, set()
        self._known.appendleft(version)
        self.past.appendleft((version.id, time.time(), why))

    def end(self) -> None:
        """Nothing runs any more."""
        self.running, self.candidate, self._canaries = None, None, set()

    def settled(self, version: Version, configurations: Iterable[Object]) -> bool:
        """Whether plans may follow traffic: the version runs everywhere, no other is tried, paused or was refused, and
        nobody went back to it."""
        return (
            self.running is not None
            and (self.running.id, self.candidate, self.refused) == (version.id, None, None)
            and not paused(configurations)
            and undo_of(configurations).partition("@")[0] != version.id
        )

    async def to(self, version: Version, configurations: Iterable[Object], why: str) -> None:
        """Goes towards the version as far as it may now, and notes ``why``; `due` says when it may go on."""
        assert self.running is not None
        written = list(configurations)
        wish: Object = next((it["spec"]["rollout"] for it in written if it["spec"].get("rollout")), {})
        if self.refused is not None and self.refused.version == version.id:
            return
        if version.id == self.running.id:
            await self._stay(version)
        elif wish.get("paused"):
            return
        elif self.candidate is not None and version.id == self.candidate.id:
            asked = any(it["metadata"].get("annotations", {}).get(PROMOTE) == version.id for it in written)
            if asked or time.monotonic() >= self._promote_at:
                await self._replace(version, "promoted" if asked else "canary passed")
        elif not await self._try(version, wish):
            await self._replace(version, why)

    async def _stay(self, version: Version) -> None:
        """What was tried is not wanted any more."""
        assert self.running is not None
        if self.candidate is not None:
            chosen = [it for it in self._nodes() if it.proxy in self._canaries]
            self.candidate, self._canaries = None, set()
            await bring(self.running, None, chosen)
        self.running = version

    async def _try(self, version: Version, wish: Object) -> bool:
        """Gives the version to canaries, if they are wanted, and can be: not where both ends of an edge change."""
        nodes = self._nodes()
        chosen = canaries(nodes, wish["canary"]) if wish.get("canary") else []
        assert self.running is not None
        if not chosen or list(half_changes(version, self.running, {it.name for it in chosen}, nodes)):
            return False
        self._canaries, self.candidate = {it.proxy for it in chosen}, version
        self._promote_at = time.monotonic() + seconds_of(wish.get("wait"), _CANARY_SECONDS)
        self.refused = await bring(version, self.running, chosen)
        if self.refused is not None:
            self.candidate, self._canaries = None, set()
        return True

    async def _replace(self, version: Version, why: str) -> None:
        before = self.running
        self.running = version  # for those that connect meanwhile
        self.refused = await bring(version, before, self._nodes())
        if self.refused is None:
            self.begin(version, why)
            return
        self.running, self.candidate, self._canaries = before, None, set()
        for it in self._nodes():
            self.arrived(it)


def paused(configurations: Iterable[Object]) -> bool:
    """Whether versions wait."""
    return any((it.get("spec", {}).get("rollout") or {}).get("paused") for it in configurations)


def undo_of(configurations: Iterable[Object]) -> str:
    """The last undo, as `GONE_BACK` has it; empty where there was none."""
    marks = (it["metadata"].get("annotations", {}) for it in configurations)
    return next((str(it[GONE_BACK]) for it in marks if GONE_BACK in it), "")


def seconds_of(written: object, usual: float) -> float:
    """The seconds of a time as AppNetConfigs have it, such as 30s or 5m; ``usual`` where there is none."""
    found = seconds(str(written)) if written is not None else None
    return usual if found is None else found
