"""The checked program: every name resolved, every value with its type, every built-in an operation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.place import Span
from appnet.language.capacity import DEFAULT_CAPACITY
from appnet.language.messages import MethodSignature
from appnet.language.types import BOOL, MapType, Type, VecType

ContainerKind: TypeAlias = type[VecType] | type[MapType]


@dataclass(eq=False)
class Variable:
    """A local of one handler. Two of one name are two objects.

    ``type`` is None only while it is checked: for a Vec or Map that ``began`` as ``[]`` or ``{}``, until something
    tells what it holds.
    ``origin`` is the entry of a state Map that it was got from: changing it in place changes the entry too.
    ``made_by`` is the operation that gave its first value, if one did.
    """

    name: str
    span: Span
    type: Type | None
    origin: Origin | None = None
    began: ContainerKind = VecType
    made_by: str = ""


class StatusText(Variable):
    """Holds 'success' or 'failure', by the status of the call; where a number is needed, the status is meant."""


@dataclass(frozen=True)
class Literal:
    value: bool | int | float | bytes
    type: Type


@dataclass(frozen=True)
class Local:
    variable: Variable

    @property
    def type(self) -> Type:
        """The variable's type, known once the program is checked."""
        assert self.variable.type is not None
        return self.variable.type


@dataclass(frozen=True)
class StateValue:
    """A state variable; ``span``: where it is declared."""

    name: str
    type: Type
    span: Span = field(compare=False)


@dataclass(frozen=True)
class FieldValue:
    path: str
    type: Type


@dataclass(frozen=True)
class HasField:
    """Whether the message has the field."""

    path: str

    @property
    def type(self) -> Type:
        """It is a bool."""
        return BOOL


@dataclass(frozen=True)
class Empty:
    """``[]`` or ``{}``; its type is that of the variable it is given to."""

    variable: Variable

    @property
    def type(self) -> Type:
        """The variable's type, known once the program is checked."""
        assert self.variable.type is not None
        return self.variable.type


@dataclass(frozen=True)
class VecOf:
    """``[a, b]``, evaluated left to right."""

    items: tuple[Value, ...]
    type: VecType


@dataclass(frozen=True)
class MapOf:
    """``{k: v}``: pairs of a key and its value, evaluated left to right."""

    entries: tuple[tuple[Value, Value], ...]
    type: MapType


@dataclass(frozen=True)
class Operate:
    """An operation of `appnet.language.operations` on values, evaluated left to right.

    Those that are `FALLIBLE` have the type of what they give when they do not fail: where they fail, the handler ends.
    """

    op: str
    arguments: tuple[Value, ...]
    type: Type


class CallNumberText(Operate):
    """The number of the call as text; where a number is needed, itself."""


Value = Literal | Local | StateValue | FieldValue | HasField | Empty | VecOf | MapOf | Operate


@dataclass(eq=False)
class Origin:
    """An entry of a state Map that a name stands for.

    ``span``: where it was got. ``changed``: it was changed in place. ``otherwise``: where the name was given another
    value on some path.
    """

    map: StateValue
    key: Local
    span: Span
    changed: bool = False
    otherwise: Span | None = None


@dataclass(frozen=True)
class SetLocal:
    variable: Variable
    value: Value


@dataclass(frozen=True)
class SetState:
    state: StateValue
    value: Value


@dataclass(frozen=True)
class SetField:
    path: str
    value: Value
    clears: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClearField:
    """``clears``: all that the message loses or, of the field's oneofs, has lost before."""

    path: str
    clears: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A value computed for its effect."""

    value: Operate


@dataclass(frozen=True)
class LiteralArm:
    value: Literal


@dataclass(frozen=True)
class SomeArm:
    variable: Variable | None


@dataclass(frozen=True)
class NoneArm:
    pass


@dataclass(frozen=True)
class AnyArm:
    pass


ArmPattern = LiteralArm | SomeArm | NoneArm | AnyArm


@dataclass(frozen=True)
class Arm:
    pattern: ArmPattern
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Match:
    span: Span
    subject: Value
    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class ForEach:
    item: Variable
    items: Value
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Forward:
    pass


@dataclass(frozen=True)
class Refuse:
    message: Value
    code: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NewReply:
    """The handler's reply begins anew, with no field set."""


@dataclass(frozen=True)
class SetReplyField:
    path: str
    value: Value
    clears: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The reply is sent."""


@dataclass(frozen=True)
class Route:
    """``host``: the text that names the host."""

    host: Value


@dataclass(frozen=True)
class Delay:
    seconds: Value


Statement = (
    SetLocal
    | SetState
    | SetField
    | ClearField
    | Run
    | Match
    | ForEach
    | Forward
    | Refuse
    | NewReply
    | SetReplyField
    | Answer
    | Route
    | Delay
)


@dataclass(frozen=True)
class CheckedState:
    """A state variable with what its decorators say; ``consistency`` is ``local``, ``weak`` or ``strong``, and
    ``unavailable`` is ``refuse``, ``local`` or, where nothing is said, empty."""

    name: str
    span: Span
    type: Type
    consistency: str = "local"
    combiner: str | None = None
    persistent: bool = False
    capacity: int = DEFAULT_CAPACITY
    unavailable: str = ""


@dataclass(frozen=True)
class CheckedElement:
    name: str
    span: Span
    signature: MethodSignature
    state: tuple[CheckedState, ...]
    init: tuple[Statement, ...]
    req: tuple[Statement, ...]
    resp: tuple[Statement, ...]
    open: tuple[Statement, ...] | None = None
    end: tuple[Statement, ...] | None = None
    warnings: tuple[Diagnostic, ...] = field(default=())


_ENOUGH = ((AnyArm,), (SomeArm, NoneArm), tuple(LiteralArm(Literal(it, BOOL)) for it in (True, False)))


def is_exhaustive(arms: tuple[Arm, ...]) -> bool:
    """Whether one of the arms fits whatever is matched."""
    return leave_nothing({fitted(arm.pattern) for arm in arms})


def fitted(pattern: ArmPattern) -> object:
    """What the pattern fits: equal for patterns that fit the same."""
    return pattern if isinstance(pattern, LiteralArm) else type(pattern)


def leave_nothing(seen: Collection[object]) -> bool:
    """Whether patterns that fit these, as `fitted` has it, together fit whatever is matched."""
    return any(all(it in seen for it in enough) for enough in _ENOUGH)


def falls_through(statements: tuple[Statement, ...]) -> Match | None:
    """The innermost match that lets a path reach the end of the statements without a verdict, if it is one."""
    last = statements[-1] if statements else None
    if not isinstance(last, Match) or not is_exhaustive(last.arms):
        return last if isinstance(last, Match) else None
    inner = (falls_through(arm.body) or last for arm in last.arms if not ends(arm.body))
    return next(inner, None)


def ends(statements: tuple[Statement, ...]) -> bool:
    """Whether every path through the statements gives a verdict."""
    return any(
        isinstance(it, Forward | Refuse | Answer)
        or (isinstance(it, Match) and is_exhaustive(it.arms) and all(ends(arm.body) for arm in it.arms))
        for it in statements
    )
