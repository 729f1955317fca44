"""The seam: what AppNet asks of whatever carries chains, be it a proxy, a library or a service.

A processor is a folder beside this file and one line in `registry`. Compiling, rolling out, trying and pricing know it
by these types alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from appnet.application.manifest import Service
from appnet.application.model import EdgeEnd
from appnet.codegen.c.printer import Code
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.diagnostics.place import Source
from appnet.ir.needs import Capability
from appnet.measure.solve import Effort
from appnet.optimize.cost import CostModel
from appnet.processors.artifact import Artifact
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ClientTls, ServerTls


class ProcessorError(Exception):
    """A processor did not start, ended, or did not do in time what it was asked."""


# --- what it is ---


@dataclass(frozen=True)
class Target:
    """Something that a processor loads code as.

    ``suffix``: of its files. ``gives``: what elements get there; ``alone``: where the processor has a single worker.
    ``ends_begun``: whether a call whose response has begun can still end with an element's status. ``sets_empty``:
    whether metadata can be set to the empty text.
    """

    name: str
    suffix: str
    gives: Capability
    alone: Capability
    ends_begun: bool = True
    sets_empty: bool = True


@dataclass(frozen=True)
class Requirement:
    """Something that has to be installed. ``find`` gives its version, or None where it is missing."""

    name: str
    find: Callable[[], str | None]
    remedy: str


# --- a node: a processor that runs beside a service ---


@dataclass(frozen=True)
class NodeSettings:
    """``name`` is the node's own, ``upstream`` the hosts that its calls leave to, in the order of their numbers.

    ``folder`` receives its files and log; ``records`` is where elements' records go, as OTLP over HTTP; None: they are
    dropped. ``bind``: where it takes calls; port 0 is a free one. ``chains``: the names of all artifacts that it may be
    given, in request order.
    """

    name: str
    end: EdgeEnd
    upstream: tuple[Address, ...]
    folder: Path
    records: Address | None
    workers: int = 1
    bind: Address = ANY_LOCAL_PORT
    chains: tuple[str, ...] = ()


class Acceptance(Enum):
    """How a node stands to a version."""

    PENDING = "pending"
    ACKED = "acked"
    NACKED = "nacked"
    SUPERSEDED = "superseded"
    """A later version of everything in it was offered before the node had answered."""


@dataclass(frozen=True)
class NodeAnswer:
    """A node's answer to a version; ``error`` is the processor's own text where it refused.

    ``since``: when it was last offered something of the version, or answered, in seconds since the epoch; 0: never.
    """

    node: str
    version: str
    acceptance: Acceptance
    error: str = ""
    since: float = 0.0


class Node(Protocol):
    """A processor beside a service."""

    @property
    def name(self) -> str:
        """Its own, among all nodes of an application."""

    @property
    def processor(self) -> str:
        """What it is, by the name that configurations use."""

    @property
    def end(self) -> EdgeEnd:
        """The service that it stands beside, and the edge whose calls pass it there."""

    @property
    def address(self) -> Address:
        """Where it takes calls."""

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""

    def last_words(self) -> str:
        """The end of its log."""

    def offer(self, version: str, artifacts: Sequence[Artifact]) -> None:
        """Makes these, in request order, all that it is to run, code included.

        Elements that go on keep their state: see "Through upgrades" in docs/language.md.
        """

    async def answer(self, version: str, timeout_seconds: float) -> NodeAnswer:
        """Waits until it has accepted or refused the version; `Acceptance.PENDING` after the timeout."""


@dataclass(frozen=True)
class Bootstrap:
    """The file that a processor is started with, the variables that it needs besides, and a command that starts it."""

    text: str
    environment: Mapping[str, str]
    command: str


@dataclass(frozen=True)
class Pieces:
    """What a processor that has a configuration of its own needs, so that it runs a node's chains: for ``node``, beside
    ``service``. See `NodeSettings.chains`; ``max_message``: the longest message in bytes that they read."""

    node: str
    service: str
    chains: tuple[str, ...]
    max_message: int


@dataclass(frozen=True)
class Container:
    """A container that a processor runs in, with all that it will ever run. ``files``: by their paths in it."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    files: Mapping[str, bytes]


class Nodes(Protocol):
    """Makes nodes, which end with the context that it came from."""

    def strangers(self) -> frozenset[str]:
        """Names that have connected and are no node's: they are served nothing."""

    async def start(self, settings: NodeSettings, version: str, artifacts: Sequence[Artifact]) -> Node:
        """A node that judges calls by the version. Raises `ProcessorError` with what it said."""


# --- a driver: a module without a processor around it ---


@dataclass(frozen=True)
class Delivered:
    """The message went on, as these bytes and with this metadata.

    ``host``: the number of the host that was chosen for it; ``wait_ms``: the milliseconds it was delayed by.
    """

    message: bytes
    metadata: Mapping[str, bytes]
    host: int | None = None
    wait_ms: int = 0


