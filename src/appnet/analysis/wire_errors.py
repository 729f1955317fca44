"""What `resp` makes of an error that no element made: of those of the wire, only elements on the client's side hear."""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto

from appnet.ir.nodes import (
    AnyPattern,
    Arm,
    Atom,
    Block,
    Call,
    Computation,
    Const,
    Element,
    Foreach,
    Forward,
    Handler,
    Let,
    LiteralPattern,
    Local,
    Match,
    Refuse,
    SetState,
    State,
    StateClass,
    Statement,
)
from appnet.ir.walk import atoms_of, binders, call_of, is_exhaustive, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS


class Told(Enum):
    """How it can be told that `resp` saw such an error."""

    REPLACED = auto()
    """The caller gets another error."""
    MARKED = auto()
    """Metadata is set on the error."""
    COUNTED = auto()
    """State depends on the status."""


class _Status(Enum):
    """What a local can hold, beside a truth."""

    ERROR = auto()
    """The status, which is not 0."""


_Known = _Status | bool | None
"""What is known of a value; None is nothing."""


def told(element: Element) -> frozenset[Told]:
    """How, whatever the error's status."""
    walk = _Walk(element, element.resp)
    if walk.block(element.resp.body):  # no verdict drops the response
        walk.found.add(Told.REPLACED)
    if element.end is None:
        return frozenset(walk.found)
    at_end = _Walk(element, element.end)
    at_end.block(element.end.body)
    return frozenset(walk.found | at_end.found)


class _Walk:
    """The paths through a handler that an error can take, and what is done on them."""

    def __init__(self, element: Element, handler: Handler) -> None:
        self.found: set[Told] = set()
        self._in_calls = {it.name for it in element.state if it.state_class is StateClass.RPC_SCOPED}
        self._reads_status = handler.effects.reads_status or handler.effects.trailers_read
        bound = Counter(local.name for it in statements(handler.body) for local in binders(it))
        self._once = {name for name, times in bound.items() if times == 1}
        self._locals: dict[str, _Known] = {}

    def block(self, block: Block) -> bool:
        """Whether what is behind the block may be reached."""
        return all(self._goes_on(statement) for statement in block.statements)

    def _goes_on(self, statement: Statement) -> bool:
        match statement:
            case Forward():
                return False
            case Refuse():
                self.found.add(Told.REPLACED)
                return False
            case Match():
                return self._match(statement)
            case Foreach(body=body):
                self._note(statement)
                self.block(body)
                return True
            case Let(local=local, value=value) if local.name in self._once:
                self._locals[local.name] = self._computed(value)
        self._note(statement)
        return True

    def _match(self, match: Match) -> bool:
        subject = self._known(match.subject)
        arms: list[Arm] = []
        for arm in match.arms:
            if self._fits(arm, subject):
                arms.append(arm)
            if isinstance(arm.pattern, AnyPattern) or (isinstance(subject, bool) and arm in arms):
                break
        complete = bool(arms) if isinstance(subject, bool) else is_exhaustive(match.arms)
        reached = [self.block(it.body) for it in arms]
        return any(reached) or not complete

    def _fits(self, arm: Arm, subject: _Known) -> bool:
        if subject is None or not isinstance(arm.pattern, LiteralPattern):
            return True
        literal = arm.pattern.value.value
        return literal is subject if isinstance(subject, bool) else literal != 0

    def _note(self, statement: Statement) -> None:
        """Notes what the statement does, but for those inside it."""
        call = call_of(statement)
        effects = OPERATIONS[call.op].effects if call is not None else Effect.PURE
        if effects & (Effect.WRITES_METADATA | Effect.WRITES_TRAILERS):
            self.found.add(Told.MARKED)
        place: Atom | None = statement.state if isinstance(statement, SetState) else None
        if call is not None and Effect.WRITES_CONTAINER in effects:
            place = call.args[0]
        lasts = isinstance(place, State) and place.name not in self._in_calls
        used = any(self._known(it) is _Status.ERROR for it in atoms_of(statement))
        understood = isinstance(statement, Let) and self._computed(statement.value) is not None
        if (lasts and self._reads_status) or (used and not understood):
            self.found.add(Told.COUNTED)

    def _computed(self, value: Computation) -> _Known:
        match value:
            case Call(op="status"):
                return _Status.ERROR
            case Call(op="eq" | "ne" as op, args=(a, b)) if self._against_zero(a, b):
                return op == "ne"
            case Call(op="not", args=(a,)):
                known = self._known(a)
                return not known if isinstance(known, bool) else None
            case Local():
                return self._known(value)
            case _:
                return None

    def _against_zero(self, a: Atom, b: Atom) -> bool:
        """Whether the two are the status and 0."""
        pairs = ((a, b), (b, a))
        return any(self._known(x) is _Status.ERROR and isinstance(y, Const) and y.value == 0 for x, y in pairs)

    def _known(self, atom: Atom) -> _Known:
        return self._locals.get(atom.name) if isinstance(atom, Local) else None
