"""The seam of processors that are services of their own: they run chains as engines, for programs that are running.

Nobody starts them, and nothing in them asks for a version. Engines are attached to a program's use of the service, its
subscription, and go on as it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from appnet.application.model import Side
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.processors.artifact import Artifact
from appnet.processors.processor import NodeAnswer
from appnet.system.address import Address


@dataclass(frozen=True)
class Finding:
    """Something that a checkout of the service has, or lacks: ``found`` is empty then, and ``remedy`` says what helps.

    ``optional``: it can be added later.
    """

    name: str
    found: str
    remedy: str
    optional: bool = False


@dataclass(frozen=True)
class Attached:
    """An engine of ours. ``facts``: what it reports, by name."""

    engine: int
    side: Side
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Subscribed:
    """A program's use of the service, by process and number, with the engines of ours, and the types of others' that
    somebody attached."""

    pid: int
    sid: int
    engines: tuple[Attached, ...]
    others: tuple[str, ...]


class Service(Protocol):
    """The running service of this machine. All of it raises `ProcessorError` with what went wrong."""

    def subscriptions(self) -> list[Subscribed]:
        """All that carry calls, and what our engines there report."""

    def attach(self, file: Path, pid: int, sid: int | None) -> NodeAnswer:
        """Has the program's subscription run a file of ours; ``sid``: which, where the program has several."""

    def upgrade(self, file: Path, pid: int, sid: int | None) -> NodeAnswer:
        """Replaces what the engine runs; its state goes on. Where it refuses, it runs on as it did."""

    def detach(self, pid: int, sid: int | None, side: Side | None) -> NodeAnswer:
        """Takes the engine away; ``side``: of which end, where the program is both."""


@runtime_checkable
class Managed(Protocol):
    """A processor that is such a service."""

    def problems(self, artifacts: Sequence[Artifact]) -> Iterable[Diagnostic]:
        """What keeps the artifacts from being run as engines."""

    def files(self, application: str, artifacts: Sequence[Artifact], records: Address | None) -> dict[str, bytes]:
        """What people attach them with, by paths in a folder; a path that ends with ``.sh`` is a program.

        ``records``: where elements' records go; None: they are dropped.
        """

    def findings(self, checkout: Path) -> list[Finding]:
        """What of a checkout of the service fits what AppNet expects."""

    def place(self, checkout: Path) -> list[Path]:
        """Adds what runs our engines to a checkout, and says what it has written. Raises `ProcessorError`."""

    def service(self, socket: Path | None, timeout_seconds: float) -> AbstractContextManager[Service]:
        """The service behind a control socket; None: where it is by default. Raises `ProcessorError`."""
