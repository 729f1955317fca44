"""The seam: what AppNet asks of whatever carries chains, be it a proxy, a library or a service.

A processor is a folder beside this file and one line in `registry`. Compiling, rolling out, trying and pricing know it
by these types alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from appnet.application.load import LoadedChain
from appnet.application.manifest import Service
from appnet.application.model import EdgeEnd, Side
from appnet.codegen.c.printer import Code
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.diagnostics.place import Source
from appnet.ir.needs import Capability
from appnet.measure.solve import Effort
from appnet.optimize.cost import CostModel
from appnet.processors.artifact import Artifact
from appnet.processors.signing import SigningKey
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ClientTls, ServerTls


class ProcessorError(Exception):
    """A processor did not start, ended, or did not do in time what it was asked."""


# --- what it is ---


@dataclass(frozen=True)
class Target:
    """Something that a processor loads code as.

    ``suffix``: of its files. ``gives``: what elements get there; ``alone``: where the processor has a single worker.
    ``not_at``: what a side does not give all the same. ``inside``: it is loaded into the service's own program.
    ``ends_begun``: whether a call whose response has begun can still end with an element's status. ``sets_empty``:
    whether metadata can be set to the empty text. ``one_denial``: callers of refused calls get neither text nor code.
    ``borrowed``: its code is another target's, and nothing else is tried. ``asks``: what needs a gateway to stores.
    """

    name: str
    suffix: str
    gives: Capability
    alone: Capability
    inside: bool = False
    ends_begun: bool = True
    sets_empty: bool = True
    one_denial: bool = False
    borrowed: bool = False
    not_at: Mapping[Side, Capability] = field(default_factory=dict)
    asks: Capability = frozenset()


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
    given, in request order. ``instance``: of its service, as the program is told by $APPNET_NODE. ``application``: what
    it is part of, and ``processor``: whose node it is, by name; empty where nobody asks. ``gateway``: the secret of the
    gateway to stores; empty: there is none.
    """

    name: str
    end: EdgeEnd
    upstream: tuple[Address, ...]
    folder: Path
    records: Address | None
    workers: int = 1
    bind: Address = ANY_LOCAL_PORT
    chains: tuple[str, ...] = ()
    instance: str = ""
    application: str = ""
    gateway: bytes = field(default=b"", repr=False)
    processor: str = ""


class Acceptance(Enum):
    """How a node stands to a version."""

    PENDING = "pending"
    ACKED = "acked"
    NACKED = "nacked"
    SUPERSEDED = "superseded"
    """A later version of everything in it was offered before the node had answered."""


@dataclass(frozen=True)
class NodeAnswer:
    """A node's answer to a version; ``error`` is the processor's own text where it refused, or what is waited for.

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


@dataclass(frozen=True)
class Contact:
    """How a node reaches the control plane that it asks: where, by ``tls`` or without (records go the same way), and
    with the ``token`` in a file, if it has to show one."""

    address: Address
    tls: ClientTls | None = None
    token: Path | None = None


@runtime_checkable
class Followed(Protocol):
    """Nodes of a processor that is inside of programs (`Target.inside`): these follow a control plane."""

    @property
    def control(self) -> Address:
        """Where that is."""


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


@dataclass(frozen=True)
class Sharer:
    """How a driven instance shares state: by a name of its own.

    ``ask`` has the store's script run on the strong state of an element, or on its weak variable of the second name,
    and gives its answer; None while the store is away. Without arguments it only says whether the store is there.
    """

    name: bytes
    ask: Callable[[str, str, list[bytes]], bytes | None]


class SharingDriver(Driver, Protocol):
    """One that shares state."""

    def settle(self) -> None:
        """The store left or came back: what waited for that happens."""

    def merge(self) -> None:
        """Merges the instance's weak state with that of others, if the store is there."""

    def leave(self) -> None:
        """The instance ends: its calls are cut off, and it tells the store."""


@runtime_checkable
class SharesWhenDriven(Protocol):
    """A processor whose driven instances share state, on targets that give `Need.SHARED_STATE` or
    `Need.MERGED_STATE`."""

    def drive_sharing(
        self, binary: bytes, target: str, sharer: Sharer, *, seed: int, hosts: int, now_ns: int
    ) -> SharingDriver:
        """As `Processor.drive`, for one of several instances."""


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


@dataclass(frozen=True)
class ControlPlane:
    """Where a cluster's processors ask for what they are to run.

    ``root_certificate``: of the authority that signed its certificate, as PEM. ``trusted_keys``: the public keys of
    those who may sign native modules, as the loader's environment has them.
    """

    address: Address
    root_certificate: str
    trusted_keys: str


