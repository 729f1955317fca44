"""Vecs, Maps and pairs. The first argument of what asks or changes a container is its place."""

from __future__ import annotations

from appnet.diagnostics.place import Label, Span
from appnet.language import syntax
from appnet.language import typed as tree
from appnet.language.expressions import check_key, coerce, declared, describe, mismatch, type_of
from appnet.language.operations.built_in import BuiltIn, Chapter, SpecialForm, function
from appnet.language.operations.call import Call
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.operations.messages import field_size, get_field, set_field, set_reply_field
from appnet.language.scope import CheckError
from appnet.language.typed import Literal, Local, Operate, Run, StateValue, Value, Variable
from appnet.language.types import BYTES, INT, REPLY, STRING, UINT, UNIT, MapType, OptionType, Type, VecType


def _get(call: Call) -> Value:
    count = call.count(2, 3)
    if call.is_rpc():
        return get_field(call, count)
    container = call.any(0)
    type_ = type_of(container, call.span(0))
    if isinstance(type_, MapType):
        key, item, op = call.typed(1, type_.key), type_.value, "map_get"
    elif isinstance(type_, VecType):
        key, item, op = _index(call, call.typed(1, INT)), type_.item, "vec_get"
    else:
        raise _no_container(call, container, type_, "get")
    if count == 2:
        return Operate(op, (container, key), OptionType(item))
    return Operate(f"{op}_or", (container, key, call.typed(2, item)), item)


def _set(call: Call) -> Value:
    call.count(3)
    if call.is_rpc():
        return set_field(call)
    if _is_reply(call):
        return set_reply_field(call)
    container = call.any(0)
    _need_place(call, container)
    type_ = container.variable.type if isinstance(container, Local) else type_of(container, call.span(0))
    if isinstance(type_, MapType):
        run = Operate("map_set", (container, call.typed(1, type_.key), call.typed(2, type_.value)), UNIT)
    elif type_ is None and isinstance(container, Local) and container.variable.began is MapType:
        run = _set_first_entry(call, container)
    elif isinstance(type_, VecType) or type_ is None:
        run = _set_item(call, container, type_)
    else:
        raise _no_container(call, container, type_, "set")
    return _write_back(call, container, run)


def _set_first_entry(call: Call, container: Local) -> Operate:
    """``set`` on a Map of which nothing has told yet what it holds."""
    key, value = call.any(1), call.any(2)
    key_type = type_of(key, call.span(1))
    check_key(key_type, call.span(1))
    coerce(container, MapType(key_type, type_of(value, call.span(2))), call.span(0))
    return Operate("map_set", (container, key, value), UNIT)


def _set_item(call: Call, container: Value, type_: VecType | None) -> Operate:
    item = call.any(2, type_.item if type_ is not None else None)
    if type_ is None:
        type_ = VecType(type_of(item, call.span(2)))
        coerce(container, type_, call.span(0))
    item = coerce(item, type_.item, call.span(2))
    index = call.any(1, INT)
    if index == Operate("vec_size", (container,), UINT):
        return Operate("vec_append", (container, item), UNIT)
    return Operate("vec_set", (container, _index(call, coerce(index, INT, call.span(1))), item), UNIT)


def _index(call: Call, index: Value) -> Value:
    """The index; warns of one that no Vec has."""
    if isinstance(index, Literal) and isinstance(index.value, int) and index.value < 0:
        help_ = "indices start at 0: the last item is at size(vec) - 1"
        call.scope.found.warn("W006", "no Vec has an item there", call.span(1), "below 0", help_)
    return index


def _write_back(call: Call, container: Value, run: Operate) -> Operate:
    """What is changed in place after `Some(v)` of `get(map, key)` is changed in the map too."""
    if not isinstance(container, Local):
        return run
    origin = container.variable.origin
    if origin is None:
        return run
    if origin.otherwise is not None:
        raise not_in_place(container.variable, origin, call.node.span)
    origin.changed = True
    call.scope.hoisted.append(Run(run))
    return Operate("map_set", (origin.map, origin.key, container), UNIT)


def not_in_place(variable: Variable, origin: tree.Origin, span: Span) -> CheckError:
    """The error for a name that stands for a Map's entry on some paths only, and is changed in place."""
    title = f"`{variable.name}` is an entry of `{origin.map.name}` on some paths and another value on others"
    help_ = f"use two names, or change a copy and store it: set({origin.map.name}, KEY, {variable.name})"
    places = [Label(origin.span, f"here it is an entry of `{origin.map.name}`")]
    if origin.otherwise is not None:
        places.append(Label(origin.otherwise, "here it is another value"))
    return CheckError("E016", title, span, "so it cannot be changed in place", help_, places)


