"""The symbolic meaning of each operation of `appnet.language.operations`: one entry each.

An entry is exact, or the operation is declared opaque: a function that nothing is known of but that equal operands
give equal results. Either way, an operation without effects on literals is what the interpreter says it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import z3

from appnet.analysis import maps, orders, vecs
from appnet.analysis.machine import bare_machine
from appnet.analysis.store import IS_GONE, WAS_SET, Store, SymbolicHeaders, SymbolicMessage, merge_headers
from appnet.analysis.symbols import (
    BITS,
    STREAM,
    TEXT,
    TRUE,
    MapValue,
    Option,
    Symbolic,
    Term,
    World,
    apply,
    apply_typed,
    both,
    either,
    is_choice,
    negated,
    sort_of,
    when,
)
from appnet.interpret.operations import MEANINGS as INTERPRETED
from appnet.interpret.rpc import whole_milliseconds
from appnet.ir.nodes import Call
from appnet.language.operations.declaration import Effect
from appnet.language.operations.metadata import is_header_key, is_header_value, is_hidden_key
from appnet.language.operations.registry import OPERATIONS
from appnet.language.types import BOOL, FLOAT, INSTANT, INT, SCALARS, STRING, UINT, MapType, OptionType, PairType, Type


@dataclass
class Context:
    """What an operation runs on.

    ``place``: tells its element from the other one. ``handler``: tells its draws from those of the element's other
    handler. ``now`` and ``wall``: clocks that stand still while a message passes. ``capacity``: of the container that
    an operation is about.
    """

    world: World
    place: str
    handler: str
    call: Term
    method: bytes
    store: Store
    capacity: int = 0
    now: Term = field(init=False)
    wall: Term = field(init=False)
    stream: Term = field(init=False)

    def __post_init__(self) -> None:
        self.now = z3.BitVec(f"{self.place} now", BITS)
        self.wall = z3.Const(f"{self.place} wall clock", sort_of(FLOAT))
        self.stream = z3.Const(f"{self.place} {self.handler} draws", STREAM)

    def draw(self) -> Term:
        """The handler's next draw."""
        drawn = apply("draw", [self.stream, self.store.draws], z3.BitVecSort(BITS))
        self.store = replace(self.store, draws=self.store.draws + 1)
        return drawn


Meaning = Callable[..., Symbolic]

EXACT: dict[str, Meaning] = {}
"""Each takes the `Context`, the call and the operands. One that changes a container gives what it becomes."""


def evaluate(context: Context, call: Call, operands: list[Symbolic]) -> Symbolic:
    """The value of an operation."""
    known = _known(context.world, call, operands)
    if known is not None:
        return known
    meaning = _opaque if OPERATIONS[call.op].opaque else EXACT[call.op]
    value = meaning(context, call, *operands)
    most = vecs.most_of(context.world, call.op, operands)
    return value if most is None else context.world.note_most(value, most)


def _operation(function: Meaning) -> Meaning:
    EXACT[function.__name__.strip("_")] = function
    return function


def _opaque(_context: Context, call: Call, *operands: Symbolic) -> Symbolic:
    types = " ".join(str(atom.type) for atom in call.args)
    return apply_typed(f"{call.op} {types}", operands, call.type)


# --- literals --------------------------------------------------------------------------------


def _known(world: World, call: Call, operands: list[Symbolic]) -> Symbolic | None:
    """The result where it depends on literals alone."""
    if OPERATIONS[call.op].effects is not Effect.PURE or not call.args or not _is_plain(call.type):
        return None
    values = []
    for atom, operand in zip(call.args, operands, strict=True):
        value = world.value_of(operand, atom.type) if atom.type in SCALARS else None
        if value is None:
            return None
        values.append(value[0])
    return world.literal(INTERPRETED[call.op](bare_machine(call.type), *values), call.type)


def _is_plain(type_: Type) -> bool:
    match type_:
        case PairType(first=first, second=second):
            return _is_plain(first) and _is_plain(second)
        case OptionType(item=item):
            return _is_plain(item)
        case _:
            return type_ in SCALARS


# --- arithmetic ------------------------------------------------------------------------------


def _signed(call: Call) -> bool:
    return call.args[0].type in (INT, INSTANT)


