"""Proofs that two neighbours may swap: one step, from any state, of either order, comes to the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import z3

from appnet.analysis import orders
from appnet.analysis.decision import Proved, Strength, Unknown
from appnet.analysis.influence import influencing
from appnet.analysis.maps import get
from appnet.analysis.pair import SymbolicOutcome, SymbolicPair
from appnet.analysis.store import SymbolicMessage
from appnet.analysis.symbols import MapValue, Symbolic, Term, World, both, either, equal_all, negated
from appnet.ir.nodes import Element, StateClass
from appnet.language.messages import MethodSignature

BUDGET_MS = 2_000
"""For one question to the solver."""

_WRITTEN = ("first", "second")
_SWAPPED = ("second", "first")


def prove(first: Element, second: Element, method: MethodSignature, strength: Strength) -> Proved | Unknown:
    """Proves that the two may swap; `Unknown` names what could not be shown to be the same."""
    status_may_differ, settled = False, True
    for direction in ("request", "response"):
        world = World()
        pair = SymbolicPair(first, second, method, world)
        if direction == "request" and not method.client_streaming:
            pair.note_new_call()
        elif direction == "response" and not (method.client_streaming or method.server_streaming):
            pair.note_asked_call()
        step = pair.request if direction == "request" else pair.response
        comparison = _Comparison(pair, world, strength, step(_WRITTEN), step(_SWAPPED))
        for question in comparison.questions():
            never = _never(world, question.differs)
            if not never:
                reason = f"{direction}: {question.what} could not be shown to be the same"
                return Unknown(reason, settled=never is not None)
        if strength is Strength.WEAK and not status_may_differ:
            never = _never(world, comparison.refusals_differ())
            status_may_differ, settled = not never, never is not None
    return Proved("every step from every state comes to the same", status_may_differ, settled)


@dataclass(frozen=True)
class _Question:
    """``differs``: when the orders are told apart by this."""

    what: str
    differs: Term


@dataclass(frozen=True)
class _Comparison:
    """Two outcomes of one message, from equal states."""

    pair: SymbolicPair
    world: World
    strength: Strength
    written: SymbolicOutcome
    swapped: SymbolicOutcome

    def questions(self) -> Iterator[_Question]:
        """All that has to be the same."""
        a, b = self.written, self.swapped
        yield _Question("whether the RPC passes", self._differ(a.forwarded, b.forwarded))
        yield _Question("whether the caller gets a reply", self._differ(a.answered, b.answered))
        passes = both(a.forwarded, b.forwarded)
        yield from self._fields("field", passes, a.message, b.message)
        if not z3.is_false(a.answered):
            yield from self._fields("in the reply, field", both(a.answered, b.answered), a.reply, b.reply)
        headers = either(
            either(
                self._differ(a.message.metadata, b.message.metadata),
                self._differ(a.message.metadata_set, b.message.metadata_set),
            ),
            either(
                self._differ(a.message.destination, b.message.destination),
                self._differ(a.message.wait, b.message.wait),
            ),
        )
        yield _Question("metadata, host or delay", both(passes, headers))
        refused = negated(either(passes, a.answered))
        if self.strength is Strength.STRONG:
            told = either(self._differ(a.code, b.code), self._differ(a.text, b.text))
            yield _Question("what the caller is told", both(refused, told))
        for place in self.pair.elements:
            yield from self._states(place, passes)

    def refusals_differ(self) -> Term:
        """When both refuse, with another status."""
        a, b = self.written, self.swapped
        ends = either(either(a.forwarded, b.forwarded), either(a.answered, b.answered))
        return both(negated(ends), self._differ(a.code, b.code))

    def _fields(self, what: str, where: Term, a: SymbolicMessage, b: SymbolicMessage) -> Iterator[_Question]:
        for path, value in a.fields.items():
            differs = either(self._differ(value, b.fields[path]), self._differ(a.written[path], b.written[path]))
            yield _Question(f"{what} `{path}`", both(where, differs))

    def _states(self, place: str, passes: Term) -> Iterator[_Question]:
        element = self.pair.elements[place]
        matters = influencing(element) if self.strength is Strength.WEAK else {it.name for it in element.state}
        for it in element.state:
            if it.name not in matters:
                continue
            a, b = self.written.states[place][it.name], self.swapped.states[place][it.name]
            if it.state_class is not StateClass.RPC_SCOPED:
                yield _Question(f"`{it.name}` of {element.name}", self._differ(a, b))
            elif isinstance(a, MapValue) and isinstance(b, MapValue):  # seen by its call alone, while that lasts
                at_call = [get(self.world, held, self.pair.call) for held in (a, b)]
                yield _Question(f"`{it.name}` of {element.name}", both(passes, self._differ(*at_call)))

    def _differ(self, a: Symbolic, b: Symbolic) -> Term:
        return negated(equal_all(self.world, a, b))


def _never(world: World, condition: Term) -> bool | None:
    """Whether the solver shows that the condition never holds; None where it cannot say in time."""
    if z3.is_false(condition):
        return True
    solver = z3.Solver()
    solver.set("timeout", BUDGET_MS)
    solver.add(*world.facts, *world.distinct(), *orders.of_literals(world), condition)
    found = solver.check()
    return None if found == z3.unknown else bool(found == z3.unsat)