@dataclass(frozen=True)
class Proxies:
    """The pods in whose processors chains run: of these ``labels``, in a namespace.

    ``accounts``: the service accounts that they run as; none: those that their templates say.
    """

    namespace: str
    labels: Mapping[str, str]
    accounts: frozenset[str] = frozenset()


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

    def proxies(self, service: Service) -> Proxies:
        """Those that run what stands beside the service. Objects are in their namespace."""

    def problems(self, artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterable[Diagnostic]:
        """What stands in the way of these artifacts in a cluster with these services."""

    def shared(
        self,
        namespace: str,
        artifacts: Sequence[Artifact],
        services: Mapping[str, Service],
        collector: Address | None,
        control: ControlPlane | None = None,
    ) -> Iterator[tuple[str, Object]]:
        """What a namespace needs once, each object with the name of its file, which tells its turn.

        ``services``: all of the application. ``collector``: where elements' records go. ``control``: as in `set_up`.
        """

    def chain(
        self, artifacts: Sequence[Artifact], name: str, service: Service, server: Service, namespace: str, hosts: int
    ) -> Object:
        """The object that has the pods of ``service`` run the artifacts on calls to ``server``'s ``hosts``."""

    def set_up(self, template: Object, artifacts: Sequence[Artifact], control: ControlPlane | None = None) -> None:
        """Has the pods of a template run these artifacts. ``control``: who brings them; None: `chain` does."""


# --- in a cluster ---


@dataclass(frozen=True)
class Caller:
    """Who a proxy has proved to be. ``pod``: its name, where the proof tells it."""

    namespace: str
    service_account: str
    pod: str = ""


AUDIENCE = "appnet-controller"
"""Of the tokens that programs show to a cluster's control plane; they prove nothing to the API server itself."""

Authenticate = Callable[[str | None, str | None], Awaitable[Caller | None]]
"""Who shows a bearer token, and the SPIFFE URI of a client certificate that was verified; None for nobody.

Who is somebody is taken for the same for a short time, without being asked about again.
"""


@dataclass(frozen=True)
class Group:
    """The processors at one end of an application's edge.

    ``name`` is unique among all groups, and begins with NAMESPACE/APPNAME/. ``processor``: what they are. ``labels``
    are those of its pods, which run as one of the service ``accounts``: a proxy of another identity gets nothing.
    ``chains``: the names of all artifacts that they may be given, in request order. ``hosts``: how many the called
    service has. ``passwords``: of stores, by the Secrets of the namespace that have them.
    """

    name: str
    namespace: str
    processor: str
    end: EdgeEnd
    labels: Mapping[str, str]
    accounts: frozenset[str]
    chains: tuple[str, ...]
    hosts: int
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def application(self) -> str:
        """What shared state in a store belongs to, NAMESPACE.APPNAME: one store may serve several namespaces."""
        return ".".join(self.name.split("/")[:2])


class ClusterNode(Node, Protocol):
    """A proxy in a group, connected or lately so. One in several groups is a node in each.

    Its ``name`` is the group's and the proxy's; its ``address`` is where it connects from, of port 0. What it is
    offered is what it can load: an artifact, or the first of `Artifact.others` that it can. Where there is none, it
    refuses the version and keeps what it has. Nobody waits for the answer of one that is not connected.
    """

    @property
    def group(self) -> Group:
        """The group that it is in."""

    @property
    def proxy(self) -> str:
        """The proxy's name, POD.NAMESPACE, as records of elements have it."""

    @property
    def caller(self) -> Caller:
        """Who it has proved to be."""

    @property
    def target(self) -> str:
        """The name of the best target that it can load."""

    @property
    def why(self) -> str:
        """Why it can load no better one; empty where there is none."""


@dataclass(frozen=True)
class Stranger:
    """A connected proxy that is served nothing: who it is, what it says its name is, the filter that it wants, why it
    does not get it, and since when it waits, in seconds since the epoch."""

    caller: Caller
    proxy: str
    chain: str
    reason: str
    since: float


class Delivery(Protocol):
    """Brings versions to the proxies of a cluster, or to programs that carry chains themselves, as they connect."""

    @property
    def address(self) -> Address:
        """Where they reach it."""

    def expect(self, groups: Sequence[Group], whole: Callable[[str], bool] | None = None) -> None:
        """All groups there are. A proxy that several of one chain fit is in the first.

        Proxies of a group that is no longer named keep what they run, and are served nothing more: whoever has them ask
        takes that away. Where nobody else does, processors are told to run nothing of it; also of groups that they
        come with, if these are the ``whole`` of a namespace, as far as that is known.
        """

    def nodes(self, group: str) -> Sequence[ClusterNode]:
        """Those of a group, by name: the connected ones, and those that were cut off within the last seconds."""

    def gone(self, group: str) -> Sequence[ClusterNode]:
        """The last few that left it, with their last answers."""

    def strangers(self) -> Sequence[Stranger]:
        """Connected proxies that are served nothing."""


@dataclass(frozen=True)
class Entry:
    """Where processors ask a control plane for chains: those that stand beside ``service``, or in it, on one side of
    calls to ``server``.

    ``names``: of the artifacts that they may be given, in request order. ``name`` and ``namespace`` are those of the
    object that has them ask. ``closed``: calls of the chain's methods are refused for as long as a processor has been
    given nothing.
    """

    chain: LoadedChain
    side: Side
    names: Sequence[str]
    name: str
    service: Service
    server: Service
    namespace: str
    closed: bool = True


@dataclass(frozen=True)
class Serving:
    """How a control plane serves the processors of a cluster: at ``bind``, by ``tls`` or without. With
    ``tls.client_ca`` each has to show a certificate.

    ``arrived`` is told of a node as it connects, before it is served anything: what it is offered then is the first
    that it gets. ``left``: when it has not come back for a while, or its group is gone. ``key`` signs native code.
    ``records``: where records go of those that no object tells.
    """

    bind: Address
    tls: ServerTls | None
    authenticate: Authenticate
    arrived: Callable[[ClusterNode], None]
    left: Callable[[ClusterNode], None]
    key: SigningKey
    records: Address | None = None


class Mesh(Protocol):
    """A cluster's processors that ask a control plane for what they are to run."""

    protocol: str
    """By which they ask; one `Delivery` serves all that ask by the same."""
    beside: bool
    """Whether they stand beside programs, so that pods may lack them, and objects of the cluster have them ask."""
    can_say: Capability
    """What a control plane asks of them, though objects cannot: see `ClusterObjects.cannot_say`."""

    def entry(self, entry: Entry, control: ControlPlane) -> Object | None:
        """The object that has pods ask the control plane for what they run; None where they ask by themselves. It stays
        the same whatever chains they are given."""

    def native(self, namespace: str, control: ControlPlane) -> Iterator[Object]:
        """What gives the processors of a namespace the means to run native modules of this control plane: objects, and
        last what a pod template has for it, without a kind. A container without a name in it is the program's."""

    def delivery(self, serving: Serving) -> AbstractAsyncContextManager[Delivery]:
        """Serves the processors of a cluster. Raises OSError where the address cannot be had."""


# --- the processor ---


class Processor(Protocol):
    """Something that carries chains."""

    name: str
    """As configurations have it."""
    control: str
    """The kind of control plane that its nodes ask: one is for the nodes of all processors of that kind."""
    targets: Mapping[str, Target]
    """By name; the first is the one to take where nobody says."""
    sides: Sequence[Side]
    """On which it stands; elements of a side without a processor run on the other."""
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

    def awaited(
        self, control: Address, tls: ServerTls | None, token: Path | None
    ) -> AbstractAsyncContextManager[Nodes]:
        """Configures nodes that others start: they ask at ``control``, by TLS or without, and show the token in a file,
        if there is one. Such a node runs while it is connected. Raises OSError where the address cannot be had."""

    def bootstrap(self, node: str, service: str, control: Contact, records: Address, admin: Address) -> Bootstrap:
        """What somebody starts such a node with."""

    def pieces(self, pieces: Pieces, control: Contact, records: Address) -> Bootstrap:
        """What somebody adds to the configuration of a processor that runs already, as YAML."""

    def container(self, settings: NodeSettings, artifacts: Sequence[Artifact]) -> Container:
        """A node that nobody configures later, with its files in ``settings.folder`` of the container."""

    def program_files(self, artifacts: Sequence[Artifact], records: Address | None) -> Mapping[str, bytes]:
        """What programs are built with that have these artifacts inside, by paths; nothing where none has.

        ``records``: where elements' records go.
        """

    def objects(self) -> ClusterObjects:
        """What a cluster is told."""

    def mesh(self) -> Mesh | None:
        """How a control plane tells such processors in a cluster what to run; None where it cannot."""

    def captured(self, file: Source, method: str) -> Iterator[CapturedCall]:
        """The calls of the method in a file that it captured.

        Raises `ForeignCaptureError` for a file that is none of its captures, and `DiagnosticError` for calls that
        cannot be read.
        """

    async def calibrate(self, effort: Effort, progress: Callable[[str], None]) -> CostModel:
        """What RPCs cost in it here. Raises `ProcessorError` or `CalibrationError` where that cannot be measured."""