def _number(op: str, exact: Callable[[Call, Term, Term], Term], *, commutes: bool = False) -> None:
    """An operation on two numbers: exact for integers, opaque for floats."""

    def meaning(context: Context, call: Call, a: Term, b: Term) -> Term:
        if call.args[0].type != FLOAT:
            return exact(call, a, b)
        ordered = sorted((a, b), key=lambda term: int(term.get_id())) if commutes else (a, b)
        return _opaque(context, call, *ordered)

    EXACT[op] = meaning


def _divide(call: Call, a: Term, b: Term) -> Term:
    return z3.If(b == 0, z3.BitVecVal(0, BITS), a / b if _signed(call) else z3.UDiv(a, b))


def _remain(call: Call, a: Term, b: Term) -> Term:
    return z3.If(b == 0, z3.BitVecVal(0, BITS), z3.SRem(a, b) if _signed(call) else z3.URem(a, b))


_number("add", lambda _call, a, b: a + b, commutes=True)
_number("sub", lambda _call, a, b: a - b)
_number("mul", lambda _call, a, b: a * b, commutes=True)
_number("div", _divide)
_number("rem", _remain)


@_operation
def _min(context: Context, call: Call, a: Term, b: Term) -> Term:
    return _one_of(context, call, a, b, less(context.world, call.args[0].type, b, a))


@_operation
def _max(context: Context, call: Call, a: Term, b: Term) -> Term:
    return _one_of(context, call, a, b, less(context.world, call.args[0].type, a, b))


def _one_of(context: Context, call: Call, a: Term, b: Term, second: Term) -> Term:
    """The second number where this holds, else the first; of floats a NaN, where one of them is."""
    chosen = z3.If(second, b, a)
    if call.type != FLOAT:
        return chosen
    return when(either(orders.is_nan(a), orders.is_nan(b)), context.world.literal(math.nan, FLOAT), chosen)


@_operation
def _neg(context: Context, call: Call, a: Term) -> Term:
    return _opaque(context, call, a) if call.type == FLOAT else -a


@_operation
def _abs(context: Context, call: Call, a: Term) -> Term:
    if call.type == FLOAT:
        return _opaque(context, call, a)
    return z3.If(a < 0, -a, a) if call.type == INT else a


@_operation
def _to_int(context: Context, call: Call, a: Term) -> Term:
    return _opaque(context, call, a) if call.args[0].type == FLOAT else a


EXACT["to_uint"] = _to_int


# --- comparison and logic --------------------------------------------------------------------


def equals(world: World, type_: Type, a: Term, b: Term) -> Term:
    """What ``==`` of two scalars says; of floats it is not that they are the same bits."""
    return orders.same_number(a, b) if type_ == FLOAT else world.equal(a, b)


def less(world: World, type_: Type, a: Term, b: Term) -> Term:
    """What ``<`` of two scalars says."""
    if type_ == FLOAT:
        return orders.smaller_number(a, b)
    if type_ in (INT, INSTANT):
        return a < b
    if type_ == UINT:
        return z3.ULT(a, b)
    return both(negated(a), b) if type_ == BOOL else orders.earlier_text(world, a, b)


@_operation
def _eq(context: Context, call: Call, a: Term, b: Term) -> Term:
    return equals(context.world, call.args[0].type, a, b)


@_operation
def _ne(context: Context, call: Call, a: Term, b: Term) -> Term:
    return negated(equals(context.world, call.args[0].type, a, b))


@_operation
def _lt(context: Context, call: Call, a: Term, b: Term) -> Term:
    return less(context.world, call.args[0].type, a, b)


@_operation
def _gt(context: Context, call: Call, a: Term, b: Term) -> Term:
    return less(context.world, call.args[0].type, b, a)


@_operation
def _le(context: Context, call: Call, a: Term, b: Term) -> Term:
    type_ = call.args[0].type
    one_is_smaller = less(context.world, type_, a, b)
    if type_ == FLOAT:  # neither need be: nothing is greater or less than a NaN
        return either(one_is_smaller, orders.same_number(a, b))
    return negated(less(context.world, type_, b, a))


@_operation
def _ge(context: Context, call: Call, a: Term, b: Term) -> Term:
    return _le(context, call, b, a)


@_operation
def _and(_context: Context, _call: Call, a: Term, b: Term) -> Term:
    return both(a, b)


@_operation
def _or(_context: Context, _call: Call, a: Term, b: Term) -> Term:
    return either(a, b)


