"""Values of the language as terms of Z3.

bool is Bool; int, uint and Instant are 64-bit vectors; strings and bytes share one uninterpreted sort, floats have
another, and each Vec type one of its own: operations on those are functions that nothing is known of, except that
equal operands give equal results, and that operations on literals give what the interpreter says. A proof that holds
for every such function holds for the real ones. A Map is a record of arrays (`MapValue`); other containers hold it
packed into one term of an uninterpreted sort.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import z3

from appnet.interpret.values import Value, default_value, float_bits
from appnet.language.capacity import UNBOUNDED
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, MapType, OptionType, PairType, Type, VecType

Term: TypeAlias = Any
"""A term of Z3."""

Symbolic: TypeAlias = Any
"""A term, a tuple of two `Symbolic` for a pair, an `Option` or a `MapValue`."""

BITS = 64
TEXT = z3.DeclareSort("Text")
HISTORY = z3.DeclareSort("History")
STREAM = z3.DeclareSort("Stream")
TRUE, FALSE = z3.BoolVal(True), z3.BoolVal(False)
_DOUBLE = z3.DeclareSort("Double")
_UNPACK = "unpack"


@dataclass(frozen=True)
class Option:
    """What `get` gives; ``value`` means nothing where ``present`` is false."""

    present: Term
    value: Symbolic


@dataclass(frozen=True)
class MapValue:
    """A Map: which keys are set, the leaves of their values, how many there are, and the order they were set in.

    Where a key is absent, its leaves are defaults: so equal Maps are equal terms. ``most``: it has no more entries.
    """

    type: MapType
    present: Term
    leaves: tuple[Term, ...]
    size: Term
    history: Term
    most: int = UNBOUNDED


class World:
    """Literals and facts that all terms of one question share. ``orders_texts``: whether any were put in order."""

    def __init__(self) -> None:
        self.facts: list[Term] = []
        self.orders_texts = False
        self._literals: dict[tuple[str, Value], Term] = {}
        self._values: dict[int, tuple[Term, Value]] = {}
        self._most: dict[int, tuple[Term, int]] = {}

    def literal(self, value: Value, type_: Type) -> Symbolic:
        """The term of a scalar, of a pair or of an option of such."""
        match type_:
            case PairType(first=first, second=second):
                return (self.literal(value[0], first), self.literal(value[1], second))
            case OptionType(item=item):
                held = value[0] if value is not None else default_value(item)
                return Option(z3.BoolVal(value is not None), self.literal(held, item))
        if type_ == BOOL:
            return TRUE if value else FALSE
        if sort_of(type_) == z3.BitVecSort(BITS):
            return z3.BitVecVal(value, BITS)
        key = ("float", float_bits(value)) if type_ == FLOAT else ("text", bytes(value))
        if key not in self._literals:
            term = z3.Const(f"{key[0]}:{key[1].hex() if isinstance(key[1], bytes) else key[1]}", sort_of(type_))
            self._literals[key] = term
            self._values[term.get_id()] = (term, value)
        return self._literals[key]

    def value_of(self, term: Term, type_: Type) -> tuple[Value] | None:
        """The value of a scalar term in a tuple, if it is a literal."""
        if z3.is_true(term) or z3.is_false(term):
            return (z3.is_true(term),)
        if z3.is_bv_value(term):
            return (term.as_signed_long() if type_ == INT else term.as_long(),)
        known = self._values.get(term.get_id()) if z3.is_const(term) else None
        return known[1:] if known is not None else None

    def note_most(self, vec: Term, most: int) -> Term:
        """Notes that the Vec has no more items; gives the Vec."""
        self._most[vec.get_id()] = (vec, min(most, self.most(vec)))
        return vec

    def most(self, vec: Term) -> int:
        """How many items the Vec has at most, as far as that is known."""
        known = self._most.get(vec.get_id())
        if known is not None:
            return known[1]
        most = UNBOUNDED
        if is_choice(vec):
            most = max(map(self.most, vec.children()[1:]))
            self._most[vec.get_id()] = (vec, most)
        return most

    def literals(self, kind: str) -> list[tuple[Term, Value]]:
        """The literals that are a "text" or a "float", with their values."""
        return [self._values[term.get_id()] for (of, _), term in self._literals.items() if of == kind]

    def distinct(self) -> Iterator[Term]:
        """That different literals are different values."""
        for kind in ("text", "float"):
            terms = [term for term, _ in self.literals(kind)]
            if len(terms) > 1:
                yield z3.Distinct(*terms)

    def equal(self, a: Term, b: Term) -> Term:
        """That two terms are the same value, bit for bit."""
        if a.eq(b):
            return TRUE
        if z3.is_const(a) and z3.is_const(b) and a.get_id() in self._values and b.get_id() in self._values:
            return FALSE
        if z3.is_bv_value(a) and z3.is_bv_value(b):
            return FALSE
        return a == b


# --- sorts and shapes ------------------------------------------------------------------------


def sort_of(type_: Type) -> Term:
    """The sort of a type that has one leaf."""
    if type_ == BOOL:
        return z3.BoolSort()
    if type_ == FLOAT:
        return _DOUBLE
    if type_ in (STRING, BYTES):
        return TEXT
    return z3.DeclareSort(str(type_)) if isinstance(type_, VecType | MapType) else z3.BitVecSort(BITS)


def leaf_sorts(type_: Type) -> list[Term]:
    """The sorts of the leaves of a value inside a container, where Maps are packed."""
    match type_:
        case PairType(first=first, second=second):
            return leaf_sorts(first) + leaf_sorts(second)
        case OptionType(item=item):
            return [z3.BoolSort(), *leaf_sorts(item)]
        case _:
            return [sort_of(type_)]


def flatten(value: Symbolic) -> list[Term]:
    """The leaves of a value."""
    match value:
        case tuple():
            return [leaf for part in value for leaf in flatten(part)]
        case Option(present=present, value=held):
            return [present, *flatten(held)]
        case MapValue():
            return [value.present, *value.leaves, value.size, value.history]
        case _:
            return [value]


def build(type_: Type, leaves: Sequence[Term]) -> Symbolic:
    """The value of a type that has these leaves inside a container."""
    match type_:
        case PairType(first=first, second=second):
            count = len(leaf_sorts(first))
            return (build(first, leaves[:count]), build(second, leaves[count:]))
        case OptionType(item=item):
            return Option(leaves[0], build(item, leaves[1:]))
        case MapType():
            return _unpacked(type_, leaves[0])
        case _:
            return leaves[0]


def alike(template: Symbolic, leaves: Sequence[Term]) -> Symbolic:
    """A value of the template's shape with these leaves; of a Map in it nobody knows how large it is."""
    match template:
        case tuple():
            count = len(flatten(template[0]))
            return (alike(template[0], leaves[:count]), alike(template[1], leaves[count:]))
        case Option():
            return Option(leaves[0], alike(template.value, leaves[1:]))
        case MapValue(type=type_):
            return MapValue(type_, leaves[0], tuple(leaves[1:-2]), leaves[-2], leaves[-1])
        case _:
            return leaves[0]


