"""What two neighbours together do to one message, in one order: as a chain of the two would do it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import z3

from appnet.analysis import maps
from appnet.analysis.constants import constants
from appnet.analysis.execute import Execution, any_state
from appnet.analysis.fields import absent, hold, makes_messages
from appnet.analysis.replay import MOST_STATUS
from appnet.analysis.store import Store, SymbolicHeaders, SymbolicMessage, merge_headers, merge_messages, merge_named
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
    either,
    equal_all,
    flatten,
    negated,
    variable,
    when,
)
from appnet.ir.nodes import Element, Handler, StateClass
from appnet.ir.stages import judged_at_headers, reached_together
from appnet.ir.state_classes import keyed_by_call
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.statuses import STATUS_CODES
from appnet.language.types import STRING

State = Mapping[str, Symbolic]


@dataclass(frozen=True)
class SymbolicOutcome:
    """What comes of a message.

    It is ``forwarded`` as ``message``, the caller is ``answered`` with the fields of ``reply``, or told ``code``
    and ``text``, with ``metadata``. ``states``: of the elements afterwards, by their place. ``ends``: whether its
    ``end`` will run, and ``left``: with which status the call leaves it, if it does.
    """

    forwarded: Term
    message: SymbolicMessage
    code: Term
    text: Term
    metadata: SymbolicHeaders
    states: Mapping[str, State]
    answered: Term
    reply: SymbolicMessage
    ends: Mapping[str, Term]
    left: Mapping[str, Term]


class _Played:
    """How far a call has come. ``flags``: whether a handler of a place let it pass."""

    def __init__(
        self, message: SymbolicMessage, reply: SymbolicMessage, states: dict[str, State], metadata: SymbolicHeaders
    ) -> None:
        self.message, self.reply, self.states, self.metadata = message, reply, states, metadata
        self.alive, self.answered, self._failed = TRUE, FALSE, FALSE
        self.code: Term = z3.BitVecVal(0, BITS)
        self.text: Term = z3.Const("no text", TEXT)
        self.flags: defaultdict[tuple[str, str], Term] = defaultdict(lambda: FALSE)
        self.left: dict[str, Term] = dict.fromkeys(states, z3.BitVecVal(STATUS_CODES["CANCELLED"], BITS))

    def passed(self, place: str, handler: str, when_: Term) -> None:
        """The handler lets the call pass under the condition."""
        self.flags[place, handler] = when_

    def step(self, place: str, handler: str, store: Store, answer: SymbolicMessage) -> None:
        """The handler has run, where the call came to it."""
        came, passes = self.alive, both(self.alive, store.forwards())
        self._failed = both(came, negated(store.forwards()))
        self.states[place] = merge_named(came, store.state, self.states[place])
        self.message = merge_messages(came, store.message, self.message)
        self.code, self.text = when(self._failed, store.code, self.code), when(self._failed, store.text, self.text)
        self.metadata = merge_headers(self._failed, store.told, self.metadata)
        answers = both(came, store.answered)
        self.answered = when(answers, TRUE, self.answered)
        self.reply = merge_messages(answers, answer, self.reply)
        if handler == "req":
            self.left[place] = when(self._failed, store.code, self.left[place])
        self.passed(place, handler, passes)
        self.alive = passes

    def tell(self, outer: str, told: Store) -> None:
        """The element before, which had let the call pass, has seen how the last step ended it."""
        status = self.code
        refused = both(self._failed, negated(told.forwards()))
        self.states[outer] = merge_named(self._failed, told.state, self.states[outer])
        self.code, self.text = when(refused, told.code, self.code), when(refused, told.text, self.text)
        seen = merge_headers(told.forwards(), _carried(told.message), told.told)
        self.metadata = merge_headers(self._failed, seen, self.metadata)
        self.reply = merge_messages(self._failed, told.message, self.reply)
        self.answered = both(self.answered, negated(refused))
        self.left[outer] = when(self._failed, when(refused, told.code, status), self.left[outer])


class SymbolicPair:
    """Two elements, each in any state, and any message; ``elements`` by place, "first" and "second"."""

    def __init__(self, first: Element, second: Element, method: MethodSignature, world: World) -> None:
        self.elements = {"first": first, "second": second}
        self.call = z3.BitVec("call", BITS)
        self._method = method
        self._world = world
        self._passed = z3.Bool("response passed") if method.server_streaming else FALSE
        self.states: dict[str, State] = {
            place: any_state(it, place, world, constants(it)) for place, it in self.elements.items()
        }

    def request(self, order: tuple[str, str]) -> SymbolicOutcome:
        """Any request of a call that both let begin, in the order from client to server."""
        return self._play(order, [(place, "req") for place in order])

    def open(self, order: tuple[str, str]) -> SymbolicOutcome:
        """The beginning of any call, where both see it before a message."""
        return self._play(order, [(place, "open") for place in order])

    def whole(self, order: tuple[str, str], *, early: bool) -> SymbolicOutcome:
        """The beginning of any call and its request at once.

        ``early``: nothing before the two waits for the message, so that a `req` that looks at none runs at the headers.
        """
        elements = [self.elements[place] for place in order]
        judged = judged_at_headers(elements, self._method) if early else 0
        steps = [(place, handler) for place in order[:judged] for handler in ("open", "req")]
        opened = judged
        for number in range(judged, len(order)):
            if number == opened:
                opened = reached_together(elements, number)
                steps += [(place, "open") for place in order[number:opened]]
            steps.append((order[number], "req"))
        return self._play(order, steps)

    def _play(self, order: tuple[str, str], steps: list[tuple[str, str]]) -> SymbolicOutcome:
        """Handlers of the way there, one after another, as long as none ends the call."""
        outer, inner = order
        nothing = SymbolicHeaders.none(self._world.literal(b"", STRING))
        played = _Played(self.message("request"), self.message("response"), dict(self.states), nothing)
        for place, handler in steps:
            if handler not in self.elements[place].handlers:
                played.passed(place, handler, played.alive)
                continue
            store = self.run(place, handler, played.states[place], played.message)
            told = None
            if place == inner and (outer, "req") in steps[: steps.index((place, handler))]:
                error = self._error(store, self.message("response"))
                seen = merge_messages(store.answered, self._answer(store), error)
                told = self.run(outer, "resp", played.states[outer], seen)  # what is told passes who forwarded
            played.step(place, handler, store, self._answer(store))
            if told is not None:
                played.tell(outer, told)
        ends = {
            place: played.flags[place, "open" if it.open is not None else "req"]
            for place, it in self.elements.items()
            if it.end is not None
        }
        for place, ending in ends.items():
            if ends_at_once(self.elements[place]):  # where the call is over, its end has come with it
                over = both(ending, negated(played.alive))
                ended = self.run(
                    place, "end", played.states[place], replace(self.message("response"), status=played.left[place])
                )
                played.states[place] = merge_named(over, ended.state, played.states[place])
        return SymbolicOutcome(
            forwarded=played.alive,
            message=played.message,
            code=played.code,
            text=played.text,
            metadata=played.metadata,
            states=played.states,
            answered=played.answered,
            reply=played.reply,
            ends=ends,
            left=played.left,
        )

    def response(self, order: tuple[str, str]) -> SymbolicOutcome:
        """Any response, or error response, of a call whose request both forwarded."""
        outer, inner = order
        message = self.message("response")
        one = self.run(inner, "resp", self.states[inner], message)
        seen = merge_messages(one.forwards(), one.message, self._error(one, one.message))
        other = self.run(outer, "resp", self.states[outer], seen)
        code, text, metadata = _told(other, one)
        states = {inner: one.state, outer: other.state}
        left = {inner: when(one.forwards(), message.status, one.code)}
        left[outer] = when(other.forwards(), seen.status, other.code)
        passes = both(one.forwards(), other.forwards())
        return SymbolicOutcome(
            forwarded=passes,
            message=other.message,
            code=code,
            text=text,
            metadata=metadata,
            states=states,
            answered=FALSE,
            reply=other.message,
            ends={},
            left=left,
        )

    def note_new_call(self) -> None:
        """Notes what holds when the request of a unary call comes: nothing was kept for the call yet."""
        for place, element in self.elements.items():
            variables = {it.name: it.type for it in element.state}
            for name in keyed_by_call(element.init, element.bodies, variables):
                held = self.states[place][name]
                if isinstance(held, MapValue):
                    self._world.facts.append(negated(maps.get(self._world, held, self.call).present))

    def note_asked_call(self) -> None:
        """Notes what holds when the response of a unary call comes: `req` ran once before, and left what is kept."""
        for place, element in self.elements.items():
            variables = {it.name: it.type for it in element.state}
            by_call = keyed_by_call(element.init, element.bodies, variables)
            kept = {it.name: it.state_class for it in element.state if it.name in by_call}
            if kept and element.open is None:
                self._note_kept(place, kept)

    def _note_kept(self, place: str, kept: Mapping[str, StateClass]) -> None:
        """Notes of Maps that are set at the number of the call alone what the request left there."""
        earlier, world = f"{place} earlier", self._world
        element = self.elements[place]
        before = any_state(element, earlier, world, constants(element))
        for name in kept:
            world.facts.append(negated(maps.get(world, before[name], self.call).present))
        asked = self._execution(place, "req", earlier).run(before, self.message("request", earlier))
        world.facts += [asked.forwards(), z3.BitVec(f"{earlier} now", BITS) <= z3.BitVec(f"{place} now", BITS)]
        for name, state_class in kept.items():
            now, then = (maps.get(world, state[name], self.call) for state in (self.states[place], asked.state))
            same = both(then.present, equal_all(world, now.value, then.value))
            known = now.present if state_class is not StateClass.RPC_SCOPED else either(now.present, then.present)
            world.facts.append(either(negated(known), both(now.present, same)))

    def run(self, place: str, handler: str, state: State, message: SymbolicMessage) -> Store:
        """The handler of one of the elements."""
        return self._execution(place, handler, place).run(state, message)

    def _execution(self, place: str, handler: str, name: str) -> Execution:
        """A run of the element in the place. ``name``: tells its clock and its draws from others."""
        schema = self._schema("response" if handler == "resp" else "request")
        method = self._method.full_name.encode()
        known = self._method.response.fields
        answers = {path: known[path] for path in self._paths("response") if path in known}
        return Execution(self.elements[place], name, handler, self._world, self.call, method, schema, answers)

    def message(self, direction: str, when_: str = "") -> SymbolicMessage:
        """Any message of the direction; a response that another element made is one, too, be it an error or a reply.

        ``when_``: tells it from the one that the pair sees now.
        """
        zero = z3.BitVecVal(0, BITS)
        status = zero if direction == "request" else z3.BitVec("response status", BITS)
        made_here = FALSE if direction == "request" else z3.Bool("response made here")
        if direction == "response":
            self._world.facts.append(z3.ULE(status, MOST_STATUS))
        name = f"{when_} {direction}".strip()
        at_once = FALSE if direction == "request" else z3.Bool("response at once")
        self._world.facts.append(either(negated(at_once), negated(self._world.equal(status, zero))))
        metadata, trailers = (SymbolicHeaders.came(f"{name} {which}") for which in ("metadata", "trailers"))
        destination = Option(z3.Bool(f"{name} destination set"), z3.Const(f"{name} destination", TEXT))
        fields = {path: self._field(direction, path, name) for path in self._paths(direction)}
        present = {path: z3.Bool(f"{name} has {path}") for path in self._asked(direction)}
        self._note_absent(direction, fields, present)
        begun = both(negated(either(at_once, self._passed)), negated(self._world.equal(status, zero)))
        return SymbolicMessage(
            status=status,
            made_here=made_here,
            metadata=metadata,
            trailers=trailers,
            at_once=at_once,
            begun=begun,
            destination=destination,
            wait=z3.IntVal(0),
            deadline=z3.Int(f"{when_} deadline".strip()),
            fields=fields,
            written=dict.fromkeys(fields, FALSE),
            present=present,
            cleared=dict.fromkeys(self._cleared(direction), FALSE),
            size=z3.BitVec(f"{name} size", BITS),
        )

    def _note_absent(self, direction: str, fields: Mapping[str, Symbolic], present: Mapping[str, Term]) -> None:
        """Notes that what is not there reads so."""
        schema = self._schema(direction)
        for path, there in present.items():
            for inside in (it for it in fields if schema.field(it).is_inside(path)):
                one, other = flatten(fields[inside]), flatten(absent(self._world, schema.field(inside)))
                if [it.sort() for it in one] == [it.sort() for it in other]:
                    same = z3.And([a == b for a, b in zip(one, other, strict=True)])
                    self._world.facts.append(z3.Or(there, same))
            for outer in (it for it in present if it != path and schema.field(path).is_inside(it)):
                self._world.facts.append(z3.Or(present[outer], z3.Not(there)))

    def _error(self, refusing: Store, response: SymbolicMessage) -> SymbolicMessage:
        """The error response that the chain makes of a refusal, in the place of this one or behind it."""
        passed = self._passed
        return replace(
            response,
            status=refusing.code,
            made_here=negated(passed),
            metadata=merge_headers(passed, response.metadata, refusing.told),
            trailers=refusing.told,
            at_once=negated(passed),
            begun=FALSE,
        )

    def _answer(self, replying: Store) -> SymbolicMessage:
        """The response that the chain makes of a reply."""
        zero = z3.BitVecVal(0, BITS)
        any_response = self.message("response")
        return replace(
            any_response,
            status=zero,
            made_here=TRUE,
            metadata=replying.told,
            trailers=SymbolicHeaders.none(self._world.literal(b"", STRING)),
            at_once=FALSE,
            begun=FALSE,
            fields=dict(replying.reply),
            written=dict(replying.set_in_reply),
            present={path: self._in_reply(path, replying) for path in any_response.present},
            size=zero,
        )

    def _in_reply(self, path: str, replying: Store) -> Term:
        """Whether the reply has a field, or makes a message."""
        schema, there = self._method.response, FALSE
        for it, is_set in replying.set_in_reply.items():
            if schema.field(it).is_inside(path):
                made = TRUE if it == path else makes_messages(self._world, replying.reply[it], schema.fields[it])
                there = either(there, both(is_set, made))
        return there

    def _paths(self, direction: str) -> list[str]:
        """The fields that the two read or write."""
        used = [it for handler in self._handlers(direction) for it in handler.effects.fields if it.read or it.written]
        if direction == "response":
            used += [it for element in self.elements.values() for it in element.req.effects.reply_fields]
        return list(dict.fromkeys(it.path for it in used))

    def _field(self, direction: str, path: str, name: str) -> Symbolic:
        """Any value that the wire holds in the field."""
        field = self._schema(direction).field(path)
        return hold(variable(f"{name} {path}", field.type), field)

    def _asked(self, direction: str) -> list[str]:
        """The fields of which one of the two asks whether they are there."""
        asked = (it.path for handler in self._handlers(direction) for it in handler.effects.fields if it.asked)
        return list(dict.fromkeys(asked))

    def _cleared(self, direction: str) -> list[str]:
        """The fields that one of the two may take away."""
        return sorted(frozenset().union(*(it.effects.fields_cleared for it in self._handlers(direction))))

    def _handlers(self, direction: str) -> list[Handler]:
        return [it.req if direction == "request" else it.resp for it in self.elements.values()]

    def _schema(self, direction: str) -> MessageSchema:
        return self._method.request if direction == "request" else self._method.response


def ends_at_once(element: Element) -> bool:
    """Whether the end of a call, of whose beginning the element has a say, does the same whatever ended it."""
    if element.open is None or element.end is None:
        return False
    return not element.end.effects.reads_status and not element.end.effects.trailers_read


def _told(last: Store, before: Store) -> tuple[Term, Term, SymbolicHeaders]:
    """What the caller is told where one of the two refuses: what the last one said that did."""
    passes, message = last.forwards(), last.message
    code, text = when(passes, before.code, last.code), when(passes, before.text, last.text)
    return code, text, merge_headers(passes, _carried(message), last.told)


def _carried(error: SymbolicMessage) -> SymbolicHeaders:
    """All the metadata of an error of the chain's own."""
    return merge_headers(error.at_once, error.metadata, error.trailers)
