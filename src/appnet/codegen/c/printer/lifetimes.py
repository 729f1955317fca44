"""What a handler's values borrow, and what must therefore be copied: found before its code is printed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum

from appnet.codegen.c.printer.operations import LASTING
from appnet.ir.nodes import (
    AnyPattern,
    Atom,
    Block,
    Call,
    Computation,
    Const,
    Do,
    Foreach,
    HasField,
    Let,
    Local,
    Match,
    ReadField,
    SetState,
    SomePattern,
    State,
    StateClass,
    Statement,
)
from appnet.ir.walk import atoms_of, call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import KEYED, OPERATIONS

_KEPT_EFFECTS = Effect.RANDOM | Effect.WRITES_CONTAINER | Effect.WRITES_METADATA


class Lifetime(IntEnum):
    """How long the bytes that a value borrows stay as they are."""

    HANDLER = 0  # state that handlers change
    EVENT = 1  # the message and its metadata
    CALL = 2  # static, in the call's arena, or state that nothing changes


class Lifetimes:
    """The lifetime of each local of a body: the shortest of whatever it may be bound to."""

    def __init__(self, body: Block, classes: Mapping[str, StateClass]) -> None:
        self._classes = classes
        self._found: defaultdict[str, Lifetime] = defaultdict(lambda: Lifetime.CALL)
        in_order = list(statements(body))
        before: dict[str, Lifetime] | None = None
        while before != self._found:
            before = dict(self._found)
            for statement in in_order:
                self._visit(statement)

    def of(self, value: Computation) -> Lifetime:
        """The lifetime of what the computation gives."""
        match value:
            case Const():
                return Lifetime.CALL
            case Local(name=name):
                return self._found[name]
            case HasField():
                return Lifetime.CALL
            case State(name=name):
                fixed = self._classes[name] in {StateClass.READ_ONLY, StateClass.RPC_SCOPED}
                return Lifetime.CALL if fixed else Lifetime.HANDLER
            case ReadField() | Call(op="get_metadata"):
                return Lifetime.EVENT
            case Call(op=op) if op in LASTING:
                return Lifetime.CALL
            case Call(args=args):
                return min((self.of(atom) for atom in args), default=Lifetime.CALL)

    def _visit(self, statement: Statement) -> None:
        match statement:
            case Let(local=local, value=value):
                self._shorten(local, value)
            case Do(call=Call(args=(Local() as place, *others))):
                for other in others:
                    self._shorten(place, other)
            case Foreach(item=item, items=items):
                self._shorten(item, items)
            case Match(subject=subject, arms=arms):
                for arm in arms:
                    if isinstance(arm.pattern, SomePattern) and arm.pattern.local is not None:
                        self._shorten(arm.pattern.local, subject)
            case _:
                pass

    def _shorten(self, local: Local, value: Computation) -> None:
        self._found[local.name] = min(self._found[local.name], self.of(value))


def changed_containers(body: Block) -> set[tuple[type[Atom], str]]:
    """The state variables and locals that the body changes in place, by kind of atom and name."""
    changed: set[tuple[type[Atom], str]] = set()
    for statement in statements(body):
        call = call_of(statement)
        if isinstance(statement, SetState):
            changed.add((State, statement.state.name))
        if call is not None and Effect.WRITES_CONTAINER in OPERATIONS[call.op].effects:
            place = call.args[0]
            assert isinstance(place, State | Local)
            changed.add((type(place), place.name))
    return changed


def needed_locals(body: Block, classes: Mapping[str, StateClass]) -> set[str]:
    """The locals that must be computed, for the code that uses them or for the effect that computing them has.

    The number of the call, as the key of a Map that lives in the call, is not used.
    """
    in_order = list(statements(body))
    needed: set[str] = set()
    before = -1
    while before != len(needed):
        before = len(needed)
        for statement in in_order:
            if isinstance(statement, Let) and not _must_run(statement) and statement.local.name not in needed:
                continue
            needed |= {atom.name for atom in _operands(statement, classes) if isinstance(atom, Local)}
    return needed


def must_print(statement: Let, needed: Collection[str]) -> bool:
    """Whether the binding is there for something."""
    return _must_run(statement) or statement.local.name in needed


def _must_run(statement: Let) -> bool:
    return isinstance(statement.value, Call) and bool(OPERATIONS[statement.value.op].effects & _KEPT_EFFECTS)


def _operands(statement: Statement, classes: Mapping[str, StateClass]) -> Iterable[Atom]:
    if isinstance(statement, Match) and isinstance(statement.arms[0].pattern, AnyPattern):
        return ()
    call = call_of(statement)
    atoms = atoms_of(statement)
    place = atoms[0] if call is not None and call.op in KEYED else None
    if isinstance(place, State) and classes[place.name] is StateClass.RPC_SCOPED:
        return (place, *atoms[2:])
    return atoms