def variable(name: str, type_: Type) -> Symbolic:
    """Any value of the type: of a state variable, a field or another place that holds it whole."""
    if isinstance(type_, MapType):
        key = sort_of(type_.key)
        arrays = [
            z3.Const(f"{name}.{number}", z3.ArraySort(key, sort)) for number, sort in enumerate(leaf_sorts(type_.value))
        ]
        present = z3.Const(f"{name}.present", z3.ArraySort(key, z3.BoolSort()))
        size = z3.BitVec(f"{name}.size", BITS)
        return MapValue(type_, present, tuple(arrays), size, z3.Const(f"{name}.history", HISTORY))
    return build(type_, [z3.Const(f"{name}.{number}", sort) for number, sort in enumerate(leaf_sorts(type_))])


def inside(value: Symbolic) -> Symbolic:
    """The value as containers hold it: its Maps packed."""
    match value:
        case tuple():
            return tuple(inside(part) for part in value)
        case Option():
            return Option(value.present, inside(value.value))
        case MapValue():
            whole = _whole(value)
            return whole if whole is not None else apply(f"pack {value.type}", flatten(value), sort_of(value.type))
        case _:
            return value


def _unpacked(type_: MapType, packed: Term) -> MapValue:
    """The Map in a container."""
    if is_choice(packed):
        condition, a, b = packed.children()
        both_: MapValue = when(condition, _unpacked(type_, a), _unpacked(type_, b))
        return both_
    if z3.is_app(packed) and packed.decl().name().startswith(f"pack {type_} "):
        leaves = packed.children()
    else:
        template = variable("", type_)
        leaves = [apply(f"{_UNPACK} {n}", [packed], it.sort()) for n, it in enumerate(flatten(template))]
    return MapValue(type_, leaves[0], tuple(leaves[1:-2]), leaves[-2], leaves[-1])