def _is_reply(call: Call) -> bool:
    node = call.arguments[0]
    found = call.scope.find(node.name) if isinstance(node, syntax.Name) else None
    return isinstance(found, Variable) and found.type == REPLY


def _delete(call: Call) -> Value:
    call.count(2)
    container = call.any(0)
    type_ = type_of(container, call.span(0))
    if not isinstance(type_, MapType):
        raise _no_container(call, container, type_, "delete")
    _need_place(call, container)
    return _write_back(call, container, Operate("map_delete", (container, call.typed(1, type_.key)), UNIT))


def _no_container(call: Call, value: Value, type_: Type, what: str) -> CheckError:
    wanted = "Map" if what == "delete" else "Map or Vec"
    if isinstance(type_, OptionType):
        return mismatch(type_, type_.item, call.span(0), declared(value))
    help_ = "name a state variable, or the RPC"
    if isinstance(type_, VecType):
        help_ = "a full Vec drops its oldest item by itself; set(vec, index, value) replaces an item"
    title, label = f"`{what}` takes a {wanted}", f"this is {type_}"
    return CheckError("E020", title, call.span(0), label, help_, declared(value))


def _need_place(call: Call, container: Value) -> None:
    if not isinstance(container, StateValue | Local):
        title = f"`{call.name}` needs a variable, not {describe(container)}"
        raise CheckError("E020", title, call.span(0), help_="give the value a name first")


def _size(call: Call) -> Value:
    if call.count(1, 2) == 2:
        if not call.is_rpc():
            title = f"`{call.name}` of two arguments takes the RPC and a field"
            raise CheckError("E022", title, call.node.span, help_=f"write {call.usage}")
        return field_size(call)
    value = call.any(0)
    if isinstance(value, Local) and value.variable.type is None:
        return Operate("map_size" if value.variable.began is MapType else "vec_size", (value,), UINT)
    type_ = type_of(value, call.span(0))
    if type_ in {STRING, BYTES}:
        return Operate("string_size", (value,), UINT)
    if isinstance(type_, MapType | VecType):
        return Operate("map_size" if isinstance(type_, MapType) else "vec_size", (value,), UINT)
    raise CheckError("E020", f"{type_} has no size", call.span(0), help_="only strings, bytes, Vecs and Maps have one")


_GET = BuiltIn(
    "get",
    _get,
    (
        Operation(
            "map_get",
            "(Map<K, V>, K) -> Option<V>",
            "get(map, key)",
            "The value of the key, or None.",
            "set(seen, 'a', 7)\nn = 0\nmatch get(seen, 'a'):\n    Some(x) => n = x\n    None => n = -1\nn == 7",
            Effect.READS_CONTAINER,
        ),
        Operation(
            "map_get_or",
            "(Map<K, V>, K, V) -> V",
            "get(map, key, default)",
            "The value of the key, or the default.",
            "get(seen, 'a', 5) == 5",
            Effect.READS_CONTAINER,
        ),
        Operation(
            "vec_get",
            "(Vec<T>, int) -> Option<T>",
            "get(vec, index)",
            "The item at the index, counted from 0, or None.",
            "n = 0\nmatch get(items, 0):\n    Some(x) => n = x\n    None => n = -1\nn == -1",
            Effect.READS_CONTAINER,
        ),
        Operation(
            "vec_get_or",
            "(Vec<T>, int, T) -> T",
            "get(vec, index, default)",
            "The item at the index, or the default.",
            "get(items, 3, 5) == 5",
            Effect.READS_CONTAINER,
        ),
    ),
    (
        SpecialForm(
            "get(rpc, 'field')",
            "The field of the current message, in the type of the .proto. A path through repeated messages, or through "
            "the `values` of a map of messages, gives a Vec of the values at its end, in order.",
            "total = 0\nforeach(get(rpc, 'items.count'), lambda(n): total = total + n)\ntotal == 0",
        ),
    ),
)
_SET = BuiltIn(
    "set",
    _set,
    (
        Operation(
            "map_set",
            "(Map<K, V>, K, V) -> unit",
            "set(map, key, value)",
            "Sets the key; a full Map first drops the key least recently set.",
            "set(seen, 'a', 7)\nget(seen, 'a', 0) == 7",
            Effect.WRITES_CONTAINER,
        ),
        Operation(
            "vec_set",
            "(Vec<T>, int, T) -> unit",
            "set(vec, index, value)",
            "Replaces the item at the index. At index size(vec) it appends; beyond that or below 0, it does nothing.",
            "set(items, 0, 7)\nset(items, 0, 8)\nget(items, 0, 0) == 8",
            Effect.WRITES_CONTAINER,
        ),
        Operation(
            "vec_append",
            "(Vec<T>, T) -> unit",
            "set(vec, size(vec), value)",
            "Adds an item at the end; a full Vec first drops its oldest item.",
            "set(items, size(items), 7)\nset(items, size(items), 8)\nget(items, 1, 0) == 8",
            Effect.WRITES_CONTAINER,
        ),
    ),
    (
        SpecialForm(
            "set(rpc, 'field', value)",
            "Writes the field of the current message; through repeated messages, a Vec with a value for each. A Vec of "
            "another size writes nothing, nor does a number that a closed enum does not name.",
            "set(rpc, 'tags', ['a', 'b'])\nget(get(rpc, 'tags'), 1, '') == 'b'",
        ),
    ),
)
_SIZE = BuiltIn(
    "size",
    _size,
    (
        Operation(
            "map_size",
            "(Map<K, V>) -> uint",
            "size(map)",
            "The number of keys.",
            "set(seen, 'a', 7)\nsize(seen) == 1",
            Effect.READS_CONTAINER,
        ),
        Operation(
            "vec_size",
            "(Vec<T>) -> uint",
            "size(vec)",
            "The number of items.",
            "set(items, size(items), 7)\nsize(items) == 1",
            Effect.READS_CONTAINER,
        ),
        Operation("string_size", "(S) -> uint", "size(text)", "Its length in bytes.", "size('é') == 2"),
    ),
    (
        SpecialForm(
            "size(rpc, 'field')",
            "The number of items of a repeated field, a map, repeated messages or a map of messages; of a text, its "
            "length in bytes.",
            "size(rpc, 'items') == 0",
        ),
    ),
    aliases=("len",),
)

