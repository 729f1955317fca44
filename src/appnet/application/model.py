"""An application as its files say it, whatever form they have: services, edges between them, chains of elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from enum import Enum

from appnet.application.proto_files import ProtoRoot
from appnet.diagnostics.place import Source
from appnet.diagnostics.yaml_reader import Located
from appnet.language import Given

ALL_METHODS = "*"
"""Stands for every method of the .proto."""

USUAL_PROCESSOR = "sidecar"
"""What carries a chain that names no processor."""


DEFAULT_MAX_MESSAGE = 8 << 20
"""Bytes of the longest message that a chain judges where nobody says: twice what gRPC libraries take by default."""


class Form(Enum):
    """How an application is written: as AppNetConfigs, or as the chain compiler's specification."""

    APPNETCONFIG = "appnetconfig"
    SPECIFICATION = "specification"


class Side(Enum):
    """An end of an edge."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True)
class Edge:
    """Calls of ``methods`` (as the user wrote them) from service ``client`` to service ``server``."""

    client: str
    server: str
    methods: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.client}->{self.server}"


@dataclass(frozen=True)
class EdgeEnd:
    """Where calls leave ``client`` for ``server``, or where they reach it."""

    client: str
    server: str
    side: Side

    @property
    def service(self) -> str:
        """The service that stands there."""
        return self.client if self.side is Side.CLIENT else self.server


@dataclass(frozen=True)
class ElementSpec:
    """An element as a chain names it.

    ``parameters`` are given to its ``init``. ``processors``: those that it may run on, as written; empty where that is
    not said of the element.
    """

    name: Located
    source: Source
    parameters: Mapping[str, Given] = field(default_factory=dict)
    processors: tuple[Located, ...] = ()


@dataclass(frozen=True)
class Stop:
    """An element on the way of a request. ``fixed``: the side it was bound to; ``side``: where it runs as written."""

    spec: ElementSpec
    fixed: Side | None
    side: Side


@dataclass(frozen=True)
class Limits:
    """What a processor allows the calls of a chain; None where nobody says.

    ``longest``: bytes of the longest message that it holds back to judge. What no element reads passes at any length.
    ``idle``: seconds after which a call ends without a byte either way; nobody says: it may be silent for ever.
    ``traces``: the share, from 0 to 1, of the calls whose callers do not decide that is traced; nobody says: none.
    """

    longest: int | None = None
    idle: float | None = None
    traces: float | None = None

    @property
    def max_message(self) -> int:
        """Bytes of the longest message."""
        return DEFAULT_MAX_MESSAGE if self.longest is None else self.longest

    @property
    def traced_share(self) -> float:
        """The share, from 0 to 1, of the calls whose callers do not decide that is traced."""
        return 0.0 if self.traces is None else self.traces

    def over(self, others: Limits) -> Limits:
        """These, and those of others where these say nothing."""
        both = zip(astuple(self), astuple(others), strict=True)
        return Limits(*(other if own is None else own for own, other in both))


USUAL_LIMITS = Limits()
"""Where nobody says anything."""


@dataclass(frozen=True)
class StateStore:
    """Where state is that all instances of an element share, and how they use it.

    ``address``: a URL, `redis`, `rediss` (TLS) or `unix`; empty where none is named. ``prefix``: what keys begin with.
    ``timeout``: seconds that a call waits. ``merge_every``: seconds between merges of weak state. ``secret``: the
    Kubernetes Secret that has the `password`.
    """

    address: str = ""
    prefix: str = "appnet"
    timeout: float = 0.05
    merge_every: float = 0.1
    secret: str = ""


class ReplanMode(Enum):
    """What becomes of a plan that costs less for the traffic that was seen."""

    SUGGEST = "suggest"
    """It is shown."""
    AUTO = "auto"
    """The chain goes on by it."""


@dataclass(frozen=True)
class Replan:
    """How the plan of a chain follows its traffic.

    ``interval``: seconds between plans. ``saving``: the share of the expected cost, from 0 to 1, that a plan must save.
    """

    mode: ReplanMode
    interval: float = 600.0
    saving: float = 0.1


@dataclass(frozen=True)
class Chain:
    """The elements on calls of an edge, in request order, as written.

    ``methods``: their names as written, one of them may be `ALL_METHODS`; an element has one state for all of them.
    ``processors``: those that all elements may run on, which of them carries which is chosen by
    cost; empty where none is named (`USUAL_PROCESSOR`), or none is common to all. ``proto_roots``: where imports of
    the .proto are looked for first.
    ``native``: one of the elements has to run as a native module. ``proto_module`` and its folder: of code in Go that
    others make of the .proto; AppNet needs none. ``state``: the store of what its elements share. ``replan``: how its
    plan follows traffic; None: not at all. ``secret_fields``: what nobody may see of messages, as `Message.field`.
    """

    edge: Edge
    methods: tuple[Located, ...]
    proto: Source
    stops: tuple[Stop, ...]
    processors: tuple[Located, ...] = ()
    native: bool = False
    proto_module: str = ""
    proto_module_folder: str = ""
    limits: Limits = USUAL_LIMITS
    proto_roots: tuple[ProtoRoot, ...] = ()
    state: StateStore = StateStore()
    replan: Replan | None = None
    secret_fields: tuple[Located, ...] = ()

    @property
    def method(self) -> str:
        """What stands for its methods in names of files and objects: the first; no other chain of the edge has it."""
        first, *more = self.edge.methods
        name = "all" if first == ALL_METHODS else first.strip("/").replace("/", ".")
        return f"{name}+{len(more)}" if more else name


@dataclass(frozen=True)
class Application:
    """What one or several files say. ``source``: the first of them; ``edges``: client and server, in their order."""

    name: str
    source: Source
    manifest: Source
    edges: tuple[tuple[Located, Located], ...]
    chains: tuple[Chain, ...]
