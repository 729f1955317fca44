"""Behaviour files as data: cases of a chain, each a sequence of events with what must come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appnet.application.proto import ProtoFile
from appnet.diagnostics.place import Source, Span
from appnet.interpret.values import Value
from appnet.ir.nodes import Element, StateVariable
from appnet.language.messages import MethodSignature

Fields = Mapping[str, Value]
"""Values by dotted path of the .proto; a field that is not there has its default."""


OF_INSTANCES = ("merge", "restart", "store")
"""Steps that are no call's."""


@dataclass(frozen=True)
class Passes:
    """The message goes on with these fields changed, and these headers set.

    ``host``: the number of the host that was chosen for it; ``wait_ms``: the milliseconds it was delayed by.
    """

    fields: Fields
    metadata: Mapping[str, bytes]
    host: int | None = None
    wait_ms: int = 0


@dataclass(frozen=True)
class Refuses:
    """The caller gets this gRPC status."""

    code: int
    text: bytes


@dataclass(frozen=True)
class Replies:
    """The caller gets a reply of the chain with these fields."""

    fields: Fields


StepOutcome = Passes | Refuses | Replies


@dataclass(frozen=True)
class StateCheck:
    """A state variable must have this value."""

    element: str
    variable: StateVariable
    value: Value
    span: Span


@dataclass(frozen=True)
class RecordCheck:
    """A record stream must have got these items since the case began."""

    element: str
    variable: StateVariable
    items: Sequence[Value]
    span: Span


@dataclass(frozen=True)
class Step:
    """One event of a call or of instances, ``times`` times, and what must come of it.

    ``kind``: request, response or end; or merge, restart or store. ``after_ns``: what time passes before each.
    ``outcome`` is None but for a request or response. ``instance``: the one that the call is in, and that checks look
    at. ``of``: the instances that merge or restart. ``away``: whether the store leaves.
    """

    span: Span
    kind: str
    call: str
    after_ns: int
    times: int
    fields: Fields
    metadata: Mapping[str, bytes]
    status: int
    outcome: StepOutcome | None
    checks: Sequence[StateCheck | RecordCheck] = ()
    instance: int = 0
    of: tuple[int, ...] = ()
    away: bool = False


@dataclass(frozen=True)
class Given:
    """What a case begins with, in the place of a fresh start: it can be had on the interpreter alone.

    ``state``: of variables, by element and name; of Maps the entries that are known.
    ``call``: the number of the first call. ``began``: it has begun, so that no `open` sees it; a response may
    come first. ``draws``: of the chain's first element, of 64 bits each. ``wall_ns``: the time of day as the
    case begins, in nanoseconds since 1970. ``deadline_ns``: how long the first call has left. ``size``: of its message,
    in bytes. ``loads``: calls in flight by host.
    """

    state: Mapping[tuple[str, str], Value] = field(default_factory=dict)
    call: int = 1
    began: bool = False
    draws: tuple[int, ...] = ()
    wall_ns: int | None = None
    deadline_ns: int | None = None
    size: int | None = None
    authority: bytes = b""
    peer: bytes = b""
    trailers: Mapping[str, bytes] = field(default_factory=dict)
    loads: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A sequence of steps on fresh instances of a chain, which have one store for shared state."""

    name: str
    span: Span
    elements: tuple[Element, ...]
    seed: int
    backends: int
    steps: tuple[Step, ...]
    checks: Sequence[StateCheck | RecordCheck] = ()
    instances: int = 1
    given: Given | None = None

    @property
    def tries_sharing(self) -> bool:
        """Whether it tells shared state from an instance's own."""
        return self.instances > 1 or any(it.kind in OF_INSTANCES for it in self.steps)


@dataclass(frozen=True)
class Behaviour:
    source: Source
    proto: ProtoFile
    method: MethodSignature
    cases: tuple[Case, ...]
