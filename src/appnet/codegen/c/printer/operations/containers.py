"""Vecs, Maps and pairs."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Body, Family
from appnet.codegen.c.printer.text import view
from appnet.codegen.c.printer.types import TEXTS, is_flat
from appnet.ir.nodes import Atom, Call, State, StateClass
from appnet.ir.secrets import HIDDEN
from appnet.language.types import FLOAT, MapType, OptionType, PairType, Type, VecType

FAMILY = Family(
    {
        "string_size": "(uint64_t){0}.size",
        "vec_new": "(an_vec){{0}}",
        "map_new": "(an_map){{0}}",
        "vec_size": "(uint64_t){0}.size",
        "map_size": "(uint64_t){0}.size",
        "first": "{0}.first",
        "second": "{0}.second",
        "quantile": "an_vec_quantile({scope}, {0}, {1})",
    }
)

# --- Maps ---


def _key(body: Body, key: Atom) -> tuple[str, str]:
    """Which functions take keys of the type, and the key as they take it."""
    if key.type in TEXTS:
        return "text", body.atom(key)
    if key.type == FLOAT:
        return "number", f"an_key_float({body.atom(key)})"
    return "number", body.atom(key) if key.type.name == "uint" else f"(uint64_t){body.atom(key)}"


def _found_in_map(body: Body, call: Call) -> str:
    kind, key = _key(body, call.args[1])
    place = body.place(call.args[0])
    if body.reads_for_store(call.args[0]):
        where = f"{body.heap(call.args[0])}, {body.types.descriptor(call.args[0].type)}, &{place}"
        body.line(f"an_map_read_{kind}({where}, {key});")
    found = f"an_map_get_{kind}(&{place}, {body.types.descriptor(call.args[0].type)}, {key})"
    if body.reads is None or not body.reads.notes_entries(call.args[0]):
        return found
    pointer = body.temporary("const void *", "found", found)
    body.reads.entry(call, pointer)
    return pointer


def _in_call(body: Body, place: Atom) -> bool:
    return isinstance(place, State) and body.element.classes[place.name] is StateClass.RPC_SCOPED


@FAMILY.value
def _map_get(body: Body, call: Call) -> str:
    assert isinstance(call.type, OptionType)
    if _in_call(body, call.args[0]):
        return body.place(call.args[0])
    return f"{body.types.option_of(call.type)}({_found_in_map(body, call)})"


@FAMILY.value
def _map_get_or(body: Body, call: Call) -> str:
    default = body.atom(call.args[2])
    if _in_call(body, call.args[0]):
        place = body.place(call.args[0])
        return f"{place}.some ? {place}.value : {default}"
    return f"{body.types.value_or(call.type)}({_found_in_map(body, call)}, {default})"


@FAMILY.effect
def _map_set(body: Body, call: Call) -> None:
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


@FAMILY.effect
def _map_delete(body: Body, call: Call) -> None:
    place, key = call.args
    if _in_call(body, place):
        body.line(f"{body.place(place)}.some = false;")
        return
    kind, key_text = _key(body, key)
    descriptor = body.types.descriptor(place.type)
    body.line(f"an_map_delete_{kind}({body.heap(place)}, {descriptor}, &{body.place(place)}, {key_text});")


@FAMILY.value
def _map_entries(body: Body, call: Call) -> str:
    place = call.args[0]
    assert isinstance(call.type, VecType)
    types = f"{body.types.descriptor(place.type)}, {body.types.descriptor(call.type.item)}"
    return f"an_map_entries({body.scope()}, {types}, {body.place(place)})"


def _container(body: Body, place: Atom) -> str:
    """The first arguments of what changes a container."""
    descriptor = body.types.descriptor(place.type)
    return f"{body.scope()}, {body.heap(place)}, {descriptor}, &{body.place(place)}, {body.capacity(place)}"


# --- Vecs ---


def _found_in_vec(body: Body, call: Call) -> str:
    vec, index = call.args[:2]
    return f"an_vec_get(&{body.place(vec)}, sizeof({_item(body, vec)}), {body.atom(index)})"


def _item(body: Body, vec: Atom) -> str:
    assert isinstance(vec.type, VecType)
    return body.types.name(vec.type.item)


@FAMILY.value
def _vec_get(body: Body, call: Call) -> str:
    assert isinstance(call.type, OptionType)
    return f"{body.types.option_of(call.type)}({_found_in_vec(body, call)})"


@FAMILY.value
def _vec_get_or(body: Body, call: Call) -> str:
    return f"{body.types.value_or(call.type)}({_found_in_vec(body, call)}, {body.atom(call.args[2])})"


@FAMILY.effect
def _vec_set(body: Body, call: Call) -> None:
    vec, index, value = call.args
    body.line(f"an_vec_set({_container(body, vec)}, {body.atom(index)}, {body.pointer(value)});")


@FAMILY.effect
def _vec_append(body: Body, call: Call) -> None:
    vec, value = call.args
    if isinstance(vec, State) and vec.name in body.element.records:
        _record(body, vec, value)
    else:
        body.line(f"an_vec_append({_container(body, vec)}, {body.pointer(value)});")


_RECORDED = {
    "bool": "bool",
    "int": "int",
    "uint": "uint",
    "Instant": "int",
    "float": "float",
    "string": "string",
    "bytes": "bytes",
}


def _record(body: Body, stream: State, item: Atom) -> None:
    place = f"{body.element.element.name}.{stream.name}"
    begin = f"an_record_begin(&record, {body.call()}, {body.element.records[stream.name]});"
    hidden = [f"(void){body.atom(item)};", f"an_record_string(&record, {view(HIDDEN)});"]
    shown = hidden if body.is_secret(item) else _record_value(body.atom(item), item.type)
    values = [f"  {line}" for line in shown]
    body.note(f"record {place}")
    body.lines(["{", "  an_record record;", f"  {begin}", *values, "  an_record_end(&record);", "}"])


def _record_value(value: str, type_: Type) -> list[str]:
    if isinstance(type_, PairType):
        inner = [*_record_value(f"{value}.first", type_.first), *_record_value(f"{value}.second", type_.second)]
        return ["an_record_pair_begin(&record);", *inner, "an_record_pair_end(&record);"]
    return [f"an_record_{_RECORDED[type_.name]}(&record, {value});"]


@FAMILY.value
def _pair(body: Body, call: Call) -> str:
    return f"({body.types.name(call.type)}){{{body.atom(call.args[0])}, {body.atom(call.args[1])}}}"