@dataclass(frozen=True)
class Denied:
    """The caller got this status, and this metadata with it."""

    code: int
    text: bytes
    metadata: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Substituted:
    """The caller got this message, which the chain made, with this metadata before and after it."""

    message: bytes
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    trailers: Mapping[str, bytes] = field(default_factory=dict)


Judgement = Delivered | Denied | Substituted


class Driver(Protocol):
    """One instance of an artifact, given messages one by one. ``now_ns`` is its clock and may be set at any time.

    Calls are told apart by names of the caller's choice. An answer or a response ends a call.
    """

    now_ns: int

    def request(self, call: str, method: str, metadata: Mapping[str, bytes], message: bytes) -> Judgement:
        """What becomes of the request of a new call; ``method`` is its full name."""

    def response(self, call: str, metadata: Mapping[str, bytes], message: bytes, status: int) -> Judgement:
        """What becomes of its response; there is no message where ``status`` is an error."""

    def end(self, call: str) -> None:
        """The call was cut off."""

    def state(self) -> str:
        """All state, as `appnet.interpret.dump` writes it."""

    def records(self) -> list[tuple[str, Any]]:
        """What was recorded since the last time: ("ELEMENT.VARIABLE", value); pairs are tuples."""


class ForeignCaptureError(DiagnosticError):
    """A file is none that the processor captured."""


@dataclass(frozen=True)
class CapturedMessage:
    """A request or a response as a processor captured it; ``at_ns``: when, 0 where that was not recorded."""

    at_ns: int
    metadata: Mapping[str, bytes]
    message: bytes
    status: int = 0


@dataclass(frozen=True)
class CapturedCall:
    """``name`` says where it was found."""

    source: Source
    name: str
    request: CapturedMessage
    response: CapturedMessage | None


# --- what a cluster is told ---

Object = dict[str, Any]
"""A Kubernetes object, or a part of one."""


class ClusterObjects(Protocol):
    """What gives a cluster's processors their artifacts: plain Kubernetes objects."""

    name: str
    """Of what they set up, as messages have it."""
    preparation: str
    """What people do to a cluster before they apply the objects, in Markdown."""
    kinds: Sequence[str]
    """What `chain` makes, as kubectl names resources."""
    cannot_say: Capability
    """What these objects cannot ask of a processor, though it gives that where AppNet starts it."""

    def problems(self, artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterable[Diagnostic]:
        """What stands in the way of these artifacts in a cluster with these services."""

    def shared(
        self, namespace: str, artifacts: Sequence[Artifact], collector: Address | None
    ) -> Iterator[tuple[str, Object]]:
        """What a namespace needs once, each object with the name of its file, which tells its turn.

        ``collector``: where elements' records go.
        """

    def chain(
        self, artifacts: Sequence[Artifact], name: str, service: Service, server: Service, namespace: str, hosts: int
    ) -> Object:
        """The object that has the pods of ``service`` run the artifacts on calls to ``server``'s ``hosts``."""

    def set_up(self, template: Object, artifacts: Sequence[Artifact]) -> None:
        """Has the pods of a template run these artifacts."""


# --- the processor ---


class Processor(Protocol):
    """Something that carries chains."""

    name: str
    """As configurations have it."""
    targets: Mapping[str, Target]
    """By name; the first is the one to take where nobody says."""
    parts: Sequence[Requirement]

    @property
    def prices(self) -> CostModel:
        """What RPCs cost in it, by target, on the machine that the model names."""

    def build(self, code: Code, target: str) -> bytes:
        """The code as the processor loads it. Raises `InternalError` with the compiler's text."""

    def drive(self, binary: bytes, target: str, *, seed: int, hosts: int, now_ns: int) -> Driver:
        """An instance of what was built."""

    def nodes(self) -> AbstractAsyncContextManager[Nodes]:
        """What starts its nodes on this machine, and tells them their versions."""

    def awaited(self, control: Address, tls: ServerTls | None) -> AbstractAsyncContextManager[Nodes]:
        """Configures nodes that others start: they ask at ``control``, by TLS or without.

        Such a node is running while it is connected. Raises OSError where the address cannot be had.
        """

    def bootstrap(
        self, node: str, service: str, control: Address, records: Address, admin: Address, tls: ClientTls | None
    ) -> Bootstrap:
        """What somebody starts such a node with."""

    def pieces(self, pieces: Pieces, control: Address, records: Address, tls: ClientTls | None) -> Bootstrap:
        """What somebody adds to the configuration of a processor that runs already, as YAML."""

    def container(self, settings: NodeSettings, artifacts: Sequence[Artifact]) -> Container:
        """A node that nobody configures later, with its files in ``settings.folder`` of the container."""

    def objects(self) -> ClusterObjects:
        """What a cluster is told."""

    def captured(self, file: Source, method: str) -> Iterator[CapturedCall]:
        """The calls of the method in a file that it captured.

        Raises `ForeignCaptureError` for a file that is none of its captures, and `DiagnosticError` for calls that
        cannot be read.
        """

    async def calibrate(self, effort: Effort, progress: Callable[[str], None]) -> CostModel:
        """What RPCs cost in it here. Raises `ProcessorError` or `CalibrationError` where that cannot be measured."""
