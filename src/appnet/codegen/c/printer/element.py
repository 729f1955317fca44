"""One element as C: its state, its init and its two handlers."""

from __future__ import annotations

from collections.abc import Mapping

from appnet.codegen.c.printer.body import MOST_CAPACITY, BodyPrinter
from appnet.codegen.c.printer.context import ElementContext, InHand, Slot, end_trailers
from appnet.codegen.c.printer.text import comment, indent, literal, static_view, view
from appnet.codegen.c.printer.types import is_flat
from appnet.diagnostics.source import base_name
from appnet.ir.nodes import OUTLIVING, Handler, StateClass, StateVariable
from appnet.ir.sharing import Sharing, only_at_keys
from appnet.ir.stages import only_forwards
from appnet.language.types import MapType, OptionType, VecType

_RESOURCE_EXHAUSTED = 8
_STORED = (StateClass.READ_ONLY, *OUTLIVING)


class ElementPrinter:
    """Prints the parts of an element; each is a list of lines, empty where the element has no such part."""

    def __init__(self, context: ElementContext) -> None:
        self.context = context
        self.element = context.element
        stored = [variable for variable in self.element.state if variable.state_class in _STORED]
        self._stored = stored
        self._kept = [variable for variable in self.element.state if variable.state_class is StateClass.RPC_SCOPED]
        self._owning = [variable for variable in stored if not is_flat(variable.type)]
        self._in_store = {name for name, it in context.shares.items() if it.sharing is Sharing.SHARED}
        self._noted = {it.name for it in stored if context.is_noted(it)}
        self._shared = {variable.name for variable in stored if variable.state_class is StateClass.GENERAL}

    @property
    def source(self) -> str:
        """The element as people know it: its name, and its file where it is known."""
        span = self.element.span
        return f"{self.element.name} ({base_name(span.source)})" if span is not None else self.element.name

    @property
    def has_init(self) -> bool:
        """Whether anything happens when an instance is made."""
        return bool(self.element.init.statements)

    @property
    def evicts(self) -> bool:
        """Whether its state has containers that let go what they hold when they are full."""
        return any(isinstance(it.type, MapType | VecType) for it in self._owning)

    # --- state ---

    def state_struct(self) -> list[str]:
        """The struct of what the element keeps between calls."""
        if not self._stored:
            return []
        members = [self._member(variable) for variable in self._stored]
        return [f"struct {self.context.name} {{ {comment(self.source)}", *indent(members), "};"]

    def call_struct(self) -> list[str]:
        """The struct of what the element keeps of one call."""
        members = ["uint8_t left; /* the status with which the call left it, and 1 */"] if self.tells_status else []
        members += [
            f"an_view trailer_{number}; {comment(f'{key.decode()!r} with which it left it')}"
            for number, key in enumerate(end_trailers(self.element))
        ]
        if not self._kept and not members:
            return []
        for variable in self._kept:
            assert isinstance(variable.type, MapType)
            option = self.context.types.name(OptionType(variable.type.value))
            note = comment(f"{variable.type} at rpc_id()")
            members.append(f"{option} {self.context.members[variable.name]}; {note}")
        return [f"struct {self.context.name}_call {{ {comment(self.source)}", *indent(members), "};"]

    def _member(self, variable: StateVariable) -> str:
        c_type = self.context.types.name(variable.type)
        note = comment(f"{variable.type}, {variable.state_class.value}")
        star = "*" if variable.state_class in OUTLIVING else ""
        return f"{c_type} {star}{self.context.members[variable.name]}; {note}"

    def _state(self) -> str:
        return (
            f"struct {self.context.name} *const state = &((struct appnet_state *)instance->state)->{self.context.name};"
        )

    # --- functions ---

    def init(self) -> list[str]:
        """``static void NAME_init(an_scope *)``."""
        if not self.has_init:
            return []
        body = BodyPrinter(self.context, InHand.INIT, self.element.init, {}).print()
        return [
            comment(f"{self.source}: init"),
            f"static void {self.context.name}_init(an_scope *scope) {{",
            *body,
            "}",
        ]

    def is_trivial(self, direction: InHand) -> bool:
        """Whether there is no handler or it just forwards, so that there is no function."""
        return only_forwards(self.element.handlers.get(direction.value))

    def handler(self, direction: InHand) -> Handler:
        """The handler of this name."""
        return self.element.handlers[direction.value]

    @property
    def tells_status(self) -> bool:
        """Whether its ``end`` asks with which status the call left it."""
        return self.element.end is not None and self.element.end.effects.reads_status

    @property
    def tells_end(self) -> bool:
        """Whether its ``end`` asks how the call left it."""
        return self.tells_status or bool(end_trailers(self.element))

    def function(self, direction: InHand) -> str:
        """The name of the handler's function."""
        return f"{self.context.functions}_{direction.value}"

    def handler_function(
        self, direction: InHand, slots: Mapping[str, Slot], reply_slots: Mapping[str, Slot]
    ) -> list[str]:
        """``static an_verdict NAME_req(an_call *)``, and the function of its body."""
        if self.is_trivial(direction):
            return []
        handler = self.handler(direction)
        step = bool(_touched(handler) & self.context.tried)
        name = self.function(direction)
        # A step may run several times, and what it had read would be told of each.
        explains = name if not step and _explains(direction, handler) else ""
        printer = BodyPrinter(
            *(self.context, direction, handler.body, slots, reply_slots),
            tells=_tells(handler),
            explains=explains,
            step=step,
        )
        body = printer.print()
        note = comment(f"{self.source}: {direction.value}")
        wrapper = (
            self._step(name, handler, fallible=printer.fallible)
            if step
            else self._wrapper(name, handler, direction, fallible=printer.fallible)
        )
        table = printer.reads.table() if printer.reads is not None else []
        return [note, *table, f"static inline an_verdict {name}_body(an_scope *scope) {{", *body, "}", "", *wrapper]

    def _step(self, name: str, handler: Handler, *, fallible: bool) -> list[str]:
        """Runs the body as a step on the store."""
        strong = str(bool(_touched(handler) & self._in_store)).lower()
        lasts = str(handler is self.element.end).lower()
        reads = ", ".join([*(literal(it.encode()) for it in self._read_as_a_whole(handler)), "NULL"])
        kinds = [
            f"static const char *const reads[] = {{{reads}}};",
            f"static const an_step_kind kind = {{{self.context.sharer}, {strong}, {lasts}, reads}};",
        ]
        tells = _tells(handler)
        lines = ["an_scope scope = {.call = call};"]
        notes = self._notes(handler)
        if notes:
            lines += ["an_instance *const instance = call->instance;", self._guard(), *notes]
        lines.append(f"an_verdict verdict = {name}_body(&scope);")
        lines += ["an_merging_end(guard);"] if notes else []
        lines += self._failed(tells=tells) if fallible else []
        lines.append("return an_told(call, verdict);" if tells else "return verdict;")
        return [
            *(f"static an_verdict {name}_run(an_call *call) {{", *indent(lines), "}", ""),
            f"static an_verdict {name}(an_call *call) {{",
            *indent([*kinds, f"return an_step_run(call, &kind, {name}_run);"]),
            "}",
        ]

    def _read_as_a_whole(self, handler: Handler) -> list[str]:
        """The variables in the store that the handler touches in another way than at keys; an empty name is all.

        Where steps also change what is not in the store, nothing that others do may come before them.
        """
        if self.context.tried - self._in_store:
            return [""]
        return sorted(name for name in _touched(handler) & self._in_store if not only_at_keys(handler, name))

    def _failed(self, *, tells: bool) -> list[str]:
        """Refuses where memory ran out."""
        text = view(b"out of memory in " + self.element.name.encode())
        failed = f"verdict = an_refuse(&scope, {_RESOURCE_EXHAUSTED}, {text});"
        return [f"if (scope.failed) {{ call->told = NULL; {failed} }}" if tells else f"if (scope.failed) {failed}"]

    def _wrapper(self, name: str, handler: Handler, direction: InHand, *, fallible: bool) -> list[str]:
        """Runs the body under the element's lock, where it needs one, and lets go of what it dropped."""
        effects = handler.effects
        locked = bool((effects.state_read | effects.state_written) & self._shared)
        dropping = any(variable.name in effects.state_written for variable in self._owning)
        tells = _tells(handler)
        explains = _explains(direction, handler)
        lines = self._scope(direction) if explains else ["an_scope scope = {.call = call};"]
        if not locked and not fallible and not explains:
            verdict = f"an_told(call, {name}_body(&scope))" if tells else f"{name}_body(&scope)"
            return [
                f"static an_verdict {name}(an_call *call) {{",
                *indent([*lines, f"return {verdict};"]),
                "}",
            ]
        if locked:
            lines.append("an_instance *const instance = call->instance;")
            lines.append(self._guard())
            lines.append("an_lock_acquire(&guard->lock);")
        lines += self._notes(handler)
        lines.append(f"an_verdict verdict = {name}_body(&scope);")
        if explains:
            lines.append("if (an_explains(&scope, verdict)) an_explain(&scope, &explained);")
        lines += ["an_merging_end(guard);"] if self._notes(handler) else []
        if locked and dropping:
            lines.append("an_heap_flush(&guard->heap);")
        if locked:
            lines.append("an_lock_release(&guard->lock);")
        if fallible:
            lines += self._failed(tells=tells)
        lines.append("return an_told(call, verdict);" if tells else "return verdict;")
        return [f"static an_verdict {name}(an_call *call) {{", *indent(lines), "}"]

    def _notes(self, handler: Handler) -> list[str]:
        """Has what the handler changes noted for the next merge, where anything has to be."""
        noted = handler.effects.state_written & self._noted
        return [f"an_merging_begin(instance, guard, {self.context.index});"] if noted else []

    def _scope(self, direction: InHand) -> list[str]:
        """What a handler that can refuse runs in."""
        return [
            f"static const an_explained explained = {{{self.context.index}, {literal(direction.value.encode())}}};",
            "an_seen seen;",
            "an_scope scope = {.call = call, .seen = an_seen_begin(&seen)};",
        ]

    def flush(self) -> list[str]:
        """The statements that let go of what init dropped; ``instance`` is in scope."""
        return [f"an_heap_flush(&instance->guards[{self.context.index}]->heap);"] if self._owning else []

    def destroy(self) -> list[str]:
        """The statements that give back the memory of its read-only state; ``instance`` is in scope."""
        owning = [variable for variable in self._owning if variable.state_class is StateClass.READ_ONLY]
        if not owning:
            return []
        lines = [self._state(), self._guard(), "an_lock_acquire(&guard->lock);"]
        for variable in owning:
            descriptor = self.context.types.descriptor(variable.type)
            lines.append(f"an_disown(&guard->heap, {descriptor}, &state->{self.context.members[variable.name]});")
        return ["{", *indent([*lines, "an_heap_flush(&guard->heap);", "an_lock_release(&guard->lock);"]), "}"]

    def variables(self) -> list[str]:
        """Its entries in the table of what the next version goes on with."""
        entries = []
        for variable in self._stored:
            if variable.state_class in OUTLIVING:
                name = static_view(f"{self.element.name}.{variable.name}".encode())
                kind = static_view(str(variable.type).encode())
                descriptor = self.context.types.descriptor(variable.type)
                place = f"offsetof(struct appnet_state, {self.context.name}.{self.context.members[variable.name]})"
                capacity = min(variable.capacity, MOST_CAPACITY)
                flags = (variable.name in self.context.tried, variable.name in self._in_store, variable.persistent)
                told = ", ".join(str(it).lower() for it in flags)
                combiner = f"AN_{(self.context.shares[variable.name].combiner or 'unmerged').upper()}"
                bounds = f"{capacity}, {self.context.shares[variable.name].part}"
                entry = f"{name}, {kind}, {descriptor}, {self.context.index}, {bounds}, {place}, {told}, {combiner}"
                entries.append(f"{{{entry}}},")
        return entries

    def _guard(self) -> str:
        return f"an_guard *const guard = instance->guards[{self.context.index}];"

    def dump(self) -> list[str]:
        """The statements that write the element's state to ``out``; ``instance`` is in scope."""
        if not self._stored:
            return []
        lines = [self._state()]
        lines += [self._guard(), "an_lock_acquire(&guard->lock);"] if self._shared else []
        for variable in self._stored:
            name = view(f"{self.element.name}.{variable.name}".encode())
            descriptor = self.context.types.descriptor(variable.type)
            address = "" if variable.state_class in OUTLIVING else "&"
            place = f"{address}state->{self.context.members[variable.name]}"
            if variable.state_class is StateClass.COUNTER:
                c_type = self.context.types.name(variable.type)
                load = f"__atomic_load({place}, &now, __ATOMIC_RELAXED);"
                lines += ["{", f"  {c_type} now;", f"  {load}", f"  an_dump(out, {name}, {descriptor}, &now);", "}"]
            else:
                lines.append(f"an_dump(out, {name}, {descriptor}, {place});")
        lines += ["an_lock_release(&guard->lock);"] if self._shared else []
        return ["{", *indent(lines), "}"]


def _touched(handler: Handler) -> frozenset[str]:
    """The state that the handler reads or changes."""
    return handler.effects.state_read | handler.effects.state_written


def _tells(handler: Handler) -> bool:
    """Whether what the handler sets in metadata may go with an error, or with a reply."""
    effects = handler.effects
    writes = effects.metadata_written or effects.trailers_written
    return writes and (effects.can_refuse or effects.can_drop or effects.can_reply)


def _explains(direction: InHand, handler: Handler) -> bool:
    """Whether it can refuse, so that what it reads is noted."""
    return direction is not InHand.END and (handler.effects.can_refuse or handler.effects.can_drop)
