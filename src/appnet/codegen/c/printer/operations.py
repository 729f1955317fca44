"""The C of each operation: a template for those that are one expression or one call, a function for the rest.

A template may hold ``{0}``, ``{1}``, … for operands, ``{t}`` for int, uint or float by the type of the first, and
``{scope}``, ``{instance}``, ``{element}``. A function gets the printer of the body and the call; for an operation
that gives a value it returns the expression, for one that is done for its effect it adds statements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from appnet.codegen.c.printer.context import Direction
from appnet.codegen.c.printer.text import literal, view
from appnet.codegen.c.printer.types import TEXTS, is_flat
from appnet.ir.nodes import Atom, Call, Const, State, StateClass
from appnet.language.types import BOOL, FLOAT, INT, STRING, UINT, MapType, OptionType, PairType, Type, VecType

if TYPE_CHECKING:
    from appnet.codegen.c.printer.body import BodyPrinter

MOST_CAPACITY = 2**30
"""Entries that a container of the runtime can hold; a greater capacity is as good as none."""

ValueFunction = Callable[["BodyPrinter", Call], str]
EffectFunction = Callable[["BodyPrinter", Call], None]

TEMPLATES: dict[str, str] = {
    "and": "{0} && {1}",
    "or": "{0} || {1}",
    "not": "!{0}",
    "to_float": "(double){0}",
    "parse_int": "an_parse_int({0})",
    "parse_float": "an_parse_float({0})",
    "int_to_string": "an_int_text({scope}, {0})",
    "uint_to_string": "an_uint_text({scope}, {0})",
    "float_to_string": "an_float_text({scope}, {0})",
    "bool_to_string": "an_bool_text({0})",
    "instant_to_float": "(double){0} / 1e9",
    "string_to_bytes": "{0}",
    "bytes_to_string": "{0}",
    "concat": "an_concat({scope}, {0}, {1})",
    "contains": "an_contains({scope}, {0}, {1})",
    "starts_with": "an_starts_with({0}, {1})",
    "string_size": "(uint64_t){0}.size",
    "hash": "an_hash({0})",
    "vec_new": "(an_vec){{0}}",
    "map_new": "(an_map){{0}}",
    "vec_size": "(uint64_t){0}.size",
    "map_size": "(uint64_t){0}.size",
    "first": "{0}.first",
    "second": "{0}.second",
    "random_float": "{0} + ({1} - {0}) * (double)(an_random_draw({instance}, {element}) >> 11) / 0x1p53",
    "random_int": "an_random_int({instance}, {element}, {0}, {1})",
    "now": "an_now({instance})",
    "time_diff": "an_time_diff({0}, {1})",
    "rpc_id": "{call}->rpc_id",
    "get_backends": "an_backends({scope})",
    "estimate_rif": "an_backends_load({scope}, {0})",
    "quantile": "an_vec_quantile({scope}, {0}, {1})",
    "encrypt": "an_encrypt({scope}, {element}, {0}, {1})",
    "hmac": "an_hmac({scope}, {0}, {1})",
}

VALUES: dict[str, ValueFunction] = {}
EFFECTS: dict[str, EffectFunction] = {}


def _value(function: ValueFunction) -> ValueFunction:
    VALUES[function.__name__.strip("_")] = function
    return function


def _effect(function: EffectFunction) -> EffectFunction:
    EFFECTS[function.__name__.strip("_")] = function
    return function


# --- numbers -----------------------------------------------------------------------------------

_BY_TYPE: dict[str, dict[Type, str]] = {
    "add": {INT: "an_int_add({0}, {1})", UINT: "{0} + {1}", FLOAT: "{0} + {1}"},
    "sub": {INT: "an_int_sub({0}, {1})", UINT: "{0} - {1}", FLOAT: "{0} - {1}"},
    "mul": {INT: "an_int_mul({0}, {1})", UINT: "{0} * {1}", FLOAT: "{0} * {1}"},
    "div": {INT: "an_int_div({0}, {1})", UINT: "an_uint_div({0}, {1})", FLOAT: "an_float_div({0}, {1})"},
    "rem": {INT: "an_int_rem({0}, {1})", UINT: "an_uint_rem({0}, {1})"},
    "neg": {INT: "an_int_neg({0})", UINT: "0 - {0}", FLOAT: "-({0})"},
    "min": {INT: "an_int_min({0}, {1})", UINT: "an_uint_min({0}, {1})", FLOAT: "an_float_min({0}, {1})"},
    "max": {INT: "an_int_max({0}, {1})", UINT: "an_uint_max({0}, {1})", FLOAT: "an_float_max({0}, {1})"},
    "abs": {INT: "an_int_abs({0})", UINT: "{0}", FLOAT: "__builtin_fabs({0})"},
    "to_int": {FLOAT: "an_float_to_int({0})", UINT: "(int64_t){0}"},
    "to_uint": {FLOAT: "an_float_to_uint({0})", INT: "(uint64_t){0}"},
}


def _by_type(op: str) -> ValueFunction:
    def function(body: BodyPrinter, call: Call) -> str:
        return _BY_TYPE[op][call.args[0].type].format(*map(body.atom, call.args))

    return function


VALUES.update({op: _by_type(op) for op in _BY_TYPE})


# --- comparison --------------------------------------------------------------------------------

_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _comparison(op: str) -> ValueFunction:
    def function(body: BodyPrinter, call: Call) -> str:
        a, b = call.args
        if a.type not in TEXTS:
            return _compare_scalars(op, a.type, body.atom(a), body.atom(b))
        if op in {"eq", "ne"}:
            return ("" if op == "eq" else "!") + same_text(body, a, b)
        return f"an_compare({body.atom(a)}, {body.atom(b)}) {_COMPARISONS[op]} 0"

    return function


VALUES.update({op: _comparison(op) for op in _COMPARISONS})


def _compare_scalars(op: str, type_: Type, a: str, b: str) -> str:
    if a == b:  # which compilers take for a mistake
        equal = f"!__builtin_isnan({a})" if type_ == FLOAT else f"((void){a}, true)"
        unequal = f"__builtin_isnan({a}) != 0" if type_ == FLOAT else f"((void){a}, false)"
        return {"eq": equal, "le": equal, "ge": equal, "ne": unequal}.get(op, f"((void){a}, false)")
    cast = "(int)" if type_ == BOOL else ""
    return f"{cast}{a} {_COMPARISONS[op]} {cast}{b}"


def same_text(body: BodyPrinter, a: Atom, b: Atom) -> str:
    """Whether two strings are equal; by length and bytes at once where one is constant."""
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(b, Const) and not isinstance(a, Const):
        assert isinstance(b.value, bytes)
        return f"AN_IS({body.atom(a)}, {literal(b.value)})"
    return f"an_equal({body.atom(a)}, {body.atom(b)})"


# --- Maps ----------------------------------------------------------------------------------------


def _key(body: BodyPrinter, key: Atom) -> tuple[str, str]:
    """Which functions take keys of the type, and the key as they take it."""
    if key.type in TEXTS:
        return "text", body.atom(key)
    if key.type == FLOAT:
        return "number", f"an_key_float({body.atom(key)})"
    return "number", body.atom(key) if key.type.name in {"uint", "Instant"} else f"(uint64_t){body.atom(key)}"


def _found_in_map(body: BodyPrinter, call: Call) -> str:
    kind, key = _key(body, call.args[1])
    place = body.place(call.args[0])
    return f"an_map_get_{kind}(&{place}, {body.types.descriptor(call.args[0].type)}, {key})"


def _in_call(body: BodyPrinter, place: Atom) -> bool:
    return isinstance(place, State) and body.element.classes[place.name] is StateClass.RPC_SCOPED


@_value
def _map_get(body: BodyPrinter, call: Call) -> str:
    assert isinstance(call.type, OptionType)
    if _in_call(body, call.args[0]):
        return body.place(call.args[0])
    return f"{body.types.option_of(call.type)}({_found_in_map(body, call)})"


@_value
def _map_get_or(body: BodyPrinter, call: Call) -> str:
    default = body.atom(call.args[2])
    if _in_call(body, call.args[0]):
        place = body.place(call.args[0])
        return f"{place}.some ? {place}.value : {default}"
    return f"{body.types.value_or(call.type)}({_found_in_map(body, call)}, {default})"


@_effect
def _map_set(body: BodyPrinter, call: Call) -> None:
    place, key, value = call.args
    if _in_call(body, place):
        map_type = place.type
        assert isinstance(map_type, MapType)
        option = body.types.name(OptionType(map_type.value))
        body.line(f"{body.place(place)} = ({option}){{true, {body.atom(value)}}};")
        if not is_flat(value.type):
            body.line(f"an_keep({body.scope()}, {body.types.descriptor(value.type)}, &{body.place(place)}.value);")
        return
    kind, key_text = _key(body, key)
    body.line(f"an_map_set_{kind}({_container(body, place)}, {key_text}, {body.pointer(value)});")


@_effect
def _map_delete(body: BodyPrinter, call: Call) -> None:
    place, key = call.args
    if _in_call(body, place):
        body.line(f"{body.place(place)}.some = false;")
        return
    kind, key_text = _key(body, key)
    descriptor = body.types.descriptor(place.type)
    body.line(f"an_map_delete_{kind}({body.heap(place)}, {descriptor}, &{body.place(place)}, {key_text});")


@_value
def _map_entries(body: BodyPrinter, call: Call) -> str:
    place = call.args[0]
    assert isinstance(call.type, VecType)
    types = f"{body.types.descriptor(place.type)}, {body.types.descriptor(call.type.item)}"
    return f"an_map_entries({body.scope()}, {types}, {body.place(place)})"


def _container(body: BodyPrinter, place: Atom) -> str:
    """The first arguments of what changes a container."""
    descriptor = body.types.descriptor(place.type)
    return f"{body.scope()}, {body.heap(place)}, {descriptor}, &{body.place(place)}, {body.capacity(place)}"


# --- Vecs ----------------------------------------------------------------------------------------


def _found_in_vec(body: BodyPrinter, call: Call) -> str:
    vec, index = call.args[:2]
    return f"an_vec_get(&{body.place(vec)}, sizeof({_item(body, vec)}), {body.atom(index)})"


def _item(body: BodyPrinter, vec: Atom) -> str:
    assert isinstance(vec.type, VecType)
    return body.types.name(vec.type.item)


@_value
def _vec_get(body: BodyPrinter, call: Call) -> str:
    assert isinstance(call.type, OptionType)
    return f"{body.types.option_of(call.type)}({_found_in_vec(body, call)})"


@_value
def _vec_get_or(body: BodyPrinter, call: Call) -> str:
    return f"{body.types.value_or(call.type)}({_found_in_vec(body, call)}, {body.atom(call.args[2])})"


@_effect
def _vec_set(body: BodyPrinter, call: Call) -> None:
    vec, index, value = call.args
    body.line(f"an_vec_set({_container(body, vec)}, {body.atom(index)}, {body.pointer(value)});")


@_effect
def _vec_append(body: BodyPrinter, call: Call) -> None:
    vec, value = call.args
    if isinstance(vec, State) and vec.name in body.element.records:
        _record(body, vec, value)
    else:
        body.line(f"an_vec_append({_container(body, vec)}, {body.pointer(value)});")


_RECORDED = {
    "bool": "bool",
    "int": "int",
    "uint": "uint",
    "Instant": "uint",
    "float": "float",
    "string": "string",
    "bytes": "bytes",
}


def _record(body: BodyPrinter, stream: State, item: Atom) -> None:
    place = f"{body.element.element.name}.{stream.name}"
    begin = f"an_record_begin(&record, {body.call()}->instance, {body.element.records[stream.name]});"
    values = [f"  {line}" for line in _record_value(body.atom(item), item.type)]
    body.note(f"record {place}")
    body.lines(["{", "  an_record record;", f"  {begin}", *values, "  an_record_end(&record);", "}"])


def _record_value(value: str, type_: Type) -> list[str]:
    if isinstance(type_, PairType):
        inner = [*_record_value(f"{value}.first", type_.first), *_record_value(f"{value}.second", type_.second)]
        return ["an_record_pair_begin(&record);", *inner, "an_record_pair_end(&record);"]
    return [f"an_record_{_RECORDED[type_.name]}(&record, {value});"]


@_value
def _random_choices(body: BodyPrinter, call: Call) -> str:
    vec, count = call.args
    index = body.element.index
    return f"an_vec_choices({body.scope()}, {index}, sizeof({_item(body, vec)}), {body.place(vec)}, {body.atom(count)})"


# --- pairs and the RPC ------------------------------------------------------------------------------


@_value
def _pair(body: BodyPrinter, call: Call) -> str:
    return f"({body.types.name(call.type)}){{{body.atom(call.args[0])}, {body.atom(call.args[1])}}}"


@_value
def _method(body: BodyPrinter, _call: Call) -> str:
    return view(body.element.method.full_name.encode())


@_value
def _status(body: BodyPrinter, _call: Call) -> str:
    return f"(int64_t){body.call()}->status" if body.direction is Direction.RESPONSE else "0"


def _metadata_direction(body: BodyPrinter) -> str:
    return "AN_REQUEST" if body.direction is Direction.REQUEST else "AN_RESPONSE"


@_value
def _get_metadata(body: BodyPrinter, call: Call) -> str:
    return f"an_metadata({body.scope()}, {_metadata_direction(body)}, {body.atom(call.args[0])})"


@_effect
def _set_metadata(body: BodyPrinter, call: Call) -> None:
    key, value = map(body.atom, call.args)
    body.line(f"an_metadata_set({body.call()}, {_metadata_direction(body)}, {key}, {value});")


@_value
def _get_load(body: BodyPrinter, call: Call) -> str:
    instance = f"{body.call()}->instance"
    load = f"(int64_t)an_backend_load({instance}, {body.atom(call.args[0])})"
    return f"({body.types.name(call.type)}){{{load}, an_now({instance})}}"


@_value
def _matches(body: BodyPrinter, call: Call) -> str:
    text, pattern = call.args
    assert isinstance(pattern, Const)
    assert isinstance(pattern.value, bytes)
    return f"an_matches({body.atom(text)}, {body.types.pattern(pattern.value)})"


@_value
def _decrypt(body: BodyPrinter, call: Call) -> str:
    plain = body.temporary(body.types.name(call.type), "plain")
    body.line(
        f"{plain}.some = an_decrypt({body.scope()}, {body.atom(call.args[0])}, {body.atom(call.args[1])}, "
        f"&{plain}.value);"
    )
    return plain


def _encoded(type_: Type) -> str:
    return "true" if type_ == STRING else "false"


@_value
def _compress(body: BodyPrinter, call: Call) -> str:
    return f"an_compress({body.scope()}, {body.atom(call.args[0])}, {_encoded(call.type)})"


@_value
def _decompress(body: BodyPrinter, call: Call) -> str:
    plain = body.temporary(body.types.name(call.type), "plain")
    packed = call.args[0]
    body.line(
        f"{plain}.some = an_decompress({body.scope()}, {body.atom(packed)}, {_encoded(packed.type)}, &{plain}.value);"
    )
    return plain


FRESH = frozenset({"vec_new", "map_new", "map_entries", "random_choices", "get_backends", "estimate_rif"})
"""Operations that give a container which nothing else refers to."""


def computation(body: BodyPrinter, call: Call) -> str:
    """The C expression of an operation that gives a value."""
    if call.op in VALUES:
        return VALUES[call.op](body, call)
    return _fill(body, TEMPLATES[call.op], call)


def run(body: BodyPrinter, call: Call) -> None:
    """Adds the statements of an operation that is done for its effect."""
    EFFECTS[call.op](body, call)


_ON_PLACE = frozenset({"vec_size", "map_size", "estimate_rif", "quantile"})


def _fill(body: BodyPrinter, template: str, call: Call) -> str:
    operands = [
        body.place(atom) if index == 0 and call.op in _ON_PLACE else body.atom(atom)
        for index, atom in enumerate(call.args)
    ]
    given = {"element": str(body.element.index)}
    if "{scope}" in template:
        given["scope"] = body.scope()
    if "{instance}" in template or "{call}" in template:
        given["call"] = body.call()
        given["instance"] = f"{body.call()}->instance"
    return template.format(*operands, **given)
