"""Loops as functions that nothing is known of: for each thing that a loop changes, one of what its body reads.

Loops of the same text are the same functions, in whatever element they stand.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import z3

from appnet.analysis import maps
from appnet.analysis.meanings import Context
from appnet.analysis.store import Store, SymbolicHeaders, SymbolicMessage
from appnet.analysis.symbols import Symbolic, alike, apply, flatten
from appnet.ir.effects import handler_effects
from appnet.ir.nodes import (
    Do,
    Element,
    FieldUse,
    Foreach,
    HandlerEffects,
    Local,
    NewReply,
    State,
    Statement,
    WriteReply,
)
from appnet.ir.walk import binders, call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.types import VecType

K = TypeVar("K")

_Place = tuple[type[Local] | type[State], str]


def after_loop(element: Element, context: Context, statement: Foreach, items: Symbolic) -> Store:
    """The store after the loop over the items. What the context's store does not hold yet, the body makes itself."""
    return _Loop(element, context, statement).after(items)


class _Loop:
    def __init__(self, element: Element, context: Context, statement: Foreach) -> None:
        self._element = element
        self._context = context
        self._store = context.store
        self._inner = list(statements(statement.body))
        self._effects = handler_effects(statement.body)
        self._text = _Text()
        shape = self._text.of(statement)
        capacities = [element.capacity_of(it) for it in self._text.states.values()] + [element.local_capacity]
        content = f"{context.handler} {capacities} {shape}"
        self._name = f"loop {hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def after(self, items: Symbolic) -> Store:
        store, effects = self._store, self._effects
        made = _Summary(self._name, [items, *self._reads()])
        in_order = list(self._text.places)
        changed = _changed_locals(self._inner) & set(store.locals)
        locals_ = {name: number for number, (kind, name) in enumerate(in_order) if kind is Local and name in changed}
        states = {name: n for n, (kind, name) in enumerate(in_order) if kind is State and name in effects.state_written}
        replies = any(isinstance(it, NewReply | WriteReply) for it in self._inner)
        return replace(
            store,
            locals={
                **store.locals,
                **{name: made.after(f"at {n}", store.locals[name]) for name, n in locals_.items()},
            },
            state={
                **store.state,
                **{name: self._kept(name, made.after(f"at {n}", store.state[name])) for name, n in states.items()},
            },
            draws=made.after("draws", store.draws) if effects.uses_random else store.draws,
            message=_message_after(made, store.message, effects),
            told=_headers_after(made, "told", store.told) if _writes_headers(effects) else store.told,
            reply=made.all("reply", store.reply, store.reply) if replies else store.reply,
            set_in_reply=made.all("set", store.set_in_reply, store.set_in_reply) if replies else store.set_in_reply,
        )

    def _reads(self) -> list[Symbolic]:
        """All that the body can ask for; what it only changes decides nothing but what it becomes itself."""
        store, effects, message = self._store, self._effects, self._store.message
        asked = Effect.PURE
        for it in self._inner:
            call = call_of(it)
            asked |= OPERATIONS[call.op].effects if call is not None else Effect.PURE
        reads: list[Symbolic] = []
        for kind, name in self._text.places:
            if kind is Local and name in store.locals:
                reads.append(store.locals[name])
            elif kind is State and name in effects.state_read:
                reads.append(store.state[name])
        reads += [message.fields[it.path] for it in effects.fields if it.read or _may_need_as_many(it)]
        reads += [message.present[it.path] for it in effects.fields if it.asked]
        reads += [message.size] if effects.reads_size else []
        if effects.reads_message or effects.reads_status:
            reads.append(message.status)
        touches = _reads_headers(effects) or _writes_headers(effects)
        reads += [message.at_once, message.begun] if touches else []
        reads += [message.made_here] if touches or effects.reads_size else []
        reads += [*message.metadata.terms(), *message.trailers.terms()] if _reads_headers(effects) else []
        reads += [message.deadline] if effects.reads_deadline else []
        reads += [store.draws, self._context.stream] if effects.uses_random else []
        reads += [self._context.now, self._context.wall] if effects.uses_time or _of_deadlines(effects) else []
        reads += [self._context.call] if Effect.READS_CALL in asked else []
        return reads

    def _kept(self, name: str, value: Symbolic) -> Symbolic:
        """The value of a state variable, which stays within its capacity."""
        return maps.within(self._context.world, value, self._element.capacity_of(self._text.states[name]))


