"""What two neighbours together do to one message, in one order: as a chain of the two would do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import z3

from appnet.analysis import maps
from appnet.analysis.constants import constants
from appnet.analysis.execute import Execution, any_state
from appnet.analysis.fields import hold
from appnet.analysis.replay import MOST_STATUS
from appnet.analysis.store import Store, SymbolicMessage, merge_messages, merge_named
from appnet.analysis.symbols import (
    BITS,
    FALSE,
    TEXT,
    TRUE,
    MapValue,
    Option,
    Symbolic,
    Term,
    World,
    both,
    negated,
    variable,
    when,
)
from appnet.ir.nodes import Element
from appnet.ir.state_classes import keyed_by_call
from appnet.language.messages import MessageSchema, MethodSignature

State = Mapping[str, Symbolic]


@dataclass(frozen=True)
class SymbolicOutcome:
    """What comes of a message.

    It is ``forwarded`` as ``message``, the caller is ``answered`` with the fields of ``reply``, or told ``code``
    and ``text``. ``states``: of the elements afterwards, by their place.
    """

    forwarded: Term
    message: SymbolicMessage
    code: Term
    text: Term
    states: Mapping[str, State]
    answered: Term
    reply: SymbolicMessage


class SymbolicPair:
    """Two elements, each in any state, and any message; ``elements`` by place, "first" and "second"."""

    def __init__(self, first: Element, second: Element, method: MethodSignature, world: World) -> None:
        self.elements = {"first": first, "second": second}
        self.call = z3.BitVec("call", BITS)
        self._method = method
        self._world = world
        self.states: dict[str, State] = {
            place: any_state(it, place, world, constants(it)) for place, it in self.elements.items()
        }

    def request(self, order: tuple[str, str]) -> SymbolicOutcome:
        """Any request, in the order from client to server."""
        outer, inner = order
        message = self._message("request")
        one = self._run(outer, "req", self.states[outer], message)
        other = self._run(inner, "req", self.states[inner], one.message)
        seen = merge_messages(other.answered, self._answer(other), self._error(other.code))
        told = self._run(outer, "resp", one.state, seen)  # what is told passes who forwarded
        reached = one.forwards()
        told_on = both(reached, negated(other.forwards()))
        code, text = _told(told, other)
        return SymbolicOutcome(
            both(reached, other.forwards()),
            other.message,
            when(reached, code, one.code),
            when(reached, text, one.text),
            {
                outer: merge_named(told_on, told.state, one.state),
                inner: merge_named(reached, other.state, self.states[inner]),
            },
            when(reached, both(told.forwards(), other.answered), one.answered),
            merge_messages(reached, told.message, self._answer(one)),
        )

    def response(self, order: tuple[str, str]) -> SymbolicOutcome:
        """Any response, or error response, of a call whose request both forwarded."""
        outer, inner = order
        message = self._message("response")
        one = self._run(inner, "resp", self.states[inner], message)
        seen = merge_messages(one.forwards(), one.message, self._error(one.code))
        other = self._run(outer, "resp", self.states[outer], seen)
        code, text = _told(other, one)
        states = {inner: one.state, outer: other.state}
        return SymbolicOutcome(
            both(one.forwards(), other.forwards()), other.message, code, text, states, FALSE, other.message
        )

    def note_new_call(self) -> None:
        """Notes what holds when the request of a unary call comes: nothing was kept for the call yet."""
        for place, element in self.elements.items():
            variables = {it.name: it.type for it in element.state}
            for name in keyed_by_call(element.init, element.req.body, element.resp.body, variables):
                held = self.states[place][name]
                if isinstance(held, MapValue):
                    self._world.facts.append(negated(maps.get(self._world, held, self.call).present))

    def _run(self, place: str, handler: str, state: State, message: SymbolicMessage) -> Store:
        schema = self._schema("request" if handler == "req" else "response")
        method = self._method.full_name.encode()
        answers = {path: self._method.response.fields[path] for path in self._paths("response")}
        execution = Execution(self.elements[place], place, handler, self._world, self.call, method, schema, answers)
        return execution.run(state, message)

    def _message(self, direction: str) -> SymbolicMessage:
        """Any message of the direction; a response that another element made is one, too, be it an error or a reply."""
        zero = z3.BitVecVal(0, BITS)
        status = zero if direction == "request" else z3.BitVec("response status", BITS)
        made_here = FALSE if direction == "request" else z3.Bool("response made here")
        if direction == "response":
            self._world.facts.append(z3.ULE(status, MOST_STATUS))
        metadata = z3.Const(f"{direction} metadata", z3.ArraySort(TEXT, TEXT))
        destination = Option(z3.Bool(f"{direction} destination set"), z3.Const(f"{direction} destination", TEXT))
        fields = {path: self._field(direction, path) for path in self._paths(direction)}
        untouched = z3.K(TEXT, FALSE)
        return SymbolicMessage(
            status, made_here, metadata, untouched, destination, z3.IntVal(0), fields, dict.fromkeys(fields, FALSE)
        )

    def _error(self, code: Term) -> SymbolicMessage:
        """The error response that the chain makes of a refusal."""
        return replace(self._message("response"), status=code, made_here=TRUE)

    def _answer(self, replying: Store) -> SymbolicMessage:
        """The response that the chain makes of a reply."""
        zero = z3.BitVecVal(0, BITS)
        reply = dict(replying.reply), dict(replying.set_in_reply)
        any_response = self._message("response")
        headers = any_response.metadata, any_response.metadata_set, any_response.destination, any_response.wait
        return SymbolicMessage(zero, TRUE, *headers, *reply)

    def _paths(self, direction: str) -> list[str]:
        """The fields that the two use."""
        handlers = [it.req if direction == "request" else it.resp for it in self.elements.values()]
        used = [it for handler in handlers for it in handler.effects.fields]
        if direction == "response":
            used += [it for element in self.elements.values() for it in element.req.effects.reply_fields]
        return list(dict.fromkeys(it.path for it in used))

    def _field(self, direction: str, path: str) -> Symbolic:
        """Any value that the wire holds in the field."""
        field = self._schema(direction).fields[path]
        return hold(variable(f"{direction} {path}", field.type), field)

    def _schema(self, direction: str) -> MessageSchema:
        return self._method.request if direction == "request" else self._method.response


def _told(last: Store, before: Store) -> tuple[Term, Term]:
    """What the caller is told where one of the two refuses: what the last one said that did."""
    return when(last.forwards(), before.code, last.code), when(last.forwards(), before.text, last.text)
