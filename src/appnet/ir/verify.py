"""The structural rules of the match-action form, checked after lowering and after every transformation.

A broken rule is a mistake of the compiler, never of the user: it raises `InternalError` with the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from appnet.diagnostics.diagnostic import InternalError
from appnet.ir.effects import handler_effects
from appnet.ir.nodes import (
    Answer,
    AnyPattern,
    Arm,
    Atom,
    Block,
    Call,
    ClearField,
    Computation,
    Const,
    Delay,
    Do,
    Element,
    Foreach,
    Forward,
    HasField,
    Let,
    LiteralPattern,
    Local,
    Match,
    NewReply,
    NonePattern,
    ReadField,
    Refuse,
    Route,
    SetState,
    SomePattern,
    State,
    Statement,
    WriteField,
    WriteReply,
)
from appnet.ir.state_classes import classify
from appnet.ir.walk import is_exhaustive
from appnet.language.operations.declaration import OF_THE_CALL, Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.operations.signature import signature_of
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    SCALARS,
    STRING,
    UINT,
    UNIT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)

_MAX_STATUS = 16  # UNAUTHENTICATED, the last code that gRPC names
_RANGES = {UINT: (0, 2**64), INT: (-(2**63), 2**63), INSTANT: (0, 2**64)}
_VALUES: dict[Type, type] = {BOOL: bool, INT: int, UINT: int, INSTANT: int, FLOAT: float, STRING: bytes, BYTES: bytes}


def verify(element: Element) -> None:
    """Raises `InternalError` unless the element keeps every rule; linear in the size of the element."""
    _verify_state(element)
    variables = {variable.name: variable.type for variable in element.state}
    _Body(variables, in_handler=False).block(element.init)
    for name, handler in element.handlers.items():
        effects = handler.effects
        _Body(variables, in_handler=True).block(handler.body)
        _require(effects == handler_effects(handler.body), "effects must be those of the body", effects)
        _require(not effects.can_reply or name == "req", "only requests are answered", element)
        sends_on = effects.chooses_host or effects.delays
        _require(not sends_on or name in {"open", "req"}, "only requests are sent to a host, and held back", element)
        _require(
            not effects.reads_message or name in {"req", "resp"}, "a call begins and ends without a message", element
        )
    if element.end is not None:
        gives = element.end.effects
        _require(not (gives.can_refuse or gives.can_drop), "a call that ends is not refused", element)
        _require(not (gives.metadata_read or gives.metadata_written), "a call that ends has no metadata", element)
    classes = classify(element.init, element.bodies, variables)
    for variable in element.state:
        _require(variable.state_class is classes[variable.name], "a state class must hold for all uses", variable)


def _require(holds: bool, rule: str, node: object) -> None:
    if not holds:
        raise InternalError(rule, node)


def _verify_state(element: Element) -> None:
    seen: set[str] = set()
    for variable in element.state:
        _require(variable.name not in seen, "state variables have names of their own", variable)
        _require(variable.capacity >= 1, "a capacity is at least 1", variable)
        _require(is_storable(variable.type), "state has a type that can be stored", variable)
        seen.add(variable.name)
    _require(element.local_capacity >= 1, "a capacity is at least 1", element)


def is_storable(type_: Type) -> bool:
    """Whether values of the type can be state: scalars, and pairs, Vecs and Maps (with scalar keys) of such."""
    match type_:
        case PairType(first=first, second=second):
            return is_storable(first) and is_storable(second)
        case VecType(item=item):
            return is_storable(item)
        case MapType(key=key, value=value):
            return key in SCALARS and is_storable(value)
        case _:
            return type_ in SCALARS


class _Body:
    """Checks one body, with the locals that are bound at the place that is being looked at."""

    def __init__(self, variables: Mapping[str, Type], *, in_handler: bool) -> None:
        self._variables = variables
        self._in_handler = in_handler
        self._bound: set[str] = set()
        self._newly_bound: list[str] = []
        self._types: dict[str, Type] = {}
        self._scoped: set[str] = set()  # bound by a pattern or a foreach, for a part of the body

    def block(self, block: Block) -> bool:
        """Checks the statements; whether the end of the block can be reached."""
        reached = True
        for index, statement in enumerate(block.statements):
            last = index == len(block.statements) - 1
            ends = isinstance(statement, Forward | Refuse | Answer)
            _require(last or not ends, "nothing stands after a verdict", statement)
            reached &= self._statement(statement)
        return reached

    def _statement(self, statement: Statement) -> bool:
        match statement:
            case Let(local=local, value=value):
                self._computation(value)
                _require(value.type == local.type, "a local has the type of its value", statement)
                self._bind(local)
            case SetState(state=state, value=value):
                self._atom(state)
                self._atom(value)
                _require(value.type == state.type, "state is set to values of its type", statement)
            case WriteField(value=value):
                self._field(statement, value.type)
                self._atom(value)
            case ClearField(path=path, clears=clears):
                self._field(statement, BOOL)
                _require(path in clears, "a field that is cleared is lost", statement)
            case Do(call=call):
                self._call(call)
                _require(call.type == UNIT, "what is done for its effect gives no value", statement)
            case Match():
                return self._match(statement)
            case Foreach():
                self._foreach(statement)
            case WriteReply(value=value):
                self._field(statement, value.type)
                self._atom(value)
            case NewReply():
                _require(self._in_handler, "init has no caller", statement)
            case Route(host=atom) | Delay(seconds=atom):
                _require(self._in_handler, "init has no call", statement)
                self._atom(atom)
                wanted = STRING if isinstance(statement, Route) else FLOAT
                _require(atom.type == wanted, "a host is a text, a delay a float", statement)
            case Forward() | Answer():
                _require(self._in_handler, "only handlers give verdicts", statement)
                return False
            case Refuse(message=message, code=code):
                _require(self._in_handler, "only handlers give verdicts", statement)
                self._atom(message)
                _require(message.type == STRING, "a refusal has a text", statement)
                _require(1 <= code <= _MAX_STATUS, "a refusal has an error code", statement)
                return False
        return True

    # --- operands ---

    def _atom(self, atom: Atom) -> None:
        match atom:
            case Const():
                _require(_is_constant(atom), "a constant is a value of its type", atom)
            case Local(name=name, type=type_):
                _require(name in self._bound, "a local is bound on every path to its use", atom)
                _require(self._types[name] == type_, "a local has one type", atom)
            case State(name=name, type=type_):
                _require(self._variables.get(name) == type_, "state is declared with its type", atom)

    def _computation(self, value: Computation) -> None:
        match value:
            case Call():
                self._call(value)
                _require(value.type != UNIT, "a local gets a value", value)
            case ReadField() | HasField():
                self._field(value, value.type)
            case _:
                self._atom(value)

    def _field(self, node: ReadField | HasField | WriteField | ClearField | WriteReply, type_: Type) -> None:
        _require(self._in_handler, "init has no message", node)
        _require(bool(node.path), "a field has a path", node)
        match type_:
            case VecType(item=item):
                parts = [item]
            case MapType(key=key, value=value):
                parts = [key, value]
            case _:
                parts = [type_]
        scalars = all(it in SCALARS and it != INSTANT for it in parts)
        _require(scalars, "fields hold scalars", node)

    def _call(self, call: Call) -> None:
        _require(call.op in OPERATIONS, "an operation is declared", call)
        effects = OPERATIONS[call.op].effects
        for atom in call.args:
            self._atom(atom)
        accepted = signature_of(OPERATIONS[call.op]).accepts(tuple(atom.type for atom in call.args), call.type)
        _require(accepted, "operands and result fit the signature", call)
        if effects & (Effect.READS_CONTAINER | Effect.WRITES_CONTAINER):
            _require(isinstance(call.args[0], State | Local), "a container is named by its place", call)
        if call.op == "matches":
            _require(isinstance(call.args[1], Const), "a pattern is a constant", call)
        if not self._in_handler:
            _require(not effects & OF_THE_CALL, "init has no call", call)

    # --- binding ---

    def _bind(self, local: Local) -> None:
        _require(self._types.setdefault(local.name, local.type) == local.type, "a local has one type", local)
        if local.name not in self._bound:
            _require(local.name not in self._scoped, "names of locals are unique", local)
            self._bound.add(local.name)
            self._newly_bound.append(local.name)

    def _bind_in_scope(self, local: Local) -> None:
        _require(local.name not in self._types, "names of locals are unique", local)
        self._bind(local)
        self._scoped.add(local.name)

    @contextmanager
    def _branch(self) -> Iterator[list[str]]:
        """Undoes what a branch binds, and yields the list that will name it once the branch is left."""
        outer, self._newly_bound = self._newly_bound, []
        try:
            yield self._newly_bound
        finally:
            self._bound.difference_update(self._newly_bound)
            self._newly_bound = outer

    def _match(self, statement: Match) -> bool:
        self._atom(statement.subject)
        falls_through = not is_exhaustive(statement.arms)
        common: set[str] | None = set() if falls_through else None
        for arm in statement.arms:
            with self._branch() as bound:
                self._pattern(arm, statement.subject.type)
                reached = self.block(arm.body)
            if reached:
                falls_through = True
                common = set(bound) if common is None else common.intersection(bound)
        for name in (common or set()) - self._scoped:
            self._bind(Local(name, self._types[name]))
        return falls_through

    def _pattern(self, arm: Arm, subject: Type) -> None:
        match arm.pattern:
            case LiteralPattern(value=value):
                self._atom(value)
                _require(subject in SCALARS and value.type == subject, "a literal has the type of the subject", arm)
            case SomePattern(local=local):
                _require(isinstance(subject, OptionType), "Some and None take options apart", arm)
                if local is not None and isinstance(subject, OptionType):
                    _require(local.type == subject.item, "Some binds the item of the option", arm)
                    self._bind_in_scope(local)
            case NonePattern():
                _require(isinstance(subject, OptionType), "Some and None take options apart", arm)
            case AnyPattern():
                pass

    def _foreach(self, statement: Foreach) -> None:
        self._atom(statement.items)
        item = statement.items.type.item if isinstance(statement.items.type, VecType) else None
        _require(item is not None and item == statement.item.type, "foreach takes the items of a Vec", statement)
        with self._branch():
            self._bind_in_scope(statement.item)
            self.block(statement.body)


def _is_constant(atom: Const) -> bool:
    expected = _VALUES.get(atom.type)
    if expected is None or type(atom.value) is not expected:
        return False
    if isinstance(atom.value, int) and atom.type in _RANGES:
        low, high = _RANGES[atom.type]
        return low <= atom.value < high
    return True