@dataclass
class _Text:
    """What a loop says, where names are but their numbers. ``places``: locals and state in the order of first use."""

    places: dict[_Place, int] = dataclasses.field(default_factory=dict)
    states: dict[str, State] = dataclasses.field(default_factory=dict)

    def of(self, node: Any) -> str:
        if isinstance(node, State):
            self.states.setdefault(node.name, node)
        if isinstance(node, Local | State):
            number = self.places.setdefault((type(node), node.name), len(self.places))
            return f"{type(node).__name__} {number} {node.type}"
        if isinstance(node, tuple):
            return f"({' '.join(map(self.of, node))})"
        if dataclasses.is_dataclass(node) and not hasattr(node, "name"):  # a type has a name
            parts = (self.of(getattr(node, it.name)) for it in dataclasses.fields(node))
            return f"{type(node).__name__}({' '.join(parts)})"
        return repr(node)


class _Summary:
    """What a loop makes of each thing: one function each, of everything that it reads, and of the thing before it."""

    def __init__(self, name: str, reads: list[Symbolic]) -> None:
        self._name = name
        self._reads = [leaf for value in reads for leaf in flatten(value)]

    def after(self, what: str, value: Symbolic) -> Symbolic:
        """The thing after the loop; ``value``: before it."""
        leaves = flatten(value)
        names = (f"{self._name} {what}#{number}" for number in range(len(leaves)))
        arguments = [*self._reads, *leaves]
        return alike(value, [apply(name, arguments, leaf.sort()) for name, leaf in zip(names, leaves, strict=True)])

    def all(self, what: str, values: Mapping[K, Symbolic], names: Iterable[K]) -> dict[K, Symbolic]:
        """The named ones of the values after the loop."""
        return {name: self.after(f"{what} {name}", values[name]) for name in names}


def _message_after(made: _Summary, message: SymbolicMessage, effects: HandlerEffects) -> SymbolicMessage:
    changing = _changing(effects, message.fields)
    changed = replace(
        message,
        fields={**message.fields, **made.all("field", message.fields, changing)},
        written={**message.written, **made.all("written", message.written, changing)},
    )
    if any(it.written or it.cleared for it in effects.fields):
        gone = sorted(effects.fields_cleared & set(message.cleared))
        changed = replace(
            changed,
            present=made.all("present", message.present, message.present),
            cleared={**message.cleared, **made.all("cleared", message.cleared, gone)},
        )
    if _writes_headers(effects):
        metadata = _headers_after(made, "metadata", message.metadata)
        changed = replace(changed, metadata=metadata, trailers=_headers_after(made, "trailers", message.trailers))
    if effects.sets_deadline:
        changed = replace(changed, deadline=made.after("deadline", message.deadline))
    if effects.chooses_host:
        changed = replace(changed, destination=made.after("destination", message.destination))
    if effects.delays:
        changed = replace(changed, wait=message.wait + made.after("wait", z3.IntVal(0)))
    return changed


def _headers_after(made: _Summary, what: str, headers: SymbolicHeaders) -> SymbolicHeaders:
    return SymbolicHeaders(made.after(what, headers.text), made.after(f"how {what}", headers.how))


def _reads_headers(effects: HandlerEffects) -> bool:
    return effects.metadata_read or effects.trailers_read


def _writes_headers(effects: HandlerEffects) -> bool:
    return effects.metadata_written or effects.trailers_written


def _of_deadlines(effects: HandlerEffects) -> bool:
    return effects.reads_deadline or effects.sets_deadline


def _may_need_as_many(use: FieldUse) -> bool:
    """Whether it may be one of many messages, which is written only where it has as many values as they."""
    return use.written and isinstance(use.type, VecType)


def _changing(effects: HandlerEffects, fields: Mapping[str, Symbolic]) -> list[str]:
    """The paths of fields that the loop may change."""
    written = [it.path for it in effects.fields if it.written]
    return written + [it for it in sorted(effects.fields_cleared) if it in fields and it not in written]


def _changed_locals(inner: Sequence[Statement]) -> set[str]:
    """Locals that statements give another value, or whose container they change."""
    names = {local.name for it in inner for local in binders(it)}
    for it in inner:
        if isinstance(it, Do) and isinstance(it.call.args[0], Local):
            names.add(it.call.args[0].name)
    return names
