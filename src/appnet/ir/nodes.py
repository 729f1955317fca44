"""The match-action form of an element: what every later stage reads.

Handlers are trees of statements in A-normal form: each operand is an atom (constant, local or state
variable) and each computation is bound to a local by a `Let` of its own. The order of effects is
therefore the order of statements, in the interpreter, in every generated target and in proofs.

Values, in every stage:

=========  ==========================================================================
bool       ``bool``
int        ``int`` in [-2**63, 2**63), arithmetic wraps
uint       ``int`` in [0, 2**64), arithmetic wraps
float      ``float`` (IEEE double)
string     ``bytes`` (UTF-8 by convention, compared bytewise)
bytes      ``bytes``
Instant    ``int``, nanoseconds on the processor's monotonic clock
pair       ``tuple`` of two values
Vec        ``list``
Map        ``dict``, ordered by the time each key was last set
Option     ``None`` or a one-tuple
=========  ==========================================================================
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from appnet.diagnostics.place import Span
from appnet.language.capacity import DEFAULT_CAPACITY, UNBOUNDED
from appnet.language.types import BOOL, Type

# --- atoms -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Const:
    value: bool | int | float | bytes
    type: Type


@dataclass(frozen=True)
class Local:
    """A variable of one handler. Names are unique within the handler, whatever their scope was."""

    name: str
    type: Type


@dataclass(frozen=True)
class State:
    """A state variable of the element: its value now, or, as the first argument of a container operation, its place."""

    name: str
    type: Type


Atom = Const | Local | State

# --- computations ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """An operation of `appnet.language.operations` on atoms."""

    op: str
    args: tuple[Atom, ...]
    type: Type


@dataclass(frozen=True)
class ReadField:
    """The value of a field of the message in hand; ``path`` is as in the .proto, nested with dots.

    Of many messages, how many there are. A path that leads through many reads as a Vec.
    """

    path: str
    type: Type


@dataclass(frozen=True)
class HasField:
    """Whether the message in hand has the field, which may be a message."""

    path: str

    @property
    def type(self) -> Type:
        """It is a bool."""
        return BOOL


Computation = Atom | Call | ReadField | HasField

# --- statements ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Let:
    """Binds a local, or gives it a new value."""

    local: Local
    value: Computation


@dataclass(frozen=True)
class SetState:
    state: State
    value: Atom


@dataclass(frozen=True)
class WriteField:
    """``clears``: the fields that the message loses, which are other members of its oneofs.

    A Vec is written through many messages where they have as many values; otherwise nothing is.
    """

    path: str
    value: Atom
    clears: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClearField:
    """Takes a field away, if it is there. ``clears``: it, what is inside it, and the other members of its oneofs, which
    must not come back."""

    path: str
    clears: tuple[str, ...]


@dataclass(frozen=True)
class Do:
    """An operation run for its effect; a container it changes is its first argument (a `State` or a `Local`)."""

    call: Call


@dataclass(frozen=True)
class LiteralPattern:
    value: Const


@dataclass(frozen=True)
class SomePattern:
    local: Local | None


@dataclass(frozen=True)
class NonePattern:
    pass


@dataclass(frozen=True)
class AnyPattern:
    pass


Pattern = LiteralPattern | SomePattern | NonePattern | AnyPattern


@dataclass(frozen=True)
class Arm:
    pattern: Pattern
    body: Block


@dataclass(frozen=True)
class Match:
    """The first arm that fits runs; where none fits, nothing happens and the statement after the match is next."""

    subject: Atom
    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class Foreach:
    """Runs the body for each item of the Vec as it was when the loop began."""

    item: Local
    items: Atom
    body: Block


@dataclass(frozen=True)
class Forward:
    """Ends the handler: the message goes on in the direction it travels."""


@dataclass(frozen=True)
class Refuse:
    """Ends the handler: the caller is answered with this gRPC status instead. ``span``: where the program says so."""

    message: Atom
    code: int
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class NewReply:
    """The handler's reply begins anew: a message of the method's response type with no field set."""


@dataclass(frozen=True)
class WriteReply:
    path: str
    value: Atom
    clears: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """Ends the handler: the caller is answered with the reply instead."""


@dataclass(frozen=True)
class Route:
    """The request goes to the host whose number the text is, in decimal; to any where it names none."""

    host: Atom


@dataclass(frozen=True)
class Delay:
    """The request waits for so many seconds before it goes on."""

    seconds: Atom


Statement = (
    Let
    | SetState
    | WriteField
    | ClearField
    | Do
    | Match
    | Foreach
    | Forward
    | Refuse
    | NewReply
    | WriteReply
    | Answer
    | Route
    | Delay
)


@dataclass(frozen=True)
class Block:
    statements: tuple[Statement, ...] = ()


# --- element ---------------------------------------------------------------------------------


class StateClass(Enum):
    """How a state variable is used, and with it, where it may live."""

    RPC_SCOPED = "rpc-scoped"  # a Map only ever touched at rpc_id(): lives in the call
    READ_ONLY = "read-only"  # written by init alone: shared without a lock
    RECORD = "record"  # a Vec that is only appended to: drained to telemetry
    COUNTER = "counter"  # a number that is only added to and never read
    GENERAL = "general"


OUTLIVING = (StateClass.COUNTER, StateClass.GENERAL)
"""What handlers change: the next version goes on with it, where it has a variable of that name and type."""


class Consistency(Enum):
    LOCAL = "local"
    WEAK = "weak"
    STRONG = "strong"


@dataclass(frozen=True)
class StateVariable:
    """``unavailable``: what becomes of calls while the store of shared state is away, ``refuse`` or ``local``."""

    name: str
    type: Type
    state_class: StateClass
    capacity: int = DEFAULT_CAPACITY
    consistency: Consistency = Consistency.LOCAL
    combiner: str | None = None
    persistent: bool = False
    unavailable: str = "refuse"


@dataclass(frozen=True)
class FieldUse:
    """A field of the request or response message that a handler reads or writes.

    ``asked``: whether it is there; ``cleared``: it is taken away. The type of one that is neither read nor written, and
    may be a message, is bool.
    """

    path: str
    type: Type
    read: bool
    written: bool
    asked: bool = False
    cleared: bool = False


@dataclass(frozen=True)
class HandlerEffects:
    """What a handler can do, inferred from its body; paths that cannot be taken may be counted in."""

    fields: tuple[FieldUse, ...] = ()
    fields_cleared: frozenset[str] = frozenset()
    reply_fields: tuple[FieldUse, ...] = ()
    state_read: frozenset[str] = frozenset()
    state_written: frozenset[str] = frozenset()
    reads_size: bool = False
    metadata_read: bool = False
    metadata_written: bool = False
    trailers_read: bool = False
    trailers_written: bool = False
    reads_deadline: bool = False
    sets_deadline: bool = False
    reads_status: bool = False
    uses_random: bool = False
    uses_time: bool = False
    reads_backends: bool = False
    can_refuse: bool = False
    can_drop: bool = False
    can_reply: bool = False
    chooses_host: bool = False
    delays: bool = False

    @property
    def reads_message(self) -> bool:
        """Whether it needs the message."""
        return bool(self.fields) or self.reads_size


@dataclass(frozen=True)
class Handler:
    body: Block
    effects: HandlerEffects = field(default_factory=HandlerEffects)


@dataclass(frozen=True)
class Element:
    """One element, specialised to a method and to its parameters.

    A handler's path that ends without `Forward`, `Refuse` or `Answer` drops the RPC:
    UNAVAILABLE, "dropped by NAME". ``open`` and ``end``: None where the program has none. Each path of `end` ends
    with `Forward`. ``local_capacity``: of containers that are no state variable themselves.
    """

    name: str
    state: tuple[StateVariable, ...]
    init: Block
    req: Handler
    resp: Handler
    span: Span | None = None
    open: Handler | None = None
    end: Handler | None = None
    local_capacity: int = DEFAULT_CAPACITY

    @property
    def handlers(self) -> dict[str, Handler]:
        """Its handlers by name, in the order in which a call meets them."""
        named = {"open": self.open, "req": self.req, "resp": self.resp, "end": self.end}
        return {name: handler for name, handler in named.items() if handler is not None}

    @property
    def bodies(self) -> tuple[Block, ...]:
        """What its handlers run."""
        return tuple(it.body for it in self.handlers.values())

    def capacity_of(self, place: Atom) -> int:
        """How many entries the container may have. This is all that decides when one drops its oldest entry:

        an operation that adds one to a container that has so many, or more, drops one; one that adds none drops none.
        A container that is assigned to a state variable is cut down to the variable's capacity. What comes of a
        message, or out of another container, may have more.
        """
        if not isinstance(place, State):
            return self.local_capacity
        variable = next(it for it in self.state if it.name == place.name)
        return UNBOUNDED if variable.state_class is StateClass.RPC_SCOPED else variable.capacity

    @cached_property
    def digest(self) -> str:
        """A hash of what it means: the same in every process, wherever its text stands."""
        bodies = ((name, it.body) for name, it in self.handlers.items())
        parts = (self.name, self.state, self.init, self.local_capacity, *bodies)
        return hashlib.sha256(repr(parts).encode()).hexdigest()
