"""Random AppNet programs, well typed by construction, as text; their method is that of sample.proto.

A program's state variables each have a role that all accesses keep to, so that every state class turns up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from appnet.ir.nodes import Element
from appnet.language.capacity import DEFAULT_CAPACITY
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)
from tests.support.expressions import METADATA, NUMBERS, WORDS, Expressions, Variable
from tests.support.sample import SAMPLE

CODES = ("PERMISSION_DENIED", "NOT_FOUND", "UNAVAILABLE", "INTERNAL", "UNAUTHENTICATED", "CANCELLED")

_LOCAL_TYPES = (INT, UINT, FLOAT, STRING, BOOL, BYTES, INSTANT, PairType(INT, STRING))
_LOCAL_CONTAINERS = (
    *(VecType(it) for it in (INT, FLOAT, STRING, UINT, PairType(INT, STRING), VecType(INT))),
    *(MapType(STRING, it) for it in (INT, FLOAT, STRING, VecType(INT))),
    *(MapType(key, INT) for key in (INT, UINT, FLOAT, BOOL)),
)
_STATE_TYPES = (
    INT,
    UINT,
    FLOAT,
    BOOL,
    STRING,
    BYTES,
    INSTANT,
    PairType(INT, STRING),
    PairType(FLOAT, INSTANT),
    VecType(INT),
    VecType(FLOAT),
    VecType(STRING),
    VecType(PairType(INT, STRING)),
    MapType(STRING, STRING),
    MapType(STRING, INT),
    MapType(INT, FLOAT),
    MapType(UINT, PairType(INT, STRING)),
    MapType(STRING, VecType(INT)),
    MapType(BOOL, UINT),
    MapType(FLOAT, INT),
)
_KEPT = (STRING, INSTANT, INT, PairType(FLOAT, INSTANT))
_RECORDED = (STRING, FLOAT, UINT, BYTES, BOOL, INSTANT, PairType(INT, STRING))
_FIELD_PATHS = tuple(SAMPLE.request.fields)
_REPLY_PATHS = tuple(path for path, it in SAMPLE.response.fields.items() if not it.within)
_CLEARED = tuple(it.path for it in SAMPLE.request.all_fields() if not it.within)
_EACH = [(path, it) for path, it in SAMPLE.request.fields.items() if it.within]
_CAPACITY_MARK = "# containers hold "
_MANY = [(path, it) for path, it in SAMPLE.request.fields.items() if isinstance(it.type, VecType | MapType)]


def programs() -> st.SearchStrategy[str]:
    """Texts of programs, as a strategy that can shrink them."""
    return st.randoms(use_true_random=False).map(make_program)


def make_program(source: random.Random, budget: int = 12, *, replies: bool = False, whole: bool = False) -> str:
    """The text of one program; ``budget``: of statements in each block, ``replies``: whether it may reply.

    ``whole``: whether it may look at the beginning and the end of calls, and sometimes at nothing else.
    """
    variables = _make_variables(source)
    lines = ["state:"]
    lines += [f"    {variable.declaration()}" for variable in variables] or ["    pass"]
    blocks = ["init", "req", "resp"]
    only = set()
    if whole:
        blocks = ["init", *(["open"] if source.random() < 0.7 else []), "req", "resp"]
        blocks += ["end"] if source.random() < 0.7 else []
        only = {it for it in ("req", "resp") if source.random() < 0.4}
    for block in blocks:
        writer = _Writer(source, variables, block, budget=budget, replies=replies)
        body = writer.whole(writer.verdict) if block in only and not replies else writer.body()
        lines += ["", f"{block}({'' if block == 'init' else 'rpc'}):", *(f"    {line}" for line in body)]
    return "\n".join(lines) + "\n"


def lower_capacity(source: random.Random, text: str) -> str:
    """The program, sometimes with a mark that its containers hold few entries, so that it meets full ones."""
    capacity = source.choice((None, None, 1, 2, 3, 4))
    return text if capacity is None else f"{_CAPACITY_MARK}{capacity}\n{text}"


def as_marked(element: Element, text: str) -> Element:
    """The element of the text with the default capacity that a mark in its first line gives."""
    found = re.match(rf"{_CAPACITY_MARK}(\d+)\n", text)
    return element if found is None else with_capacity(element, int(found[1]))


def with_capacity(element: Element, capacity: int) -> Element:
    """The element with another default capacity."""
    state = (replace(it, capacity=capacity) if it.capacity == DEFAULT_CAPACITY else it for it in element.state)
    return replace(element, state=tuple(state), local_capacity=capacity)


def _make_variables(source: random.Random) -> list[Variable]:
    def some(types: Sequence[Type], least: int, most: int) -> list[Type]:
        return [source.choice(types) for _ in range(source.randint(least, most))]

    general, fixed, records = some(_STATE_TYPES, 1, 5), some(_STATE_TYPES, 0, 2), some(_RECORDED, 0, 2)
    counters, calls = some((INT, UINT, FLOAT), 0, 2), some(_KEPT, 0, 2)
    roles = [
        *((type_, "general") for type_ in general),
        *((type_, "read-only") for type_ in fixed),
        *((VecType(type_), "record") for type_ in records),
        *((type_, "counter") for type_ in counters),
        *((MapType(UINT, type_), "call") for type_ in calls),
    ]
    made = []
    for number, (type_, role) in enumerate(roles):
        capacity = None
        if role == "general" and isinstance(type_, VecType):
            capacity = source.choice((1, 2, 3, 40))  # loops that append to what they go over double it
        elif role == "general" and isinstance(type_, MapType):
            capacity = source.choice((None, 1, 2, 3))
        made.append(Variable(f"s{number}_{role.replace('-', '_')}", type_, role, capacity))
    return made


@dataclass
class _Writer(Expressions):
    """Writes one block.

    ``entries``: locals that stand for an entry of a container, and may not come to stand for anything else.
    """

    budget: int = 12
    replies: bool = False
    entries: set[str] = field(default_factory=set)

    def in_role(self, role: str) -> list[Variable]:
        return [variable for variable in self.variables if variable.role == role]

    def writable(self, wanted: Callable[[Type], bool]) -> list[Variable]:
        roles = ("general", "read-only") if self.block == "init" else ("general",)
        return [variable for variable in self.variables if variable.role in roles and wanted(variable.type)]

    # --- blocks ---

    def body(self) -> list[str]:
        lines = self.statements(at_least=2)
        if self.has_metadata and not self.once_in(10):
            lines += self.whole(self.verdict)
        return lines or ["pass"]

    def statements(self, at_least: int = 0) -> list[str]:
        """Statements in a scope of their own."""
        outer = list(self.locals)
        lines: list[str] = []
        for _ in range(self.source.randint(at_least, at_least + 4)):
            if self.budget > 0:
                self.budget -= 1
                lines += self.whole(self.statement)
        self.locals = outer
        return lines

    def whole(self, make: Callable[[], list[str]]) -> list[str]:
        """What ``make`` writes, after the statements that its expressions need."""
        outer, self.before = self.before, []
        lines = make()
        lines, self.before = [*self.before, *lines], outer
        return lines

    def inner(self) -> list[str]:
        """The body of an arm: statements, and sometimes a verdict."""
        lines = self.statements()
        if self.has_metadata and not self.loops and self.once_in(4):
            lines += self.whole(self.verdict)
        return [f"    {line}" for line in lines or ["pass"]]

    def verdict(self) -> list[str]:
        onward = "send(rpc, Up)" if self.block == "resp" else "send(rpc, Down)"
        if self.replies and self.block == "req" and self.once_in(3):
            return self._reply()
        if not self.once_in(4):
            return [onward]
        text = self.pick([f"'{self.pick(WORDS)}'", self.expression(STRING)])
        code = self.pick(["", f", {self.pick(CODES)}"])
        return [f"send(err({text}{code}), Up)"]

    def _reply(self) -> list[str]:
        if self.once_in(6):
            return ["send(reply(), Up)"]
        lines = ["answer = reply()"]
        for _ in range(self.source.randint(0, 3)):
            field_ = SAMPLE.response.fields[self.pick(_REPLY_PATHS)]
            lines.append(f"set(answer, '{field_.path}', {self._for_field(field_.type)})")
        return [*lines, "send(answer, Up)"]

    # --- statements ---

    def statement(self) -> list[str]:
        kinds = [
            self._new_local,
            self._new_container,
            self._assign_local,
            self._assign_state,
            self._count,
            self._set_in_map,
            self._delete_from_map,
            self._append,
            self._set_item,
            self._take_pair_apart,
            self._match_bool,
            self._branch,
            self._match_literal,
            self._match_option,
            self._match_function,
            self._loop,
        ]
        if self.block in {"open", "req"}:
            kinds += [self._delay, self._set_deadline]
        if self.block != "init":
            kinds += [self._keep_for_call, self._look_at_call]
        if self.has_metadata:
            kinds.append(self._set_metadata)
        if self.has_message:
            kinds += [self._write_field, self._write_field, self._take_many]
            kinds += [self._clear_field, self._write_in_each]
        return self.pick(kinds)()

    def _new_local(self) -> list[str]:
        type_ = self.pick([type_ for type_ in _LOCAL_TYPES if type_ != BYTES or self.has_bytes()])
        value = self.expression(type_, anchored=True)
        name = self.fresh()
        self.locals.append((name, type_))
        return [f"{name} = {value}"]

    def _new_container(self) -> list[str]:
        type_ = self.pick(_LOCAL_CONTAINERS)
        name = self.fresh()
        if not self.once_in(3):
            lines = [f"{name} = {self.expression(type_, anchored=True)}"]
        elif isinstance(type_, VecType):
            item = self.expression(type_.item, anchored=True)
            lines = [f"{name} = []", f"set({name}, size({name}), {item})"]
        else:
            key = self.expression(type_.key, anchored=True)
            lines = [f"{name} = {{}}", f"set({name}, {key}, {self.expression(type_.value, anchored=True)})"]
        self.locals.append((name, type_))
        return lines

    def _take_many(self) -> list[str]:
        path, used = self.pick(_MANY)
        name = self.fresh()
        self.locals.append((name, used.type))
        return [f"{name} = get(rpc, '{path}')"]

    def _clear_field(self) -> list[str]:
        return [f"clear(rpc, '{self.pick(_CLEARED)}')"]

    def _write_in_each(self) -> list[str]:
        """What each of many messages has, changed or exchanged."""
        path, used = self.pick(_EACH)
        if self.once_in(2):
            same = [other for other, it in _EACH if it.type == used.type and it.within == used.within and not it.many]
            return [f"set(rpc, '{path}', get(rpc, '{self.pick(same or [path])}'))"]
        name = self.fresh()
        assert isinstance(used.type, VecType)
        item = self.expression(used.type.item)
        self.locals.append((name, used.type))
        number = self.pick(("0", "1", "2"))
        return [f"{name} = get(rpc, '{path}')", f"set({name}, {number}, {item})", f"set(rpc, '{path}', {name})"]

    def _assign_local(self) -> list[str]:
        assignable = [local for local in self.locals if local[0] not in self.entries]
        if not assignable:
            return self._new_local()
        name, type_ = self.pick(assignable)
        return [f"{name} = {self._assigned(type_)}"]

    def _assign_state(self) -> list[str]:
        targets = self.writable(lambda _type: True)
        if not targets:
            return []
        target = self.pick(targets)
        return [f"{target.name} = {self._assigned(target.type)}"]

    def _assigned(self, type_: Type) -> str:
        if isinstance(type_, VecType | MapType) and self.once_in(3):
            return "[]" if isinstance(type_, VecType) else "{}"
        return self.expression(type_)

    def _count(self) -> list[str]:
        counters = self.in_role("counter")
        if not counters:
            return []
        counter = self.pick(counters)
        if self.block == "init":
            return [f"{counter.name} = {self.expression(counter.type, 0)}"]
        return [f"{counter.name} = {counter.name} + {self.expression(counter.type)}"]

    def _set_in_map(self) -> list[str]:
        maps = self._maps()
        if not maps:
            return []
        name, type_ = self.pick(maps)
        return [f"set({name}, {self.expression(type_.key)}, {self.expression(type_.value)})"]

    def _delete_from_map(self) -> list[str]:
        maps = self._maps()
        if not maps:
            return []
        name, type_ = self.pick(maps)
        return [f"delete({name}, {self.expression(type_.key)})"]

    def _maps(self) -> list[tuple[str, MapType]]:
        places = [(it.name, it.type) for it in self.writable(lambda type_: isinstance(type_, MapType))]
        return [(name, type_) for name, type_ in [*places, *self.locals] if isinstance(type_, MapType)]

    def _append(self) -> list[str]:
        vecs = self.writable(lambda type_: isinstance(type_, VecType)) + self.in_role("record")
        names = [(vec.name, vec.type) for vec in vecs]
        names += [(name, type_) for name, type_ in self.locals if isinstance(type_, VecType)]
        if not names:
            return []
        name, type_ = self.pick(names)
        assert isinstance(type_, VecType)
        return [f"set({name}, size({name}), {self.expression(type_.item)})"]

    def _set_item(self) -> list[str]:
        vecs = [(vec.name, vec.type) for vec in self.writable(lambda type_: isinstance(type_, VecType))]
        vecs += [(name, type_) for name, type_ in self.locals if isinstance(type_, VecType)]
        if not vecs:
            return []
        name, type_ = self.pick(vecs)
        assert isinstance(type_, VecType)
        return [f"set({name}, {self.expression(INT)}, {self.expression(type_.item)})"]

    def _take_pair_apart(self) -> list[str]:
        if self.once_in(4):
            type_, value = PairType(INT, INSTANT), f"get_load({self.expression(INT)})"
        else:
            type_ = self.pick((PairType(INT, STRING), PairType(FLOAT, INSTANT)))
            value = self.expression(type_, anchored=True)
        first, second = self.fresh(), self.fresh()
        self.locals += [(first, type_.first), (second, type_.second)]
        return [f"({first}, {second}) = {value}"]

    def _write_field(self) -> list[str]:
        path = self.pick(_FIELD_PATHS)
        type_ = SAMPLE.request.fields[path].type
        if type_ == FLOAT and self.once_in(3):
            type_ = INSTANT  # a float where one is expected
        return [f"set(rpc, '{path}', {self._for_field(type_)})"]

    def _for_field(self, type_: Type) -> str:
        if isinstance(type_, VecType | MapType) and self.once_in(5):
            return "[]" if isinstance(type_, VecType) else "{}"
        return self.expression(type_)

    def _set_metadata(self) -> list[str]:
        function = self.pick(("set_metadata", "set_rpc_header", *(["set_trailer"] if self.block == "resp" else [])))
        if self.once_in(6):
            return [f"delete_metadata(rpc, '{self.pick(METADATA)}')"]
        return [f"{function}(rpc, '{self.pick(METADATA)}', {self.expression(STRING)})"]

    def _set_deadline(self) -> list[str]:
        return [f"set_deadline(rpc, {self.expression(FLOAT)})"]

    def _delay(self) -> list[str]:
        return [f"delay(rpc, {self.expression(FLOAT)})"]

    def _keep_for_call(self) -> list[str]:
        calls = self.in_role("call")
        if not calls:
            return []
        kept = self.pick(calls)
        assert isinstance(kept.type, MapType)
        if self.once_in(5):
            return [f"delete({kept.name}, rpc_id())"]
        return [f"set({kept.name}, rpc_id(), {self.expression(kept.type.value)})"]

    def _look_at_call(self) -> list[str]:
        calls = self.in_role("call")
        return self._options(f"get({(kept := self.pick(calls)).name}, rpc_id())", kept.type) if calls else []

    # --- branching ---

    def _match_bool(self) -> list[str]:
        arms = self.pick((("true", "false"), ("false", "true"), ("true",), ("true", "_"), ("false",)))
        lines = [f"match {self.expression(BOOL)}:"]
        for arm in arms:
            lines += self._arm(arm)
        return lines

    def _branch(self) -> list[str]:
        lines = [f"if {self.expression(BOOL)}:", *self.inner()]
        for _ in range(self.source.randint(0, 2)):
            lines += [f"elif {self.expression(BOOL)}:", *self.inner()]
        return lines + (["else:", *self.inner()] if self.flip() else [])

    def _match_literal(self) -> list[str]:
        type_ = self.pick((STRING, INT, UINT))
        subject = self.expression(type_, anchored=True)
        pool: Sequence[Any] = [f"'{word}'" for word in WORDS] if type_ == STRING else NUMBERS
        literals = self.source.sample(pool, self.source.randint(1, 3))
        lines = [f"match {subject}:"]
        for literal in literals:
            lines += self._arm(str(literal))
        return lines + (self._arm("_") if self.flip() else [])

    def _match_option(self) -> list[str]:
        places = self.readable(lambda type_: isinstance(type_, MapType | VecType))
        if not places:
            return []
        place = self.pick(places)
        key = place.type.key if isinstance(place.type, MapType) else INT
        return self._options(f"get({place.name}, {self.expression(key)})", place.type)

    def _match_function(self) -> list[str]:
        type_ = OptionType(STRING)
        return self._options(self.call_of(self.pick(self.functions_for(type_)), type_, 1), type_)

    def _options(self, subject: str, container: Type) -> list[str]:
        lines = []
        item = container.value if isinstance(container, MapType) else container.item  # type: ignore[attr-defined]
        if self.flip():
            name = self.fresh()
            lines, subject = [f"{name} = {subject}"], name
        lines.append(f"match {subject}:")
        for arm in self.pick((("Some", "None"), ("None", "Some"), ("Some",), ("None", "_"))):
            if arm == "Some" and not self.once_in(5):
                name = self.fresh()
                self.entries.add(name)
                lines += self._arm(f"Some({name})", (name, item))
            else:
                lines += self._arm("Some(_)" if arm == "Some" else arm)
        return lines

    def _arm(self, pattern: str, *bound: tuple[str, Type]) -> list[str]:
        self.locals += bound
        body = self.inner()
        del self.locals[len(self.locals) - len(bound) :]
        if len(body) == 1 and self.flip():
            return [f"    {pattern} => {body[0].strip()}"]
        return [f"    {pattern} =>", *(f"    {line}" for line in body)]

    def _loop(self) -> list[str]:
        kept = [it.type for it in self.readable(lambda type_: isinstance(type_, VecType | MapType))]
        type_ = self.pick([VecType(INT), VecType(FLOAT), VecType(STRING), MapType(STRING, INT), *kept])
        items = self.expression(type_, anchored=True)
        parts = (type_.key, type_.value) if isinstance(type_, MapType) else (type_.item,)
        names = [self.fresh() for _ in parts]
        self.locals += zip(names, parts, strict=True)
        self.loops += 1
        body = self.inner()
        self.loops -= 1
        del self.locals[-len(names) :]
        return [f"foreach({items}, lambda({', '.join(names)}):", *body, ")"]