@_operation
def _not(_context: Context, _call: Call, a: Term) -> Term:
    return negated(a)


# --- strings ---------------------------------------------------------------------------------


@_operation
def _string_to_bytes(_context: Context, _call: Call, a: Term) -> Term:
    return a


EXACT["bytes_to_string"] = _string_to_bytes


@_operation
def _concat(context: Context, call: Call, a: Term, b: Term) -> Term:
    """Opaque, but the empty text adds nothing, and it does not matter which of three texts are joined first."""
    before, after = (context.world.value_of(it, STRING) for it in (a, b))
    if before == (b"",) or after == (b"",):
        return b if before == (b"",) else a
    if _is_joined(a):
        return _concat(context, call, a.arg(0), _concat(context, call, a.arg(1), b))
    following = context.world.value_of(b.arg(0), STRING) if _is_joined(b) else after
    if before is not None and following is not None:
        literal = context.world.literal(before[0] + following[0], STRING)
        return _opaque(context, call, literal, b.arg(1)) if _is_joined(b) else literal
    return _opaque(context, call, a, b)


@_operation
def _string_size(context: Context, call: Call, a: Term) -> Term:
    if is_choice(a):
        condition, one, other = a.children()
        return when(condition, _string_size(context, call, one), _string_size(context, call, other))
    known = context.world.value_of(a, STRING)
    if known is not None:
        return z3.BitVecVal(len(known[0]), BITS)
    if _is_joined(a):
        return _string_size(context, call, a.arg(0)) + _string_size(context, call, a.arg(1))
    size = apply("string_size", [a], z3.BitVecSort(BITS))
    context.world.facts += [z3.ULE(size, vecs.LARGEST), (size == 0) == (a == context.world.literal(b"", STRING))]
    return size


def _is_joined(text: Term) -> bool:
    return bool(text.decl().name().startswith("concat ")) and text.num_args() == 2


@_operation
def _contains(context: Context, call: Call, text: Term, part: Term) -> Term:
    """Opaque, but looked for in both halves where a literal stands before another text and no find could straddle."""
    sought = context.world.value_of(part, STRING)
    before = context.world.value_of(text.arg(0), STRING) if _is_joined(text) else None
    if sought == (b"",):
        return TRUE
    if sought is None or before is None:
        return _opaque(context, call, text, part)
    if sought[0] in before[0]:
        return TRUE
    straddles = any(before[0].endswith(sought[0][:count]) for count in range(1, len(sought[0])))
    return _opaque(context, call, text, part) if straddles else _contains(context, call, text.arg(1), part)


# --- containers ------------------------------------------------------------------------------


@_operation
def _map_new(_context: Context, call: Call) -> MapValue:
    assert isinstance(call.type, MapType)
    return maps.empty(call.type)


@_operation
def _map_get(context: Context, _call: Call, held: MapValue, key: Term) -> Option:
    return maps.get(context.world, held, key)


@_operation
def _map_get_or(context: Context, _call: Call, held: MapValue, key: Term, default: Symbolic) -> Symbolic:
    found = maps.get(context.world, held, key)
    return when(found.present, found.value, default)


@_operation
def _map_set(context: Context, _call: Call, held: MapValue, key: Term, value: Symbolic) -> MapValue:
    return maps.put(context.world, held, key, value, context.capacity)


@_operation
def _map_delete(context: Context, _call: Call, held: MapValue, key: Term) -> MapValue:
    return maps.drop(context.world, held, key)


@_operation
def _map_size(_context: Context, _call: Call, held: MapValue) -> Term:
    return held.size


@_operation
def _vec_get(context: Context, call: Call, held: Term, index: Term) -> Option:
    item = apply_typed("item", [held, index], call.args[0].type.item)  # type: ignore[attr-defined]
    return Option(vecs.holds(context.world, held, index), item)


@_operation
def _vec_get_or(context: Context, call: Call, held: Term, index: Term, default: Symbolic) -> Symbolic:
    return when(vecs.holds(context.world, held, index), apply_typed("item", [held, index], call.type), default)


@_operation
def _vec_size(context: Context, _call: Call, held: Term) -> Term:
    return vecs.size(context.world, held)


