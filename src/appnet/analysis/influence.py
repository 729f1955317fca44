"""Which state can be told by anybody but the element itself: information flow inside one element.

A variable influences when a verdict, a message, a header or a random draw that matters can come out differently
because of its value, directly, through other variables, or by deciding what runs. All else is record-only: logs,
histograms, counters that nobody asks.
"""

from __future__ import annotations

from collections import defaultdict

from appnet.analysis.decision import Strength
from appnet.ir.nodes import (
    Answer,
    Arm,
    Atom,
    Block,
    Call,
    ClearField,
    Const,
    Delay,
    Element,
    Foreach,
    Forward,
    Let,
    Local,
    Match,
    NewReply,
    Refuse,
    Route,
    SetState,
    SomePattern,
    State,
    Statement,
    WriteField,
    WriteReply,
)
from appnet.ir.walk import atoms_of, call_of
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS

_SEEN = ("seen", "")  # what the outside sees
_DRAWS = ("draws", "")  # how many draws were made, and with it, what the next one gives

_CLOCK = ("clock", "")

_SENT = Effect.WRITES_METADATA | Effect.WRITES_TRAILERS | Effect.SETS_DEADLINE
"""What an operation changes that goes on with the message."""

_Place = tuple[str, str]
"""A kind ("state", or the handler of a local) and a name."""


def compared(element: Element, strength: Strength) -> frozenset[str]:
    """The variables that have to be the same in both orders."""
    return influencing(element) if strength is Strength.WEAK else frozenset(it.name for it in element.state)


def influencing(element: Element) -> frozenset[str]:
    """The state variables that can influence a verdict or a message, now or later."""
    found = _flows(element).into(_SEEN)
    return frozenset(name for kind, name in found if kind == "state")


def clock_is_seen(element: Element) -> bool:
    """Whether what the clock says can influence a verdict or a message."""
    return _CLOCK in _flows(element).into(_SEEN)


def clock_is_kept(element: Element, variable: str) -> bool:
    """Whether what the clock says can influence the state variable."""
    return _CLOCK in _flows(element).into(("state", variable))


def _flows(element: Element) -> _Flows:
    flows = _Flows()
    for name, handler in element.handlers.items():
        flows.handler = name
        flows.block(handler.body, frozenset())
    return flows


class _Flows:
    """Where the values of each place can come from."""

    def __init__(self) -> None:
        self.handler = ""
        self._from: defaultdict[_Place, set[_Place]] = defaultdict(set)

    def into(self, goal: _Place) -> set[_Place]:
        """Every place that something flows from to the goal, by any way."""
        found = {goal}
        pending = [goal]
        while pending:
            new = self._from[pending.pop()] - found
            found |= new
            pending += new
        return found

    def block(self, block: Block, deciding: frozenset[_Place]) -> None:
        """Adds the block's flows; ``deciding``: what decides whether it runs."""
        for statement in block.statements:
            self._statement(statement, deciding)

    def _statement(self, statement: Statement, deciding: frozenset[_Place]) -> None:
        sources = self._places(atoms_of(statement)) | deciding
        call = call_of(statement)
        if call is not None and Effect.TIME in OPERATIONS[call.op].effects:
            sources |= {_CLOCK}
        if call is not None:
            self._call(call, sources)
        match statement:
            case Let(local=local):
                random = call is not None and Effect.RANDOM in OPERATIONS[call.op].effects
                self._from[self._place(local)] |= sources | ({_DRAWS} if random else set())
            case SetState(state=state):
                self._from[self._place(state)] |= sources
            case (
                ClearField()
                | WriteField()
                | Forward()
                | Refuse()
                | NewReply()
                | WriteReply()
                | Answer()
                | Route()
                | Delay()
            ):
                self._from[_SEEN] |= sources
            case Match(arms=arms):
                for arm in arms:
                    self._arm(arm, sources)
            case Foreach(item=item, body=body):
                self._from[self._place(item)] |= sources
                self.block(body, sources)

    def _call(self, call: Call, sources: frozenset[_Place]) -> None:
        effects = OPERATIONS[call.op].effects
        if Effect.RANDOM in effects:
            self._from[_DRAWS] |= sources
        if effects & _SENT:
            self._from[_SEEN] |= sources
        if Effect.WRITES_CONTAINER in effects and not isinstance(call.args[0], Const):
            self._from[self._place(call.args[0])] |= sources

    def _arm(self, arm: Arm, sources: frozenset[_Place]) -> None:
        if isinstance(arm.pattern, SomePattern) and arm.pattern.local is not None:
            self._from[self._place(arm.pattern.local)] |= sources
        self.block(arm.body, sources)

    def _places(self, atoms: tuple[Atom, ...]) -> frozenset[_Place]:
        return frozenset(self._place(atom) for atom in atoms if not isinstance(atom, Const))

    def _place(self, atom: Local | State) -> _Place:
        return ("state" if isinstance(atom, State) else self.handler, atom.name)
