"""Random values that two elements may care about: what stands in their code, what is near to it, and the usual."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence

from appnet.analysis.properties import ANY, infer
from appnet.analysis.replay import BACKENDS, MOST_STATUS
from appnet.interpret import ChainInstance, Environment
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value, hold, is_named
from appnet.ir.nodes import Block, Const, Element, LiteralPattern, Match, State, StateClass
from appnet.ir.state_classes import keyed_by_call
from appnet.ir.walk import atoms_of, call_of, statements
from appnet.language.capacity import UNBOUNDED
from appnet.language.messages import Field, MessageSchema
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    SCALARS,
    STRING,
    UINT,
    MapType,
    PairType,
    Type,
    VecType,
)

_WORD = re.compile(rb"[A-Za-z0-9_.-]+")
_INTS = (0, 1, 2, 3, -1, 7)
_FLOATS = (0.0, 0.5, 1.0, 2.0, -1.0, 1e-3, math.inf, math.nan)
_TEXTS = (b"", b"a", b"1")
_STATUSES = (0, 0, 0, 0, 2, 14)
_STEPS_NS = (0, 0, 1, 1_000_000, 1_000_000_000)
_FAR_CALL = 1_000_000  # numbers of calls from before the run
_MOST_COUNT = 3  # entries of a container, where no capacity is near
_MOST_NEAR = 12  # capacities around which sizes are tried
_MOST_LETTERS = 100
_FAR_KEY = 7_000
_MOST_ENTRIES = 200
_MOST_FULL = 1_000  # a Map of no more entries is tried full


class Samples:
    """Pools by type, from both elements; ``source`` picks. While it is calm, no time passes."""

    def __init__(self, elements: Sequence[Element], source: random.Random) -> None:
        self._calm = False
        self._source = source
        found: dict[Type, list[Value]] = {type_: [] for type_ in SCALARS}
        for type_, value in _constants(elements):
            found[type_].append(value)
        texts = [*found[STRING], *found[BYTES]]
        words = [word for text in texts for word in _WORD.findall(text)]
        parts = [part for it in texts for part in (it[: len(it) // 2], it[len(it) // 2 :], it + b"x")]
        numbers = [int(it) for it in found[INT] + found[UINT]]
        sizes = sorted({len(it) for it in texts})
        floats = [*found[FLOAT], *map(float, numbers)]
        self._ints = [*_INTS, *sizes, *(near for it in numbers for near in (it - 1, it, it + 1))]
        self._limits = [0, *(near for it in numbers for near in (it - 1, it))]
        self._floats = [
            *_FLOATS,
            *map(float, sizes),
            *(near for it in floats for near in (it, it - 1.0, it + 1.0, it / 2)),
        ]
        of_size = [b"x" * it for it in numbers if 1 < it <= _MOST_LETTERS]
        self._texts = list(dict.fromkeys([*_TEXTS, *texts, *words, *parts, *of_size]))
        spans = [int(it * 1e9) for it in floats if 0 < it < 1e6]
        self._steps = [*_STEPS_NS, *(near for it in spans for near in (it, it - 1))]
        self._statuses = [*_STATUSES, *(it for it in numbers if 0 < it <= MOST_STATUS)]
        self._by_call = {it.name: _by_call(it) for it in elements}
        self._counts = [*range(_MOST_COUNT + 1), *_near_capacities(elements)]
        calls = [_FAR_CALL + number for number in range(3)] if any(self._by_call.values()) else []
        self._uints = [*(it % 2**64 for it in self._ints), *calls]
        self._all = self._ints, self._uints, self._floats, self._texts
        self._keys = _header_keys(elements, [text.lower() for text in self._texts])

    def turn(self) -> None:
        """Begins a new run: often one with few different values, which meet each other sooner."""
        self._calm = self._source.random() < 0.4
        self._ints, self._uints, self._floats, self._texts = (
            self._source.sample(pool, min(len(pool), 3)) if self._source.random() < 0.5 else pool for pool in self._all
        )

    def texts(self) -> list[bytes]:
        """All strings and bytes."""
        return self._all[-1]

    def pick(self, pool: Sequence[Value]) -> Value:
        """One of them."""
        return self._source.choice(pool)

    def step_ns(self) -> int:
        """Time from one event to the next."""
        return 0 if self._calm else int(self.pick(self._steps))

    def status(self) -> int:
        """What a server answers."""
        return int(self.pick(self._statuses))

    def fields(self, schema: MessageSchema, used: Sequence[str]) -> dict[str, Value]:
        """Some of the used fields of a message, as the wire holds them."""
        fields: dict[str, Value] = {}
        counts: dict[str, int] = {}
        for path in used:
            one = schema.field(path)
            if self._source.random() < 0.8:
                fields = {it: value for it, value in fields.items() if not schema.field(it).is_rival(one)}
                fields[path] = self._in_message(schema, one, counts)
        return fields

    def _in_message(self, schema: MessageSchema, field: Field, counts: dict[str, int]) -> Value:
        """What a message has of the field. ``counts``: of many messages, how many it has."""
        if field.is_message:
            return self._count(schema, field.path, counts) if field.many else True
        if not field.within:
            return self._field(field)
        assert isinstance(field.type, VecType)
        count = self._count(schema, field.within, counts)
        if field.many:
            count = self._source.randint(0, 3) if count else 0
        items = [self.pick(field.names) if field.names else self.value(field.type.item) for _ in range(count)]
        return hold(items, field)

    def _count(self, schema: MessageSchema, path: str, counts: dict[str, int]) -> int:
        around = schema.messages[path].within
        if around and not self._count(schema, around, counts):
            counts[path] = 0
        return counts.setdefault(path, self._source.randint(0, 3))

    def headers(self) -> dict[str, bytes]:
        """Some headers that the elements ask for or set."""
        return {key: self._header() for key in self._keys if self._source.random() < 0.6}

    def state(self, element: Element) -> dict[str, Value]:
        """Values for the variables that handlers write."""
        by_call = self._by_call[element.name]
        general = (StateClass.GENERAL, StateClass.COUNTER)
        return {
            it.name: self._calls(it.type, it.capacity) if it.name in by_call else self.value(it.type, it.capacity)
            for it in element.state
            if it.state_class in general
        }

    def value(self, type_: Type, capacity: int = UNBOUNDED) -> Value:
        """A value of the type; a container has few entries, or about as many as one of the elements can hold."""
        match type_:
            case PairType(first=first, second=second):
                return (self.value(first), self.value(second))
            case VecType(item=item):
                return [self.value(item) for _ in range(min(self.pick(self._counts), capacity))]
            case MapType(key=key, value=kept):
                count = min(self.pick(self._counts), capacity)
                entries = {self._key(key): self.value(kept) for _ in range(count)}
                lacking = count - len(entries) if count > _MOST_COUNT else 0
                return entries | {it: self.value(kept) for it in itertools.islice(_further_keys(key), lacking)}
        if type_ == BOOL:
            return self._source.random() < 0.5
        if type_ == INSTANT:
            return CLOCK_START_NS - min(self.step_ns(), CLOCK_START_NS)
        if type_ == FLOAT:
            return self.pick(self._floats)
        if type_ in (STRING, BYTES):
            return self.pick(self._texts)
        return self.pick(self._uints if type_ == UINT else self._ints)

    def _key(self, type_: Type) -> Value:
        if type_ == INT and self._source.random() < 0.5:
            return self._source.randrange(BACKENDS)  # Maps of what is known of each host have such keys
        value = self.value(type_)
        return 0.0 if value == 0 and type_ == FLOAT else value

    def _calls(self, type_: Type, capacity: int) -> Value:
        """A Map of what was kept for earlier calls."""
        assert isinstance(type_, MapType)
        few = min(abs(self.pick(self._source.choice((self._ints, self._limits)))), capacity, _MOST_ENTRIES)
        count = capacity if capacity <= _MOST_FULL and self._source.random() < 0.2 else few
        return {_FAR_CALL + number: self.value(type_.value) for number in range(count)}

    def _field(self, field: Field) -> Value:
        value = hold(self.value(field.type), field)
        return value if is_named(value, field) else hold(self._named(field), field)

    def _named(self, field: Field) -> Value:
        """A value of a closed enum, for each that there is one."""
        match field.type:
            case VecType():
                return [self.pick(field.names)]
            case MapType(key=key):
                return {self._key(key): self.pick(field.names)}
            case _:
                return self.pick(field.names)

    def _header(self) -> bytes:
        return bytes(self.pick([text for text in self._texts if text.isascii() and text.isalnum()] or [b"1"]))


def _by_call(element: Element) -> frozenset[str]:
    """Maps that are set for calls; one that is never set may hold what an earlier version of the element left there."""
    variables = {it.name: it.type for it in element.state}
    is_set = {
        call.args[0].name
        for body in element.bodies
        for it in statements(body)
        if (call := call_of(it)) is not None and call.op == "map_set" and isinstance(call.args[0], State)
    }
    return keyed_by_call(element.init, element.bodies, variables) & is_set


def _further_keys(type_: Type) -> Iterator[Value]:
    """Keys that pools do not have, for Maps that are to be large."""
    if type_ != BOOL:
        for number in itertools.count(_FAR_KEY):
            yield b"%d" % number if type_ in (STRING, BYTES) else float(number) if type_ == FLOAT else number


def _near_capacities(elements: Sequence[Element]) -> Iterator[int]:
    """Sizes around what the elements' containers can hold, as far as that is little."""
    for element in elements:
        for capacity in (element.local_capacity, *(it.capacity for it in element.state)):
            if capacity <= _MOST_NEAR:
                yield from (capacity - 1, capacity, capacity + 1, capacity + 2)