def _whole(value: MapValue) -> Term | None:
    """The term that the Map was unpacked from, if nothing has changed since."""
    leaves = flatten(value)
    if is_choice(leaves[0]):
        condition = leaves[0].arg(0)
        sides = [
            _whole(replace(value, present=chosen[0], leaves=tuple(chosen[1:-2]), size=chosen[-2], history=chosen[-1]))
            for chosen in ([_side(it, condition, number) for it in leaves] for number in (1, 2))
        ]
        return _when(condition, *sides) if None not in sides else None
    wholes = [it.arg(0) for it in leaves if z3.is_app(it) and it.decl().name().startswith(_UNPACK)]
    known = len(wholes) == len(leaves) and all(it.eq(wholes[0]) for it in wholes)
    return wholes[0] if known and wholes[0].sort() == sort_of(value.type) else None


def _side(term: Term, condition: Term, number: int) -> Term:
    return term.arg(number) if is_choice(term) and term.arg(0).eq(condition) else term


def is_choice(term: Term) -> bool:
    """Whether the term is one of two, by a condition."""
    return bool(z3.is_app_of(term, z3.Z3_OP_ITE))


def apply(name: str, arguments: Sequence[Term], sort: Term) -> Term:
    """A function that nothing is known of, applied."""
    if not arguments:
        return z3.Const(name, sort)
    signature = " ".join(str(argument.sort()) for argument in arguments)
    return z3.Function(f"{name} {signature}", *(argument.sort() for argument in arguments), sort)(*arguments)


def apply_typed(name: str, arguments: Sequence[Symbolic], type_: Type) -> Symbolic:
    """The same on values, for a value of the type: one function for each leaf."""
    leaves = [leaf for argument in arguments for leaf in flatten(inside(argument))]
    return build(type_, [apply(f"{name}#{number}", leaves, sort) for number, sort in enumerate(leaf_sorts(type_))])


def narrowed(value: Term, kind: str) -> Term:
    """What a field of this kind holds after it was written (`appnet.interpret.values.narrow`)."""
    if kind in {"int32", "sint32", "sfixed32", "enum"}:
        return z3.simplify(z3.SignExt(32, z3.Extract(31, 0, value)))
    if kind in {"uint32", "fixed32"}:
        return z3.simplify(z3.ZeroExt(32, z3.Extract(31, 0, value)))
    return _narrowed_float(value) if kind == "float" else value


def _narrowed_float(value: Term) -> Term:
    """Narrowing twice is narrowing once."""
    if value.decl().name().startswith("narrow "):
        return value
    if is_choice(value):
        condition, a, b = value.children()
        return _when(condition, _narrowed_float(a), _narrowed_float(b))
    return apply("narrow", [value], value.sort())


def equal_all(world: World, a: Symbolic, b: Symbolic) -> Term:
    """That two values of one type are the same."""
    same = TRUE
    for one, other in zip(flatten(a), flatten(b), strict=True):
        same = both(same, world.equal(one, other))
    return same


# --- connectives that see through what is known ----------------------------------------------


def both(a: Term, b: Term) -> Term:
    """a and b."""
    if z3.is_false(a) or z3.is_true(b):
        return a
    return b if z3.is_true(a) or z3.is_false(b) or a.eq(b) else z3.And(a, b)


def either(a: Term, b: Term) -> Term:
    """a or b."""
    return negated(both(negated(a), negated(b)))


def negated(a: Term) -> Term:
    """not a."""
    if z3.is_true(a):
        return FALSE
    if z3.is_false(a):
        return TRUE
    return a.arg(0) if z3.is_not(a) else z3.Not(a)


def when(condition: Term, then: Symbolic, otherwise: Symbolic) -> Symbolic:
    """``then`` where the condition holds, else ``otherwise``; the two are values of one type."""
    if z3.is_true(condition):
        return then
    if z3.is_false(condition):
        return otherwise
    match then:
        case tuple():
            return tuple(when(condition, a, b) for a, b in zip(then, otherwise, strict=True))
        case Option(present=present, value=value):
            return Option(_when(condition, present, otherwise.present), when(condition, value, otherwise.value))
        case MapValue(most=most):
            leaves = [_when(condition, a, b) for a, b in zip(flatten(then), flatten(otherwise), strict=True)]
            return replace(alike(then, leaves), most=max(most, otherwise.most))
        case _:
            return _when(condition, then, otherwise)


def _when(condition: Term, then: Term, otherwise: Term) -> Term:
    if then.eq(otherwise):
        return then
    if z3.is_true(then) and z3.is_false(otherwise):
        return condition
    if z3.is_false(then) and z3.is_true(otherwise):
        return negated(condition)
    return z3.If(condition, then, otherwise)