@_operation
def _vec_set(context: Context, call: Call, held: Term, index: Term, item: Symbolic) -> Term:
    world = context.world
    changed = world.note_most(apply_typed("vec_set", [held, index, item], call.args[0].type), world.most(held))
    at_end = world.equal(index, vecs.size(world, held))
    return when(vecs.holds(world, held, index), changed, when(at_end, _vec_append(context, call, held, item), held))


@_operation
def _vec_append(context: Context, call: Call, held: Term, item: Symbolic) -> Term:
    vec = apply_typed(f"vec_append {context.capacity}", [held, item], call.args[0].type)
    most = context.world.most(held)
    return context.world.note_most(vec, most if most >= context.capacity else most + 1)


@_operation
def _pair(_context: Context, _call: Call, a: Symbolic, b: Symbolic) -> Symbolic:
    return (a, b)


@_operation
def _first(_context: Context, _call: Call, pair: tuple[Symbolic, Symbolic]) -> Symbolic:
    return pair[0]


@_operation
def _second(_context: Context, _call: Call, pair: tuple[Symbolic, Symbolic]) -> Symbolic:
    return pair[1]


# --- randomness and time ---------------------------------------------------------------------


@_operation
def _random_float(context: Context, call: Call, a: Term, b: Term) -> Term:
    return _opaque(context, call, a, b, context.draw())


EXACT["random_int"] = _random_float


@_operation
def _random_choices(context: Context, call: Call, items: Symbolic, count: Term) -> Symbolic:
    draws = context.store.draws
    chosen = _opaque(context, call, items, count, context.stream, draws)
    made = apply_typed("draws of random_choices", [items, count], UINT)
    context.store = replace(context.store, draws=draws + made)
    return chosen


@_operation
def _encrypt(context: Context, call: Call, text: Term, key: Term) -> Term:
    return _opaque(context, call, text, key, context.draw(), context.draw())


@_operation
def _time_diff(context: Context, call: Call, a: Term, b: Term) -> Term:
    return context.world.literal(0.0, FLOAT) if a.eq(b) else _opaque(context, call, a, b)


@_operation
def _now(context: Context, _call: Call) -> Term:
    return context.now


@_operation
def _wall_time(context: Context, _call: Call) -> Term:
    return context.wall


# --- the RPC ---------------------------------------------------------------------------------


@_operation
def _rpc_id(context: Context, _call: Call) -> Term:
    return context.call


@_operation
def _method(context: Context, _call: Call) -> Term:
    return context.world.literal(context.method, STRING)


@_operation
def _message_size(context: Context, _call: Call) -> Term:
    message, none = context.store.message, z3.BitVecVal(0, BITS)
    came = both(negated(message.made_here), context.world.equal(message.status, none))
    return when(came, message.size, none)


@_operation
def _status(context: Context, _call: Call) -> Term:
    return context.store.message.status


@_operation
def _get_metadata(context: Context, _call: Call, key: Term) -> Term:
    world = context.world
    key = _lower(world, key)
    _, of = _headers_with(context.store.message, key)
    text = _unless_hidden(world, key, z3.simplify(z3.Select(of.text, key)))
    return when(_is_own_type(context, key), world.literal(b"application/grpc", STRING), text)


@_operation
def _get_metadata_all(context: Context, call: Call, key: Term) -> Symbolic:
    """The values that came stay as they are; of what was set or taken away, their text tells them."""
    world = context.world
    key = _lower(world, key)
    late, of = _headers_with(context.store.message, key)
    how, text = (z3.simplify(z3.Select(it, key)) for it in (of.how, of.text))
    there = negated(_test(world, "hidden key", is_hidden_key, key))
    return apply_typed("values of", [how, text, key, late, there, _is_own_type(context, key)], call.type)


@_operation
def _set_metadata(context: Context, _call: Call, key: Term, value: Term) -> None:
    key = _lower(context.world, key)
    fits = _can_set(context.world, key, value)
    message, empty = context.store.message, context.world.literal(b"", STRING)
    metadata = message.metadata.put(key, value, WAS_SET, both(fits, negated(message.begun)))
    metadata = metadata.put(key, empty, IS_GONE, both(fits, message.begun))
    trailers = message.trailers.put(key, value, WAS_SET, both(fits, message.begun))
    changed = replace(message, metadata=metadata, trailers=trailers)
    context.store = replace(context.store, message=changed, told=context.store.told.put(key, value, WAS_SET, fits))


