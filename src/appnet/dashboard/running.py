"""The seam: what the dashboard asks of whoever runs applications, on one machine or in a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from appnet.compile.pipeline import Version
from appnet.optimize.explain import Explanation, explain
from appnet.processors.processor import Node


class EdgeKey(NamedTuple):
    """An edge of any application. ``namespace``: of the cluster; empty outside of clusters."""

    namespace: str
    client: str
    server: str

    @classmethod
    def told(cls, client: str, server: str, processor: str) -> EdgeKey:
        """As telemetry tells of it. ``processor``: NAME.NAMESPACE in a cluster, else empty."""
        _, dot, namespace = processor.rpartition(".")
        return cls(namespace if dot else "", client, server)

    def __str__(self) -> str:
        where = f"{self.namespace}: " if self.namespace else ""
        return f"{where}{self.client or '?'} → {self.server or '?'}"


@dataclass(frozen=True)
class Past:
    """A version that ran; ``when``: from or until when and why, in words."""

    version: str
    when: str


@dataclass(frozen=True)
class Running:
    """An application as it runs.

    ``running``: the version of all ``nodes`` but for canaries, which try the ``candidate``, if there is one; None: no
    version runs yet. ``known``: also the last few before. ``nodes``: each with the version that it is to run. ``past``:
    versions before, the last first.
    ``note``: what else there is to say of the rollout. ``commands``: of `appnetctl rollout`, that change it.
    ``actions``: what the dashboard can do of it, by a word; each says what came of it, or raises `RolloutError`.
    """

    name: str
    namespace: str
    running: Version | None
    candidate: Version | None
    known: Sequence[Version]
    nodes: Sequence[tuple[Node, Version | None]]
    past: Sequence[Past]
    note: str
    commands: Sequence[str]
    actions: Mapping[str, Callable[[], Awaitable[str]]] = field(default_factory=dict)

    @property
    def named(self) -> str:
        """Its name, which is unique in its namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def edges(self) -> list[EdgeKey]:
        """Those of its graph."""
        if self.running is None:
            return []
        every = self.running.application.application.edges
        return [EdgeKey(self.namespace, client.value, server.value) for client, server in every]

    @property
    def versions(self) -> list[Version]:
        """Those that nodes are to run."""
        return [it for it in (self.running, self.candidate) if it is not None]


_MOST_KNOWN = 1_000
Applications = Callable[[], Iterable[Running]]


class Explanations:
    """Why the plans of versions are as they are, found out once for each chain."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Version, Explanation]] = {}

    def keep(self, versions: Iterable[Version]) -> None:
        """Forgets those of all other versions."""
        kept = set(map(id, versions))
        self._known = {key: it for key, it in self._known.items() if id(it[0]) in kept}

    def of(self, version: Version, number: int) -> Explanation:
        """That of the chain of this number."""
        key = version.id, number
        found = self._known.get(key)
        if found is None or found[0] is not version:
            found = self._known[key] = version, explain(version.plans[number])
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return found[1]
