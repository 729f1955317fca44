"""The body of an init or of a handler as the body of a C function."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

from appnet.codegen.c.printer.context import ElementContext, InHand, Slot
from appnet.codegen.c.printer.facts import facts_of
from appnet.codegen.c.printer.lifetimes import Lifetime, must_print
from appnet.codegen.c.printer.operations import computation, run
from appnet.codegen.c.printer.operations.numbers import same_text
from appnet.codegen.c.printer.placement import Step
from appnet.codegen.c.printer.reads import Reads
from appnet.codegen.c.printer.tallies import Hit, counted
from appnet.codegen.c.printer.text import Names, comment, constant, literal, view, zero
from appnet.codegen.c.printer.types import MEMBERS, TEXTS, is_container, is_flat
from appnet.ir.effects import ends
from appnet.ir.nodes import (
    OUTLIVING,
    Answer,
    AnyPattern,
    Arm,
    Atom,
    Block,
    Call,
    ClearField,
    Computation,
    Const,
    Delay,
    Do,
    Foreach,
    Forward,
    HasField,
    Let,
    LiteralPattern,
    Local,
    Match,
    NewReply,
    NonePattern,
    Pattern,
    ReadField,
    Refuse,
    Route,
    SetState,
    SomePattern,
    State,
    StateClass,
    Statement,
    WriteField,
    WriteReply,
)
from appnet.ir.rows import refusal_rows
from appnet.ir.secrets import Secrets
from appnet.ir.walk import closing
from appnet.language.messages import Field
from appnet.language.operations.registry import OPERATIONS
from appnet.language.operations.signature import signature_of
from appnet.language.types import BOOL, FLOAT, INT, UINT, MapType, Type, VecType

_UNAVAILABLE = 14
MOST_CAPACITY = 2**30  # entries that a container of the runtime can hold; a greater capacity is as good as none
_NARROW = {
    "int32": "(int32_t)",
    "sint32": "(int32_t)",
    "sfixed32": "(int32_t)",
    "enum": "(int32_t)",
    "uint32": "(uint32_t)",
    "fixed32": "(uint32_t)",
    "float": "(float)",
}


class BodyPrinter:
    """Prints one body. ``fallible`` says afterwards whether it can run out of memory.

    ``explains``: what begins the name of the table of what it notes for `an_explain`, if it does; ``reads`` has it.
    """

    def __init__(
        self,
        element: ElementContext,
        direction: InHand,
        body: Block,
        slots: Mapping[str, Slot],
        reply_slots: Mapping[str, Slot] = MappingProxyType({}),
        *,
        tells: bool = False,
        explains: str = "",
        step: bool = False,
    ) -> None:
        self.element = element
        self.types = element.types
        self.direction = direction
        self.tells = tells
        self._step = step
        self.fallible = False
        self._slots = slots
        self._reply_slots = reply_slots
        facts = facts_of(body if direction is InHand.INIT else counted(body), element.classes)
        self._body = facts.body
        self._lifetimes, self._changed = facts.lifetimes, facts.changed
        self._needed, self._declared_at = facts.needed, facts.declared_at
        self._locals = Names("v_")
        self._temporaries = 0
        self._depth = 1
        self._lines: list[str] = []
        self._uses: set[str] = set()
        self.reads: Reads | None = None
        if explains:
            self._rows = refusal_rows(body)
            variables = {it.name: it for it in element.element.state}
            self.reads = Reads(self, explains, variables, self._secrets)

    @cached_property
    def _secrets(self) -> Secrets:
        element = self.element
        return element.secrets.of(element.method, element.element, self.direction.value)

    def is_secret(self, atom: Atom) -> bool:
        """Whether no log may show the value; `init` knows of no call, so of none."""
        return self.direction is not InHand.INIT and self._secrets.atom(atom)

    def print(self) -> list[str]:
        """The lines between the function's braces; the parameter is ``an_scope *scope``."""
        self._block(self._body, (), 0)
        if self.direction is not InHand.INIT and not ends(self._body):
            text = view(b"dropped by " + self.element.element.name.encode())
            if self.reads is not None:
                self.line('scope->row = "";')
            self.line(f"return an_refuse(scope, {_UNAVAILABLE}, {text});")
        return [*self._prelude(), *self._lines]

    def _prelude(self) -> list[str]:
        name = self.element.name
        lines = []
        if "call" in self._uses:
            lines.append("  an_call *const call = scope->call;")
        if "state" in self._uses:
            lines.append(
                f"  struct {name} *const state = &((struct appnet_state *)scope->call->instance->state)->{name};"
            )
        if "heap" in self._uses:
            lines.append(f"  an_heap *const heap = &scope->call->instance->guards[{self.element.index}]->heap;")
        if "kept" in self._uses:
            lines.append(
                f"  struct {name}_call *const kept = &((struct appnet_call_state *)scope->call->state)->{name};"
            )
        return lines or (["  (void)scope;"] if not any("scope" in line for line in self._lines) else [])

    # --- what operations use ---

    def line(self, text: str) -> None:
        """Adds a line at the depth of the statement in hand."""
        self._lines.append("  " * self._depth + text)

    def lines(self, texts: list[str]) -> None:
        """Adds several lines."""
        for text in texts:
            self.line(text)

    def note(self, text: str) -> None:
        """Adds a comment."""
        self.line(comment(text))

    def scope(self) -> str:
        """The scope, for a function that may run out of memory."""
        self.fallible = True
        return "scope"

    def call(self) -> str:
        """The call in hand."""
        self._uses.add("call")
        return "call"

    def temporary(self, c_type: str, name: str, value: str | None = None) -> str:
        """Declares a variable that the program does not know of."""
        self._temporaries += 1
        identifier = f"{name}_{self._temporaries}"
        self.line(f"{c_type} {identifier} = {zero(c_type) if value is None else value};")
        return identifier

    def place(self, atom: Atom) -> str:
        """The variable itself."""
        match atom:
            case Local(name=name):
                return self._locals[name]
            case State(name=name):
                where = "kept" if self.element.classes[name] is StateClass.RPC_SCOPED else "state"
                self._uses.add(where)
                member = f"{where}->{self.element.members[name]}"
                return f"(*{member})" if self.element.classes[name] in OUTLIVING else member
            case Const():
                return constant(atom)

    def atom(self, atom: Atom) -> str:
        """The value now: of a container that the body changes, a copy."""
        text = self.place(atom)
        if not is_container(atom.type) or not self._is_changed(atom):
            return text
        return self._copy(text, atom.type)

    def pointer(self, atom: Atom) -> str:
        """The address of the value."""
        if isinstance(atom, Const):
            text = constant(atom)
            return f"&{text}" if atom.type in TEXTS else f"&({self.types.name(atom.type)}){{{text}}}"
        text = self.atom(atom)
        if text == self.place(atom):
            return f"&{text}"
        return f"&{self.temporary(self.types.name(atom.type), 'copy', text)}"

    def heap(self, place: Atom) -> str:
        """The memory of what the container holds; NULL is the arena."""
        if not isinstance(place, State):
            return "NULL"
        if is_flat(place.type):
            raise AssertionError(f"{place.name} needs no memory")
        self._uses.add("heap")
        return "heap"

    def reads_for_store(self, place: Atom) -> bool:
        """Whether the store is told which entries of the Map are looked up."""
        return self._step and isinstance(place, State) and self.element.is_in_store(place.name)

    def capacity(self, place: Atom) -> str:
        """The entries that the container may have."""
        return str(min(self.element.element.capacity_of(place), MOST_CAPACITY))

    def _is_changed(self, atom: Atom) -> bool:
        return not isinstance(atom, Const) and (type(atom), atom.name) in self._changed

    def _copy(self, text: str, type_: Type) -> str:
        if isinstance(type_, VecType):
            return f"an_vec_copy({self.scope()}, sizeof({self.types.name(type_.item)}), {text})"
        assert isinstance(type_, MapType)
        return f"an_map_copy({self.scope()}, {self.types.descriptor(type_)}, {text})"

    # --- statements ---

    def _block(self, block: Block, path: tuple[Step, ...], arm: int) -> None:
        skip: Statement | None = None
        for index, statement in enumerate(block.statements):
            if statement is skip:
                continue
            if isinstance(statement, Hit):
                self.line(self.element.tallies.hit(self.element, self.direction.value, statement.row))
                continue
            at = (*path, (arm, index))
            following = block.statements[index + 1] if index + 1 < len(block.statements) else None
            if self._count(statement, following):
                skip = following
                continue
            self._declare(at, statement)
            if self.reads is not None:
                self.reads.before(statement)
            self._statement(statement, at)
            if self.reads is not None and isinstance(statement, Let):
                bound = self._locals[statement.local.name] if statement.local.name in self._needed else None
                self.reads.after(statement, bound)

    def _inside(self, block: Block, path: tuple[Step, ...], arm: int) -> None:
        """A block that may not be run."""
        if self.reads is None:
            self._block(block, path, arm)
        else:
            self.reads.inside(lambda: self._block(block, path, arm))

    def _tell_row(self, refusal: Refuse) -> None:
        """In which row the handler refuses, for `an_explain`."""
        if self.reads is not None:
            self.line(f"scope->row = {literal(self._rows[id(refusal)].encode())};")
            if self.reads.hides(refusal):
                self.line("scope->hidden = true;")

    def _declare(self, at: tuple[Step, ...], statement: Statement) -> None:
        """Declares the locals that are first seen in this statement, and in others of this block."""
        for name, type_, with_value in self._declared_at.get(at, ()):
            if name not in self._needed or (with_value and isinstance(statement, Let)):
                continue
            c_type = self.types.name(type_)
            self.line(f"{c_type} {self._locals[name]} = {zero(c_type)};")

    def _statement(self, statement: Statement, at: tuple[Step, ...]) -> None:
        match statement:
            case Let():
                self._let(statement, at)
            case SetState(state=state, value=value):
                self._set_state(state, value)
            case WriteField(path=path, value=value):
                self._write_field(path, value)
            case ClearField(path=path):
                table = self._table("slots", self._slots[path])
                self.line(f"{self._guard()}an_wire_remove({table});")
            case NewReply():
                self.line(f"an_reply_begin({self.call()});")
            case WriteReply(path=path, value=value):
                self._write_slot("reply_slots", self._reply_slots, path, value)
            case Do(call=call):
                run(self, call)
            case Match():
                self._match(statement, at)
            case Foreach():
                self._foreach(statement, at)
            case Route(host=atom) | Delay(seconds=atom):
                function = "an_route" if isinstance(statement, Route) else "an_delay"
                self.line(f"{function}({self.call()}, {self.atom(atom)});")
            case Forward() | Answer():
                self.line(f"return {'AN_FORWARD' if isinstance(statement, Forward) else 'AN_ANSWER'};")
            case Refuse(message=message, code=code):
                self._tell_row(statement)
                self.line(f"return an_refuse(scope, {code}, {self._lasting(message, Lifetime.EVENT)});")

    def _let(self, statement: Let, at: tuple[Step, ...]) -> None:
        local = statement.local
        if not must_print(statement, self._needed):
            return
        value = self._bound_value(local, statement.value)
        if local.name not in self._needed:
            self.line(f"(void)({value});")
        elif (local.name, local.type, True) in self._declared_at.get(at, ()):
            self.line(f"{self.types.name(local.type)} {self._locals[local.name]} = {value};")
        elif value != self._locals[local.name]:
            self.line(f"{self._locals[local.name]} = {value};")

    def _bound_value(self, local: Local, value: Computation) -> str:
        match value:
            case Call():
                text = computation(self, value)
                shared = not signature_of(OPERATIONS[value.op]).makes_container
            case ReadField(path=path, type=type_):
                slot = self._slots[path]
                place = f"{self._direction()}, {slot.index} {comment(path)}"
                if slot.field.is_message:
                    return f"an_count_messages({self.scope()}, {place})"
                if not is_container(type_):
                    return f"{self.call()}->slots[{slot.index} {comment(path)}].value.{MEMBERS.get(type_, 's')}"
                kind = "each" if slot.field.within else _container(type_)
                text = f"an_read_{kind}({self.scope()}, {place})"
                shared = True
            case HasField(path=path):
                return f"{self.call()}->slots[{self._slots[path].index} {comment(path)}].present"
            case _:
                text = self.atom(value)
                shared = text == self.place(value)
        if shared and is_container(local.type) and self._is_changed(local):
            return self._copy(text, local.type)
        return text

    def _count(self, statement: Statement, following: Statement | None) -> bool:
        """Prints ``x = x + e`` of a counter as one step that needs no lock."""
        match statement, following:
            case Let(local=total, value=Call(op="add", args=(a, b))), SetState(state=x, value=Local(name=stored)) if (
                stored == total.name and self.element.classes[x.name] is StateClass.COUNTER and x in (a, b)
            ):
                by = self.atom(b if a == x else a)
                kind = {INT: "int", UINT: "uint", FLOAT: "float"}[x.type]
                if self._step:
                    self.line(f"an_step_count_{kind}({self.call()}, &{self.place(x)}, {by});")
                else:
                    self.line(f"an_count_{kind}(&{self.place(x)}, {by});")
                return True
            case _:
                return False

    def _set_state(self, state: State, value: Atom) -> None:
        place = self.place(state)
        variable = self.element.variable(state.name)
        if self.direction is not InHand.INIT and not is_container(state.type) and self.element.is_noted(variable):
            self._uses.add("heap")
            self.line(f"an_merging_value(heap, &{place});")
        if is_flat(state.type):
            if value != state:
                self.line(f"{place} = {self.atom(value)};")
        elif state.type in TEXTS:
            self.line(f"an_store_text({self.scope()}, {self.heap(state)}, &{place}, {self.atom(value)});")
        elif is_container(state.type):
            descriptor = self.types.descriptor(state.type)
            start = f"an_{_container(state.type)}_store({self.scope()}, {self.heap(state)}, {descriptor}"
            self.line(f"{start}, &{place}, {self.capacity(state)}, {self.place(value)});")
        else:
            descriptor = self.types.descriptor(state.type)
            self.line(f"an_store({self.scope()}, {self.heap(state)}, {descriptor}, &{place}, {self.pointer(value)});")

    def _direction(self) -> str:
        return "AN_RESPONSE" if self.direction is InHand.RESPONSE else "AN_REQUEST"

    def _guard(self) -> str:
        """Nothing is changed in an error response."""
        return f"if (!{self.call()}->is_error) " if self.direction is InHand.RESPONSE else ""

    def _write_field(self, path: str, value: Atom) -> None:
        self._write_slot("slots", self._slots, path, value, self._guard())

    def _table(self, slots: str, slot: Slot) -> str:
        """The first arguments of what changes a slot."""
        side = "reply" if slots == "reply_slots" else "response" if self.direction is InHand.RESPONSE else "request"
        return f"&{self.call()}->method->{side}, {self.call()}->{slots}, {slot.index} {comment(slot.field.path)}"

    def _write_slot(self, slots: str, known: Mapping[str, Slot], path: str, value: Atom, guard: str = "") -> None:
        slot = known[path]
        if slot.field.within:
            place = f"{self._direction()}, {slot.index} {comment(path)}"
            self.line(f"{guard}an_write_each({self.scope()}, {place}, {self.atom(value)});")
            return
        table = self._table(slots, slot)
        if is_container(value.type):
            name = f"an_write_{_container(value.type)}"
            self.line(f"{guard}{name}({self.scope()}, {table}, {self.atom(value)});")
            return
        text = self._lasting(value, Lifetime.EVENT) if value.type in TEXTS else self.atom(value)
        text = _NARROW.get(slot.field.kind, "") + text
        if slot.field.names:
            fields = f"{self.call()}->method->{table.split('->method->')[1].split(',')[0]}.fields"
            guard = f"{guard}if (an_wire_named(&{fields}[{slot.index}], {text})) "
        if slot.field.oneofs or any(_is_around(it.field, slot.field) for it in known.values()):
            self.line(f"{guard}an_wire_claim({table});")
        member = MEMBERS.get(value.type, "s")
        place = f"{self.call()}->{slots}[{slot.index} {comment(path)}]"
        self.line(f"{guard}{place} = (an_slot){{.value.{member} = {text}, .present = true, .written = true}};")

    def _lasting(self, text: Atom, lifetime: Lifetime) -> str:
        """The string, copied into the arena where it does not last as long by itself."""
        if self._lifetimes.of(text) >= lifetime:
            return self.atom(text)
        return f"an_keep_text({self.scope()}, {self.atom(text)})"

    # --- match and foreach ---

    def _match(self, statement: Match, at: tuple[Step, ...]) -> None:
        subject = statement.subject
        opened = False
        last = closing(statement.arms)
        for number, arm in enumerate(statement.arms):
            test = None if last is not None and number >= last else self._test(subject, arm.pattern)
            head = "{" if test is None else f"if ({test}) {{"
            self.line(f"}} else {head}" if opened else head)
            self._arm(subject, arm, (*at,), number)
            opened = True
        self.line("}")

    def _arm(self, subject: Atom, arm: Arm, path: tuple[Step, ...], number: int) -> None:
        self._depth += 1
        pattern = arm.pattern
        if isinstance(pattern, SomePattern) and pattern.local is not None and pattern.local.name in self._needed:
            local = pattern.local
            value = f"{self.place(subject)}.value"
            if is_container(local.type) and self._is_changed(local):
                value = self._copy(value, local.type)
            self.line(f"{self.types.name(local.type)} {self._locals[local.name]} = {value};")
        self._inside(arm.body, path, number)
        self._depth -= 1

    def _test(self, subject: Atom, pattern: Pattern) -> str | None:
        match pattern:
            case LiteralPattern(value=value):
                if subject.type in TEXTS:
                    return same_text(self, subject, value)
                if subject.type == BOOL:
                    return self.atom(subject) if value.value else f"!{self.atom(subject)}"
                return f"{self.atom(subject)} == {constant(value)}"
            case SomePattern():
                return f"{self.place(subject)}.some"
            case NonePattern():
                return f"!{self.place(subject)}.some"
            case AnyPattern():
                return None

    def _foreach(self, statement: Foreach, at: tuple[Step, ...]) -> None:
        item = statement.item
        c_type = self.types.name(item.type)
        self.line("{")
        self._depth += 1
        items = self.temporary("an_vec", "items", self.atom(statement.items))
        index = f"at_{self._temporaries}"
        self.line(f"for (uint32_t {index} = 0; {index} < {items}.size; {index}++) {{")
        self._depth += 1
        if item.name in self._needed:
            value = f"*(const {c_type} *)an_vec_at(&{items}, sizeof({c_type}), {index})"
            if is_container(item.type) and self._is_changed(item):
                value = self._copy(value, item.type)
            self.line(f"{c_type} {self._locals[item.name]} = {value};")
        self._inside(statement.body, at, 0)
        self._depth -= 1
        self.line("}")
        self._depth -= 1
        self.line("}")


def _container(type_: Type) -> str:
    """What the runtime's functions for containers of the type have in their names."""
    return "vec" if isinstance(type_, VecType) else "map"


def _is_around(message: Field, field: Field) -> bool:
    """Whether the field stands in the message, which is one."""
    return message.is_message and not message.many and message != field and field.is_inside(message.path)