@_operation
def _delete_metadata(context: Context, _call: Call, key: Term) -> None:
    world = context.world
    key, empty = _lower(world, key), world.literal(b"", STRING)
    fits = _test(world, "header key", is_header_key, key)
    message = context.store.message
    trailers = message.trailers.put(key, empty, IS_GONE, both(fits, message.begun))
    changed = replace(message, metadata=message.metadata.put(key, empty, IS_GONE, fits), trailers=trailers)
    context.store = replace(context.store, message=changed, told=context.store.told.put(key, empty, IS_GONE, fits))


@_operation
def _get_trailer(context: Context, _call: Call, key: Term) -> Term:
    message, world = context.store.message, context.world
    key = _lower(world, key)
    of = merge_headers(message.at_once, message.metadata, message.trailers)
    text = z3.simplify(z3.Select(of.text, key))
    return when(_test(world, "header key", is_header_key, key), text, world.literal(b"", STRING))


@_operation
def _set_trailer(context: Context, _call: Call, key: Term, value: Term) -> None:
    key = _lower(context.world, key)
    fits = _can_set(context.world, key, value)
    message = context.store.message
    metadata = message.metadata.put(key, value, WAS_SET, both(fits, message.at_once))
    trailers = message.trailers.put(key, value, WAS_SET, both(fits, negated(message.at_once)))
    changed = replace(message, metadata=metadata, trailers=trailers)
    context.store = replace(context.store, message=changed, told=context.store.told.put(key, value, WAS_SET, fits))


def _can_set(world: World, key: Term, value: Term) -> Term:
    return both(_test(world, "header key", is_header_key, key), _test(world, "header value", is_header_value, value))


def _headers_with(message: SymbolicMessage, key: Term) -> tuple[Term, SymbolicHeaders]:
    """Whether the key is among the trailers that stand before the metadata, and the headers that it is looked up in."""
    late = both(message.begun, message.trailers.there(key))
    return late, merge_headers(late, message.trailers, message.metadata)


def _unless_hidden(world: World, key: Term, text: Term) -> Term:
    return when(_test(world, "hidden key", is_hidden_key, key), world.literal(b"", STRING), text)


def _is_own_type(context: Context, key: Term) -> Term:
    """Whether the key asks of what the chain made which type of content it has."""
    own = context.world.literal(b"content-type", STRING)
    return both(context.store.message.made_here, context.world.equal(key, own))


@_operation
def _authority(_context: Context, _call: Call) -> Term:
    return z3.Const("authority", TEXT)


@_operation
def _peer(_context: Context, _call: Call) -> Term:
    return z3.Const("peer", TEXT)


@_operation
def _deadline(context: Context, call: Call) -> Term:
    return apply("seconds left", [context.store.message.deadline, context.now], sort_of(call.type))


@_operation
def _set_deadline(context: Context, _call: Call, seconds: Term) -> None:
    message = context.store.message
    at = apply("time in", [context.now, seconds], z3.IntSort())
    earlier = z3.If(at < message.deadline, at, message.deadline)
    context.store = replace(context.store, message=replace(message, deadline=earlier))


def milliseconds(world: World, seconds: Term) -> Term:
    """How long a delay of so many seconds is."""
    known = world.value_of(seconds, FLOAT)
    if known is not None:
        return z3.IntVal(whole_milliseconds(known[0]))
    return apply("milliseconds", [seconds], z3.IntSort())


def _lower(world: World, key: Term) -> Term:
    known = world.value_of(key, STRING)
    return world.literal(known[0].lower(), STRING) if known is not None else apply("lower", [key], TEXT)


def _test(world: World, name: str, test: Callable[[bytes], bool], text: Term) -> Term:
    known = world.value_of(text, STRING)
    return z3.BoolVal(test(known[0])) if known is not None else apply(f"is {name}", [text], z3.BoolSort())


# --- backends: what is in flight is the same for both elements, and stands still while a message passes ---


@_operation
def _get_backends(_context: Context, call: Call) -> Symbolic:
    return apply_typed("backends", [], call.type)


@_operation
def _get_load(context: Context, _call: Call, host: Term) -> Symbolic:
    return (apply("load", [host], z3.BitVecSort(BITS)), context.now)


@_operation
def _estimate_rif(context: Context, call: Call, hosts: Symbolic) -> Symbolic:
    return _opaque(context, call, hosts)