CHAPTERS = (
    Chapter(
        "Fields, Maps and Vecs",
        (
            Operation(
                "vec_new",
                "() -> Vec<T>",
                "[]",
                "An empty Vec; [a, b] is one with items.",
                "primes = [2, 3, 5]\nget(primes, 2, 0) == 5",
                opaque=True,
            ),
            Operation(
                "map_new",
                "() -> Map<K, V>",
                "{}",
                "An empty Map; {a: x, b: y} is one with keys, set in this order.",
                "ports = {'http': 80, 'https': 443}\nget(ports, 'https', 0) == 443",
            ),
            Operation(
                "map_entries",
                "(Map<K, V>) -> Vec<<K, V>>",
                "foreach(map, lambda(key, value): …)",
                "Runs the body for each key and value, from the key least recently set to the most recently set.",
                "order = ''\nforeach({'b': 1, 'a': 2}, lambda(k, v): order = order + k)\norder == 'ba'",
                Effect.READS_CONTAINER,
                opaque=True,
            ),
            _GET,
            _SET,
            function(
                Operation(
                    "map_delete",
                    "(Map<K, V>, K) -> unit",
                    "delete(map, key)",
                    "Removes the key.",
                    "set(seen, 'a', 7)\ndelete(seen, 'a')\nsize(seen) == 0",
                    Effect.WRITES_CONTAINER,
                ),
                _delete,
            ),
            _SIZE,
            function(
                Operation(
                    "quantile",
                    "(Vec<float>, float) -> float",
                    "quantile(vec, q)",
                    "The item at rank floor(q * (size - 1)) in ascending order (-0.0 before 0.0, NaN last), "
                    "with q clamped to [0, 1], NaN as 0; 0.0 for an empty Vec.",
                    "set(loads, 0, 0.5)\nset(loads, 1, 2.5)\nset(loads, 2, 1.5)\nquantile(loads, 0.5) == 1.5",
                    Effect.READS_CONTAINER,
                    opaque=True,
                ),
            ),
        ),
    ),
    Chapter(
        "Pairs",
        (
            Operation("pair", "(K, V) -> <K, V>", "(a, b)", "A pair of two values.", "(n, s) = (7, 'a')\ns == 'a'"),
            Operation("first", "(<K, V>) -> K", "(a, b) = p", "The first of a pair.", "(n, s) = (7, 'a')\nn == 7"),
            Operation("second", "(<K, V>) -> V", "(a, b) = p", "The second of a pair.", "(n, s) = (7, 'a')\ns == 'a'"),
        ),
    ),
)
