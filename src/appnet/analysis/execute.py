"""Runs a handler on all messages and states at once: one pass, where ways that part are merged again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import z3

from appnet.analysis import maps, vecs
from appnet.analysis.fields import absent, hold, is_named, items_of, makes_messages
from appnet.analysis.loops import after_loop
from appnet.analysis.meanings import Context, equals, evaluate, milliseconds
from appnet.analysis.store import Store, SymbolicHeaders, SymbolicMessage, merge
from appnet.analysis.symbols import (
    BITS,
    FALSE,
    TRUE,
    MapValue,
    Option,
    Symbolic,
    Term,
    World,
    apply_typed,
    both,
    negated,
    variable,
    when,
)
from appnet.interpret.values import Value
from appnet.ir.nodes import (
    Answer,
    Arm,
    Atom,
    Call,
    ClearField,
    Computation,
    Const,
    Delay,
    Do,
    Element,
    Foreach,
    Forward,
    Handler,
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
from appnet.language.messages import Field, MessageSchema
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.types import BOOL, STRING, MapType, VecType

_UNAVAILABLE = 14


def any_state(element: Element, place: str, world: World, known: Mapping[str, Value]) -> dict[str, Symbolic]:
    """Every state that the element can be in. ``place``: its part of names. ``known``: values that never change."""
    state: dict[str, Symbolic] = {}
    for it in element.state:
        value: Symbolic = None
        if it.name in known and isinstance(it.type, MapType):
            value = maps.constant(world, it.type, known[it.name])
        elif it.name in known and isinstance(it.type, VecType):
            value = vecs.of_size(world, variable(f"{place}.{it.name}", it.type), it.type, len(known[it.name]))
        elif it.name in known and "Vec" not in it.type.name:
            value = world.literal(known[it.name], it.type)
        if value is None:
            value = maps.within(
                world, variable(f"{place}.{it.name}", it.type), element.capacity_of(State(it.name, it.type))
            )
        state[it.name] = value
    return state


@dataclass
class Execution:
    """Runs of a handler.

    ``place``: tells the element from the other one; ``schema``: of the message in hand. ``answers``: the fields that a
    response may get here, by path, as they are in one that is empty.
    """

    element: Element
    place: str
    handler: str
    world: World
    call: Term
    method: bytes
    schema: MessageSchema
    answers: Mapping[str, Field]

    def run(self, state: Mapping[str, Symbolic], message: SymbolicMessage) -> Store:
        """The store after the handler; where that ended without a verdict, it dropped the RPC."""
        nothing = SymbolicHeaders.none(self.world.literal(b"", STRING))
        store = Store(state, message, nothing)
        self._context = Context(self.world, self.place, self.handler, self.call, self.method, store)
        after = self._block(self._body.body.statements, self._begin_reply(store))
        text = self.world.literal(b"dropped by " + self.element.name.encode(), STRING)
        dropped = after.refuse(z3.BitVecVal(_UNAVAILABLE, BITS), text)
        return merge(after.ended, after, dropped)

    @property
    def _body(self) -> Handler:
        return self.element.handlers[self.handler]

    # --- statements ---

    def _block(self, block: tuple[Statement, ...], store: Store) -> Store:
        for number, statement in enumerate(block):
            store = self._statement(statement, store)
            if z3.is_true(store.ended):
                break
            if not z3.is_false(store.ended):
                rest = self._block(block[number + 1 :], replace(store, ended=FALSE))
                return merge(store.ended, store, rest)
        return store

    def _statement(self, statement: Statement, store: Store) -> Store:
        match statement:
            case Let(local=local, value=value):
                return self._let(local, value, store)
            case SetState(state=state, value=value):
                return store.assign(state.name, self._fitted(self._value(value, store), state))
            case WriteField():
                return self._write(statement, store)
            case ClearField():
                return self._clear(statement, store)
            case Do(call=call):
                return self._call(call, store)[1]
            case Match() | Foreach():
                return self._branches(statement, store)
            case Forward():
                return store.forward()
            case Refuse(message=text, code=code):
                return store.refuse(z3.BitVecVal(code, BITS), self._value(text, store))
            case NewReply():
                return self._begin_reply(store)
            case WriteReply():
                return self._write_reply(statement, store)
            case Answer():
                return store.answer()
            case Route() | Delay():
                return self._send_on(statement, store)

    def _send_on(self, statement: Route | Delay, store: Store) -> Store:
        if isinstance(statement, Route):
            told = replace(store.message, destination=Option(TRUE, self._value(statement.host, store)))
        else:
            longer = milliseconds(self.world, self._value(statement.seconds, store))
            told = replace(store.message, wait=store.message.wait + longer)
        return replace(store, message=told)

    def _let(self, local: Local, value: Computation, store: Store) -> Store:
        match value:
            case Call():
                result, store = self._call(value, store)
            case ReadField(path=path):
                default = absent(self.world, self.schema.field(path))
                result = when(self._is_error(store), default, store.message.fields[path])
            case HasField(path=path):
                result = both(negated(self._is_error(store)), store.message.present[path])
            case _:
                result = self._value(value, store)
        return store.bind(local.name, result)

    def _write(self, statement: WriteField, store: Store) -> Store:
        message, written = store.message, self.schema.fields[statement.path]
        value = hold(self._value(statement.value, store), written)
        takes = both(negated(self._is_error(store)), is_named(value, written))
        if written.within:
            before = items_of(self.world, message.fields[written.path])
            count = items_of(self.world, value)
            takes = both(takes, both(self.world.equal(count, before), negated(count == z3.BitVecVal(0, BITS))))
        lost = self._lost(statement.clears, message, written.within)
        made = makes_messages(self.world, value, written)
        present = {path: FALSE for path in message.present if path in statement.clears}
        if not written.within:
            around = [path for path in message.present if written.is_inside(path)]
            present |= {path: when(made, TRUE, message.present[path]) for path in around}
        return self._changed(store, takes, {**lost, written.path: value}, present, statement.clears, written.path)

    def _clear(self, statement: ClearField, store: Store) -> Store:
        inside = [it for it in statement.clears if self.schema.field(it).is_inside(statement.path)]
        lost = self._lost(inside, store.message, "")
        present = {path: FALSE for path in store.message.present if path in inside}
        return self._changed(store, negated(self._is_error(store)), lost, present, statement.clears)

    def _lost(self, clears: Iterable[str], message: SymbolicMessage, within: str) -> dict[str, Symbolic]:
        """What fields are that a message has no more; of many messages, each of them."""
        lost: dict[str, Symbolic] = {}
        for field in (self.schema.field(path) for path in clears if path in message.fields):
            if within and field.within == within and not field.is_message:
                lost[field.path] = apply_typed(f"in none {field.path}", [message.fields[field.path]], field.type)
            else:
                lost[field.path] = absent(self.world, field)
        return lost

    def _changed(
        self,
        store: Store,
        takes: Term,
        fields: Mapping[str, Symbolic],
        present: Mapping[str, Term],
        clears: Iterable[str],
        path: str = "",
    ) -> Store:
        """The store after the message was changed so, if that ``takes`` place; ``path``: the field that is written."""
        message, stays = store.message, negated(takes)
        written = {it: z3.BoolVal(it == path) for it in fields}
        cleared = dict.fromkeys(clears, TRUE)
        changed = replace(
            message,
            fields={**message.fields, **_unless(stays, fields, message.fields)},
            written={**message.written, **_unless(stays, written, message.written)},
            present={**message.present, **_unless(stays, present, message.present)},
            cleared={**message.cleared, **_unless(stays, cleared, message.cleared)},
        )
        return replace(store, message=changed)

    def _begin_reply(self, store: Store) -> Store:
        empty = {path: absent(self.world, it) for path, it in self.answers.items()}
        return replace(store, reply=empty, set_in_reply=dict.fromkeys(empty, FALSE))

    def _write_reply(self, statement: WriteReply, store: Store) -> Store:
        cleared = [path for path in statement.clears if path in self.answers]
        fields = {path: absent(self.world, self.answers[path]) for path in cleared}
        fields[statement.path] = hold(self._value(statement.value, store), self.answers[statement.path])
        is_set = {**dict.fromkeys(cleared, FALSE), statement.path: TRUE}
        stays = negated(is_named(fields[statement.path], self.answers[statement.path]))
        return replace(
            store,
            reply={**store.reply, **_unless(stays, fields, store.reply)},
            set_in_reply={**store.set_in_reply, **_unless(stays, is_set, store.set_in_reply)},
        )

    def _is_error(self, store: Store) -> Term:
        return negated(self.world.equal(store.message.status, z3.BitVecVal(0, BITS)))

    def _fitted(self, value: Symbolic, state: State) -> Symbolic:
        """A container cut down to the capacity of the variable."""
        capacity = self.element.capacity_of(state)
        if isinstance(value, MapValue):
            return maps.fit(value, capacity)
        return vecs.fit(self.world, value, state.type, capacity) if isinstance(state.type, VecType) else value

    # --- operations ---

    def _call(self, call: Call, store: Store) -> tuple[Symbolic, Store]:
        context = self._context
        place = call.args[0] if call.args else None
        context.store = store
        context.capacity = self.element.capacity_of(place) if place is not None else 0
        result = evaluate(context, call, [self._value(atom, store) for atom in call.args])
        store = context.store
        if Effect.WRITES_CONTAINER not in OPERATIONS[call.op].effects:
            return result, store
        assert isinstance(place, State | Local)
        return None, store.assign(place.name, result) if isinstance(place, State) else store.bind(place.name, result)

    def _value(self, atom: Atom, store: Store) -> Symbolic:
        match atom:
            case Const(value=value, type=type_):
                return self.world.literal(value, type_)
            case Local(name=name):
                return store.locals[name]
            case State(name=name):
                return store.state[name]

    # --- branches ---

    def _branches(self, statement: Match | Foreach, store: Store) -> Store:
        return self._match(statement, store) if isinstance(statement, Match) else self._foreach(statement, store)

    def _match(self, statement: Match, store: Store) -> Store:
        subject = self._value(statement.subject, store)
        taken: list[tuple[Term, Store]] = []
        for arm in statement.arms:
            fits = self._fits(arm, subject)
            if z3.is_false(fits):
                continue
            taken.append((fits, self._arm(arm, subject, store)))
            if z3.is_true(fits) or _completes(statement, arm):
                break
        else:
            taken.append((TRUE, store))
        _, merged = taken.pop()
        for fits, after in reversed(taken):
            merged = merge(fits, after, merged)
        return merged

    def _arm(self, arm: Arm, subject: Symbolic, store: Store) -> Store:
        if isinstance(arm.pattern, SomePattern) and arm.pattern.local is not None:
            store = store.bind(arm.pattern.local.name, subject.value)
        return self._block(arm.body.statements, store)

    def _fits(self, arm: Arm, subject: Symbolic) -> Term:
        match arm.pattern:
            case LiteralPattern(value=literal):
                value = self.world.literal(literal.value, literal.type)
                if literal.type == BOOL:
                    return subject if literal.value else negated(subject)
                return equals(self.world, literal.type, subject, value)
            case SomePattern():
                return subject.present
            case NonePattern():
                return negated(subject.present)
            case _:
                return TRUE

    def _foreach(self, statement: Foreach, store: Store) -> Store:
        self._context.store = store
        return after_loop(self.element, self._context, statement, self._value(statement.items, store))


def _unless(condition: Term, values: Mapping[str, Symbolic], otherwise: Mapping[str, Symbolic]) -> dict[str, Symbolic]:
    return {name: when(condition, otherwise[name], value) for name, value in values.items()}


def _completes(statement: Match, last: Arm) -> bool:
    """Whether the arms up to this one fit every subject, of bools and options."""
    patterns = [arm.pattern for arm in statement.arms[: statement.arms.index(last) + 1]]
    literals = {it.value.value for it in patterns if isinstance(it, LiteralPattern) and it.value.type == BOOL}
    kinds = {type(it) for it in patterns}
    return literals == {True, False} or {SomePattern, NonePattern} <= kinds