def _constants(elements: Sequence[Element]) -> Iterator[tuple[Type, Value]]:
    """Literals of the code, and what state is after `init`."""
    for element in elements:
        for body in (element.init, *element.bodies):
            yield from _literals(body)
        state = ChainInstance([element], Environment(lambda: 0)).state_of(element.name)
        for it in element.state:
            yield from _scalars(it.type, state[it.name])


def _literals(body: Block) -> Iterator[tuple[Type, Value]]:
    for statement in statements(body):
        yield from ((atom.type, atom.value) for atom in atoms_of(statement) if isinstance(atom, Const))
        if isinstance(statement, Match):
            patterns = (arm.pattern for arm in statement.arms)
            yield from ((it.value.type, it.value.value) for it in patterns if isinstance(it, LiteralPattern))


def _scalars(type_: Type, value: Value) -> Iterator[tuple[Type, Value]]:
    match type_:
        case PairType(first=first, second=second):
            yield from _scalars(first, value[0])
            yield from _scalars(second, value[1])
        case VecType(item=item):
            for one in value[:3]:
                yield from _scalars(item, one)
        case MapType(key=key, value=kept):
            for number, one in list(value.items())[:3]:
                yield from _scalars(key, number)
                yield from _scalars(kept, one)
        case _:
            yield type_, value


def _header_keys(elements: Sequence[Element], texts: Sequence[bytes]) -> list[str]:
    handlers = [it for element in elements for it in (infer(element).request, infer(element).response)]
    keys = {key for it in handlers for key in it.metadata_read | it.metadata_written}
    if ANY in keys:
        keys |= {text.decode("latin-1") for text in texts if _WORD.fullmatch(text)}
    return sorted(keys - {ANY})
