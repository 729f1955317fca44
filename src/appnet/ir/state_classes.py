"""How each state variable is used, and with it, where it may live.

Each class is a promise about every access in the element, so that a later stage can pick a cheaper
place for the variable without anyone being able to tell:

* record: a Vec of scalars, or of pairs of scalars, that is only appended to and never read;
* rpc-scoped: a Map that handlers only ask, set and delete at the number of the call in hand. Numbers of
  calls are unique, so an entry is seen by its own call alone, and a capacity means nothing;
* counter: a number that handlers only ever add to, and that nothing else reads;
* read-only: handlers do not write it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from enum import Enum, auto

from appnet.ir.nodes import Block, Call, Let, Local, SetState, State, StateClass, Statement
from appnet.ir.walk import atoms_of, binders, call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import KEYED, OPERATIONS
from appnet.language.types import INT, NUMERIC, SCALARS, UINT, MapType, PairType, Type, VecType


class _Use(Enum):
    READ = auto()
    WRITE = auto()  # by a container operation
    REMOVE = auto()  # of a Map's entry
    ASSIGN = auto()
    APPEND = auto()
    ADD = auto()  # x = x + e
    READ_AT_CALL = auto()  # a Map at the number of the call
    WRITE_AT_CALL = auto()


_READS = {_Use.READ, _Use.READ_AT_CALL}
_AT_CALL = {_Use.READ_AT_CALL, _Use.WRITE_AT_CALL}


def classify(init: Block, handlers: Iterable[Block], variables: Mapping[str, Type]) -> dict[str, StateClass]:
    """The class of every variable, by name: the first of those above that fits, else general."""
    at_start = _uses(init)
    in_handlers: defaultdict[str, set[_Use]] = defaultdict(set)
    for name, uses in (it for body in handlers for it in _uses(body).items()):
        in_handlers[name] |= uses
    return {name: _class_of(type_, at_start[name], in_handlers[name]) for name, type_ in variables.items()}


def keyed_by_call(init: Block, handlers: Iterable[Block], variables: Mapping[str, Type]) -> frozenset[str]:
    """The Maps that hold nothing but entries set at the number of the call in hand, however they are read."""
    setting = {_Use.WRITE, _Use.ASSIGN}
    uses = [_uses(body) for body in (init, *handlers)]
    return frozenset(
        name
        for name, type_ in variables.items()
        if isinstance(type_, MapType)
        and type_.key in (INT, UINT)
        and not any(it[name] & setting for it in uses)
        and _Use.WRITE_AT_CALL not in uses[0][name]
    )


def uses_call_number(body: Block, in_calls: frozenset[str]) -> bool:
    """Whether the number of the call is used for anything but the place in one of the Maps ``in_calls``."""
    in_order = list(statements(body))
    locals_ = _Locals(in_order)
    for statement in in_order:
        atoms = list(atoms_of(statement))
        match statement:
            case Let(local=local) if locals_.is_call_number(local):
                continue
            case Let(value=Call(op="rpc_id")):
                return True
        call = call_of(statement)
        if call is not None and call.op in KEYED and isinstance(atoms[0], State) and atoms[0].name in in_calls:
            del atoms[1]
        if any(locals_.is_call_number(atom) for atom in atoms):
            return True
    return False


def _class_of(type_: Type, at_start: set[_Use], in_handlers: set[_Use]) -> StateClass:
    if _is_record_type(type_) and at_start | in_handlers == {_Use.APPEND}:
        return StateClass.RECORD
    if isinstance(type_, MapType) and in_handlers and in_handlers <= _AT_CALL and not at_start:
        return StateClass.RPC_SCOPED
    if type_ in NUMERIC and in_handlers == {_Use.ADD} and at_start <= {_Use.ASSIGN, _Use.ADD}:
        return StateClass.COUNTER
    if in_handlers <= _READS:
        return StateClass.READ_ONLY
    return StateClass.GENERAL


def _is_record_type(type_: Type) -> bool:
    if not isinstance(type_, VecType):
        return False
    if isinstance(type_.item, PairType):
        return type_.item.first in SCALARS and type_.item.second in SCALARS
    return type_.item in SCALARS


def _uses(body: Block) -> defaultdict[str, set[_Use]]:
    """In which ways the body touches each state variable."""
    uses: defaultdict[str, set[_Use]] = defaultdict(set)
    in_order = list(statements(body))
    locals_ = _Locals(in_order)
    skip: SetState | None = None
    for statement, following in zip(in_order, [*in_order, None][1:], strict=True):
        added = _addition(statement, following, locals_)
        if added is not None:
            uses[added.state.name].add(_Use.ADD)
            skip = added
        elif statement is not skip and isinstance(statement, SetState):
            uses[statement.state.name].add(_Use.ASSIGN)
        for index, atom in enumerate(atoms_of(statement)):
            if isinstance(atom, State) and not (added is not None and atom.name == added.state.name):
                uses[atom.name].add(_operand_use(call_of(statement), index, locals_))
    return uses


def _addition(statement: Statement, following: Statement | None, locals_: _Locals) -> SetState | None:
    """The assignment that ends ``x = x + e``: x and another atom summed, stored at once, the sum used nowhere else."""
    match statement, following:
        case Let(local=total, value=Call(op="add", args=(a, b))), SetState(state=x, value=Local(name=stored)):
            one_is_x = (a == x) != (b == x)
            only_there = stored == total.name and locals_.bound[stored] == 1 and locals_.used[stored] == 1
            return following if one_is_x and only_there else None
        case _:
            return None


def _operand_use(call: Call | None, index: int, locals_: _Locals) -> _Use:
    if call is None or index > 0:
        return _Use.READ
    writes = Effect.WRITES_CONTAINER in OPERATIONS[call.op].effects
    if call.op == "vec_append":
        return _Use.APPEND
    if call.op in KEYED and locals_.is_call_number(call.args[1]):
        return _Use.WRITE_AT_CALL if writes else _Use.READ_AT_CALL
    if call.op == "map_delete":
        return _Use.REMOVE
    return _Use.WRITE if writes else _Use.READ


class _Locals:
    """How often locals are bound and used in a body, and which of them hold the number of the call."""

    def __init__(self, in_order: list[Statement]) -> None:
        self.bound = Counter(local.name for statement in in_order for local in binders(statement))
        self.used = Counter(
            atom.name for statement in in_order for atom in atoms_of(statement) if isinstance(atom, Local)
        )
        self._numbers: set[str] = set()
        for statement in in_order:
            if isinstance(statement, Let) and self.bound[statement.local.name] == 1 and self._is_number(statement):
                self._numbers.add(statement.local.name)

    def is_call_number(self, atom: object) -> bool:
        return isinstance(atom, Local) and atom.name in self._numbers

    def _is_number(self, statement: Let) -> bool:
        match statement.value:
            case Call(op="rpc_id"):
                return True
            case Call(op="to_int" | "to_uint", args=(Local() as of,)) | (Local() as of):
                return self.is_call_number(of)  # the conversions keep every bit of a number
            case _:
                return False
