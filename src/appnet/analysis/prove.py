"""Proofs that two neighbours may swap: one step, from any state, of either order, comes to the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import z3

from appnet.analysis import orders
from appnet.analysis.decision import Proved, Strength, Unknown
from appnet.analysis.influence import compared, influencing
from appnet.analysis.interference import seen_differences
from appnet.analysis.maps import get
from appnet.analysis.pair import SymbolicOutcome, SymbolicPair, ends_at_once
from appnet.analysis.store import SymbolicHeaders, SymbolicMessage
from appnet.analysis.symbols import TRUE, MapValue, Symbolic, Term, World, both, either, equal_all, negated
from appnet.ir.nodes import Element, StateClass
from appnet.ir.stages import can_end_call, holds_headers
from appnet.language.messages import MethodSignature

BUDGET_MS = 2_000
"""For one question to the solver."""

_WRITTEN = ("first", "second")
_SWAPPED = ("second", "first")


def prove(first: Element, second: Element, method: MethodSignature, strength: Strength) -> Proved | Unknown:
    """Proves that the two may swap; `Unknown` names what could not be shown to be the same."""
    for direction in ("request", "response"):
        if _size_is_seen(first, second, direction) or _size_is_seen(second, first, direction):
            return Unknown(f"{direction}: one reads the message's size, which the other one changes")
    weak = strength is Strength.WEAK
    hidden = {it.name: _Hidden(it, method) if weak else None for it in (first, second)}
    status_may_differ, settled = False, True
    for event in _events(first, second, method):
        comparison = _compared(first, second, method, event)
        for question in comparison.questions(strength):
            never = _never(comparison.world, question.differs)
            if never:
                continue
            flows = hidden[question.element] if question.element is not None else None
            if flows is not None and flows.hides(question.variable):
                continue
            if weak and event.decides_all and comparison.nothing_passes():
                return Proved("both orders refuse all RPCs", status_may_differ=True)
            reason = f"{event.name}: {question.what} could not be shown to be the same"
            return Unknown(reason, settled=never is not None and (flows is None or flows.settled))
        if weak and not status_may_differ:
            never = _never(comparison.world, comparison.refusals_differ())
            status_may_differ, settled = not never, never is not None
    return Proved("every step from every state has the same result in both orders", status_may_differ, settled)


def _compared(first: Element, second: Element, method: MethodSignature, event: _Event) -> _Comparison:
    """What both orders make of the event."""
    world = World()
    pair = SymbolicPair(first, second, method, world)
    if event.is_new_call:
        pair.note_new_call()
    if event.is_only_response:
        pair.note_asked_call()
    return _Comparison(pair, world, event.step(pair, _WRITTEN), event.step(pair, _SWAPPED))


class _Hidden:
    """State of an element that can never show: what does not flow anywhere, and what the solver finds besides.

    ``settled``: whether the solver always had time for an answer.
    """

    def __init__(self, element: Element, method: MethodSignature) -> None:
        self._element = element
        self._method = method
        self.settled = True
        self._found = frozenset(it.name for it in element.state) - influencing(element)

    def hides(self, variable: str) -> bool:
        """Whether the variable is such a one, too."""
        if variable in self._found:
            return True
        more = self._found | {variable}
        for world, differ in seen_differences(self._element, self._method, more):
            never = _never(world, differ)
            self.settled &= never is not None
            if not never:
                return False
        self._found = more
        return True


def _size_is_seen(reader: Element, writer: Element, direction: str) -> bool:
    """Whether one reads the size that a message came with: in another proxy it has what the other one wrote."""
    read, wrote = ((it.req if direction == "request" else it.resp).effects for it in (reader, writer))
    return read.reads_size and any(it.written or it.cleared for it in wrote.fields)


@dataclass(frozen=True)
class _Event:
    """Something that happens to a call.

    ``is_new_call``: nothing was kept for the call before. ``is_only_response``: its one request has passed before.
    ``decides_all``: nothing else happens to a call that is refused here.
    """

    name: str
    step: Callable[[SymbolicPair, tuple[str, str]], SymbolicOutcome]
    is_new_call: bool = False
    is_only_response: bool = False
    decides_all: bool = False


def _events(first: Element, second: Element, method: MethodSignature) -> Iterator[_Event]:
    """What together is all that can happen to a call.

    Where one of the two sees calls begin, a call comes to a handler of theirs at its headers, and then at its message,
    or at both at once, where one waits for the other.
    """
    alone = not method.server_streaming  # no server speaks first
    new = not method.client_streaming
    request = _Event("request", SymbolicPair.request, is_new_call=new, decides_all=alone)
    if first.open is None and second.open is None:
        yield request
    else:
        waits = any(one.open is not None and holds_headers(other) for one, other in ((first, second), (second, first)))
        if not waits:
            yield _Event("open", SymbolicPair.open, is_new_call=True)
        yield _Event("request", SymbolicPair.request)
        yield _Event("open and request", partial(SymbolicPair.whole, early=False), is_new_call=True)
        if not method.client_streaming:
            yield _Event("open and request", partial(SymbolicPair.whole, early=True), is_new_call=True)
    yield _Event("response", SymbolicPair.response, is_only_response=new and alone)


@dataclass(frozen=True)
class _Question:
    """``differs``: when the orders are told apart by this; it may be about the ``variable`` of an ``element``."""

    what: str
    differs: Term
    element: str | None = None
    variable: str = ""


@dataclass(frozen=True)
class _Comparison:
    """Two outcomes of one message, from equal states."""

    pair: SymbolicPair
    world: World
    written: SymbolicOutcome
    swapped: SymbolicOutcome

    def questions(self, strength: Strength) -> Iterator[_Question]:
        """All that has to be the same."""
        a, b = self.written, self.swapped
        yield _Question("whether the RPC passes", self._differ(a.forwarded, b.forwarded))
        yield _Question("whether the caller gets a reply", self._differ(a.answered, b.answered))
        passes = both(a.forwarded, b.forwarded)
        yield from self._fields("field", passes, a.message, b.message)
        if not z3.is_false(a.answered):
            answered = both(a.answered, b.answered)
            yield from self._fields("in the reply, field", answered, a.reply, b.reply)
            yield _Question("metadata of the reply", both(answered, self._headers_differ(a.reply, b.reply)))
        sent_on = either(
            either(
                self._differ(a.message.destination, b.message.destination),
                self._differ(a.message.wait, b.message.wait),
            ),
            self._differ(a.message.deadline, b.message.deadline),
        )
        differs = either(self._headers_differ(a.message, b.message), sent_on)
        yield _Question("metadata, host, delay or deadline", both(passes, differs))
        refused = negated(either(passes, a.answered))
        if strength is Strength.STRONG:
            told = either(self._differ(a.code, b.code), self._differ(a.text, b.text))
            told = either(told, self._of_headers_differ(a.metadata, b.metadata))
            yield _Question("what the caller sees", both(refused, told))
        for place in self.pair.elements:
            yield from self._states(place, passes, strength)
            yield from self._end(place, strength)

    def nothing_passes(self) -> bool:
        """Whether no order ever lets an RPC pass, or answers one."""
        a, b = self.written, self.swapped
        return bool(_never(self.world, either(either(a.forwarded, b.forwarded), either(a.answered, b.answered))))

    def refusals_differ(self) -> Term:
        """When both refuse, with another status or other metadata."""
        a, b = self.written, self.swapped
        ends = either(either(a.forwarded, b.forwarded), either(a.answered, b.answered))
        told = either(self._differ(a.code, b.code), self._of_headers_differ(a.metadata, b.metadata))
        return both(negated(ends), told)

    def _fields(self, what: str, where: Term, a: SymbolicMessage, b: SymbolicMessage) -> Iterator[_Question]:
        for path, value in a.fields.items():
            differs = either(self._differ(value, b.fields[path]), self._differ(a.written[path], b.written[path]))
            yield _Question(f"{what} `{path}`", both(where, differs))
        for kind, one, other in (("there", a.present, b.present), ("cleared", a.cleared, b.cleared)):
            for path, value in one.items():
                yield _Question(f"whether {what} `{path}` is {kind}", both(where, self._differ(value, other[path])))

    def _end(self, place: str, strength: Strength) -> Iterator[_Question]:
        element = self.pair.elements[place]
        if element.end is None or not element.end.effects.state_written & compared(element, strength):
            return
        a, b = self.written, self.swapped
        if place in a.ends:
            differs = self._differ(a.ends[place], b.ends[place])
            if ends_at_once(element):  # where the call is over, it has run
                differs = both(both(a.forwarded, b.forwarded), differs)
            yield _Question(f"whether `end` of {element.name} runs", differs)
        if element.end.effects.reads_status:
            over = negated(both(a.forwarded, b.forwarded))
            differs = both(both(over, a.ends.get(place, TRUE)), self._differ(a.left[place], b.left[place]))
            if not a.ends:  # a response may be the last
                differs = self._differ(a.left[place], b.left[place])
            yield _Question(f"the status that `end` of {element.name} sees", differs)
        if element.end.effects.trailers_read:
            others = (it for at, it in self.pair.elements.items() if at != place)
            if any(map(_touches_trailers, others)):
                yield _Question(f"the trailers that `end` of {element.name} sees", TRUE)

    def _states(self, place: str, passes: Term, strength: Strength) -> Iterator[_Question]:
        element = self.pair.elements[place]
        variables = compared(element, strength)
        for it in element.state:
            if it.name not in variables:
                continue
            a, b = self.written.states[place][it.name], self.swapped.states[place][it.name]
            if it.state_class is not StateClass.RPC_SCOPED:
                differs = self._differ(a, b)
            elif isinstance(a, MapValue) and isinstance(b, MapValue):  # seen by its call alone, while that lasts
                at_call = [get(self.world, held, self.pair.call) for held in (a, b)]
                at_end = element.end is not None and it.name in element.end.effects.state_read
                differs = both(TRUE if at_end else passes, self._differ(*at_call))
            else:
                continue
            yield _Question(f"`{it.name}` of {element.name}", differs, element.name, it.name)

    def _headers_differ(self, a: SymbolicMessage, b: SymbolicMessage) -> Term:
        return either(self._of_headers_differ(a.metadata, b.metadata), self._of_headers_differ(a.trailers, b.trailers))

    def _of_headers_differ(self, a: SymbolicHeaders, b: SymbolicHeaders) -> Term:
        return either(self._differ(a.text, b.text), self._differ(a.how, b.how))

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


def _touches_trailers(element: Element) -> bool:
    """Whether elements before it can see other trailers than came from behind it."""
    effects = element.resp.effects
    written = effects.metadata_written or effects.trailers_written
    return written or any(map(can_end_call, (element.open, element.req, element.resp)))
