"""The built-in functions as programs write them: each resolves to an operation by the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from appnet.diagnostics.diagnostic import Span
from appnet.language import syntax
from appnet.language import typed as tree
from appnet.language.call import Call, to_text
from appnet.language.expressions import check_key, coerce, describe, mismatch, type_of, unify
from appnet.language.fields import byte_size, get_field, set_field, set_reply_field
from appnet.language.headers import is_header_key, is_header_value
from appnet.language.patterns import PatternError, compile_pattern
from appnet.language.scope import CheckError, Part, Scope, near
from appnet.language.typed import (
    Literal,
    Local,
    Operate,
    Run,
    StateValue,
    Value,
    Variable,
)
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    NUMERIC,
    REPLY,
    STRING,
    UINT,
    UNIT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)

_RECORD = "add it to a Vec in `state`: set(records, size(records), x); what is only added to goes to telemetry"
_INSTEAD = {  # of functions that other languages have
    **dict.fromkeys(("print", "println", "printf", "log"), _RECORD),
    **dict.fromkeys(("append", "push", "add"), "write set(v, size(v), x), which adds x at the end of the Vec"),
    **dict.fromkeys(("random", "rand"), "write randomf(0, 1) or randomi(low, high)"),
    **dict.fromkeys(("now", "time"), "write current_time(); time_diff(later, earlier) gives seconds"),
    **dict.fromkeys(("str", "string"), "write to_string(x)"),
    **dict.fromkeys(("int", "float"), "write to_int(x) or to_float(x)"),
    "set_route_dst": "write set(rpc, 'dst', backend)",
}


def apply(scope: Scope, node: syntax.Apply, want: Type | None) -> Value:
    """The value of a function applied to arguments. ``set`` and ``delete`` give unit."""
    call = Call(scope, node, want)
    if call.name in _FUNCTIONS:
        return _FUNCTIONS[call.name](call)
    if call.name == "reply":
        raise CheckError("E035", "`reply()` is no value", node.span, help_="write r = reply(), and then send(r, Up)")
    if call.name == "err":
        raise CheckError("E031", "`err` is no value", node.span, help_="write send(err('text'), Up)")
    help_ = _INSTEAD.get(call.name.lower()) or near(call.name, [*_FUNCTIONS, "send", "err"], "functions are")
    raise CheckError("E013", f"there is no function `{call.name}`", node.function.span, help_=help_)


# --- the RPC ---------------------------------------------------------------------------------


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
        raise _no_container(call, type_, "get")
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
        raise _no_container(call, type_, "set")
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
        help_ = "indices begin with 0: the last item is at size(vec) - 1"
        call.scope.found.warn("W006", "no Vec has an item there", call.span(1), "less than 0", help_)
    return index


def _write_back(call: Call, container: Value, run: Operate) -> Operate:
    """What is changed in place after `Some(v)` of `get(map, key)` is changed in the map too."""
    if not isinstance(container, Local):
        return run
    origin = container.variable.origin
    if origin is None:
        return run
    if origin.unsure:
        raise not_in_place(container.variable, origin, call.node.span)
    origin.changed = True
    call.scope.hoisted.append(Run(run))
    return Operate("map_set", (origin.map, origin.key, container), UNIT)


def not_in_place(variable: Variable, origin: tree.Origin, span: Span) -> CheckError:
    """The error for a name that stands for a Map's entry on some paths only, and is changed in place."""
    title = (
        f"`{variable.name}` stands for an entry of `{origin.map.name}` on some paths and for another value on others"
    )
    help_ = f"take two names, or change a copy and store it: set({origin.map.name}, KEY, {variable.name})"
    return CheckError("E016", title, span, "so it cannot be changed in place", help_)


def _is_reply(call: Call) -> bool:
    node = call.arguments[0]
    found = call.scope.find(node.name) if isinstance(node, syntax.Name) else None
    return isinstance(found, Variable) and found.type == REPLY


def _delete(call: Call) -> Value:
    call.count(2)
    container = call.any(0)
    type_ = type_of(container, call.span(0))
    if not isinstance(type_, MapType):
        raise _no_container(call, type_, "delete")
    _need_place(call, container)
    return _write_back(call, container, Operate("map_delete", (container, call.typed(1, type_.key)), UNIT))


def _no_container(call: Call, type_: Type, what: str) -> CheckError:
    wanted = "Map" if what == "delete" else "Map or Vec"
    if isinstance(type_, OptionType):
        return mismatch(type_, type_.item, call.span(0))
    help_ = "name a state variable, or the RPC"
    if isinstance(type_, VecType):
        help_ = "a Vec lets go its oldest item when it is full; set(vec, index, value) puts another in the place of one"
    return CheckError("E020", f"`{what}` takes a {wanted}", call.span(0), f"this is {type_}", help_)


def _need_place(call: Call, container: Value) -> None:
    if not isinstance(container, StateValue | Local):
        title = f"`{call.name}` needs a variable, not {describe(container)}"
        raise CheckError("E020", title, call.span(0), help_="give the value a name first")


def _size(call: Call) -> Value:
    call.count(1)
    value = call.any(0)
    if isinstance(value, Local) and value.variable.type is None:
        return Operate("map_size" if value.variable.began is MapType else "vec_size", (value,), UINT)
    type_ = type_of(value, call.span(0))
    if type_ in {STRING, BYTES}:
        return Operate("string_size", (value,), UINT)
    if isinstance(type_, MapType | VecType):
        return Operate("map_size" if isinstance(type_, MapType) else "vec_size", (value,), UINT)
    raise CheckError("E020", f"{type_} has no size", call.span(0), help_="strings, bytes, Vecs and Maps have one")


def _get_metadata(call: Call) -> Value:
    offset = _skip_rpc(call, 1)
    value = Operate("get_metadata", (call.typed(offset, STRING),), STRING)
    return coerce(value, call.want, call.node.span) if call.want in {*NUMERIC, BOOL} else value


def _set_metadata(call: Call) -> Value:
    offset = _skip_rpc(call, 2)
    key, value = call.typed(offset, STRING), call.text(offset + 1)
    title = "this header is not set"
    if isinstance(key, Literal) and isinstance(key.value, bytes) and not is_header_key(key.value.lower()):
        help_ = "take a key of a-z, 0-9, `.`, `_` and `-`; `grpc-…`, `content-type` and `te` are gRPC's own"
        call.scope.found.warn("W006", title, call.span(offset), "no key that programs can set", help_)
    if isinstance(value, Literal) and isinstance(value.value, bytes) and not is_header_value(value.value):
        help_ = "take printable ASCII: HTTP carries nothing else"
        call.scope.found.warn("W006", title, call.span(offset + 1), "no value that a header can carry", help_)
    return Operate("set_metadata", (key, value), UNIT)


def _skip_rpc(call: Call, arguments: int) -> int:
    """Public programs name the RPC or leave it out."""
    call.in_handler()
    return 1 if call.count(arguments, arguments + 1) == arguments + 1 and _require_rpc(call) else 0


def _require_rpc(call: Call) -> bool:
    if not call.is_rpc():
        title = f"the first argument of `{call.name}` is the RPC"
        raise CheckError("E022", title, call.span(0), help_=f"write {call.usage}")
    return True


def _status(call: Call) -> Value:
    call.in_handler()
    if call.count(0, 1) == 1:
        _require_rpc(call)
    return Operate("status", (), INT)


def _of_the_call(op: str, result: Type) -> Callable[[Call], Value]:
    def check(call: Call) -> Value:
        call.in_handler()
        if call.count(0, 1) == 1:
            _require_rpc(call)
        return Operate(op, (), result)

    return check


# --- values ----------------------------------------------------------------------------------


def _simple(op: str, parameters: tuple[Type, ...], result: Type) -> Callable[[Call], Value]:
    def check(call: Call) -> Value:
        call.count(len(parameters))
        return Operate(op, tuple(call.typed(index, want) for index, want in enumerate(parameters)), result)

    return check


def _can_fail(check: Callable[[Call], Value]) -> Callable[[Call], Value]:
    """A function whose failure ends the handler."""

    def checked(call: Call) -> Value:
        if call.scope.part is Part.INIT or call.scope.loops:
            title = f"`{call.name}` can end a handler, which cannot end here"
            help_ = f"{call.name} in `req` or `resp`, before or after the loop"
            raise CheckError("E031", title, call.node.span, help_=help_)
        return check(call)

    return checked


def _packing(op: str) -> Callable[[Call], Value]:
    """An operation from a string to a string, or from bytes to bytes."""

    def check(call: Call) -> Value:
        call.count(1)
        value = call.any(0, call.want)
        if type_of(value, call.span(0)) not in {STRING, BYTES}:
            raise mismatch(value.type, STRING, call.span(0))
        return Operate(op, (value,), value.type)

    return check


def _strings(op: str, result: Type | None) -> Callable[[Call], Value]:
    """An operation on two strings, or on two bytes; ``result`` None is their type."""

    def check(call: Call) -> Value:
        call.count(2)
        want = call.want if result is None else None
        first = call.any(0, want)
        if isinstance(type_of(first, call.span(0)), VecType | MapType):
            title, help_ = f"`{op}` takes two texts", "look through a Vec with foreach, and up a key of a Map with get"
            raise CheckError("E020", title, call.span(0), "this is a container", help_)
        a, b, type_ = unify(first, call.any(1, want), (call.span(0), call.span(1)))
        if type_ not in {STRING, BYTES}:
            raise mismatch(type_, STRING, call.span(0))
        return Operate(op, (a, b), result or type_)

    return check


def _matches(call: Call) -> Value:
    call.count(2)
    text = call.any(0)
    if type_of(text, call.span(0)) not in {STRING, BYTES}:
        raise mismatch(text.type, STRING, call.span(0))
    node = call.arguments[1]
    if not isinstance(node, syntax.Text):
        help_ = "write the pattern as a literal: it is compiled with the program"
        raise CheckError("E026", "a pattern is a literal string", node.span, help_=help_)
    try:
        compile_pattern(node.value)
    except PatternError as error:
        raise _bad_pattern(node, error) from None
    return Operate("matches", (text, Literal(node.value, STRING)), BOOL)


def _bad_pattern(node: syntax.Text, error: PatternError) -> CheckError:
    """The error, placed at the part of the pattern where the literal shows it as it is."""
    span = node.span
    text = node.value.decode("utf-8", "replace")
    label = f"in `{text[error.start : error.end]}`, character {error.start + 1} of the pattern"
    if span.end_column - span.column == len(text) + 2:  # no escapes
        begin = span.column + 1
        span = replace(span, column=begin + error.start, end_column=begin + min(error.end, len(text) + 1))
        label = ""
    help_ = error.help.replace("\\", "\\\\")  # as literals of programs have it
    return CheckError("E026", error.why, span, label, help_)


def _extreme(op: str) -> Callable[[Call], Value]:
    def check(call: Call) -> Value:
        call.count(2)
        spans = call.span(0), call.span(1)
        a, b, type_ = unify(call.any(0, call.want), call.any(1, call.want), spans, call.want)
        if type_ not in NUMERIC:
            raise mismatch(type_, FLOAT, spans[0])
        return Operate(op, (a, b), type_)

    return check


def _abs(call: Call) -> Value:
    call.count(1)
    value = call.any(0, call.want)
    if type_of(value, call.span(0)) not in NUMERIC:
        raise mismatch(value.type, FLOAT, call.span(0))
    return Operate("abs", (value,), value.type)


def _hash(call: Call) -> Value:
    call.count(1)
    value = call.any(0)
    if type_of(value, call.span(0)) not in {STRING, BYTES}:
        value = to_text(value, call.span(0))
    return Operate("hash", (value,), UINT)


def _to_number(want: Type, parse: str) -> Callable[[Call], Value]:
    def check(call: Call) -> Value:
        call.count(1)
        value = call.any(0)
        type_ = type_of(value, call.span(0))
        if type_ == want:
            return value
        if type_ == STRING:
            return Operate(parse, (value,), want)
        if type_ in NUMERIC:
            return Operate(f"to_{want}", (value,), want)
        if (type_, want) == (INSTANT, FLOAT):
            return Operate("instant_to_float", (value,), FLOAT)
        raise mismatch(type_, want, call.span(0))

    return check


def _to_uint(call: Call) -> Value:
    call.count(1)
    value = call.any(0)
    type_ = type_of(value, call.span(0))
    if type_ == STRING:
        value, type_ = Operate("parse_int", (value,), INT), INT
    if type_ not in NUMERIC:
        raise mismatch(type_, UINT, call.span(0))
    return value if type_ == UINT else Operate("to_uint", (value,), UINT)


def _time_diff(call: Call) -> Value:
    call.count(2)
    a, b, type_ = unify(call.any(0), call.any(1), (call.span(0), call.span(1)))
    if type_ == INSTANT:
        return Operate("time_diff", (a, b), FLOAT)
    if type_ == FLOAT:  # instants kept as seconds
        return Operate("sub", (a, b), FLOAT)
    raise mismatch(type_, INSTANT, call.span(0))


def _vec(call: Call, index: int) -> tuple[Value, VecType]:
    value = call.any(index)
    type_ = type_of(value, call.span(index))
    if not isinstance(type_, VecType):
        raise CheckError("E020", f"`{call.name}` takes a Vec", call.span(index), f"this is {type_}", "name a Vec")
    return value, type_


def _random_choices(call: Call) -> Value:
    call.count(2)
    value, type_ = _vec(call, 0)
    return Operate("random_choices", (value, call.typed(1, INT)), type_)


def _get_backends(call: Call) -> Value:
    if call.count(0, 1) == 1:
        call.any(0)  # the public AppNet names a shard; one cluster is one shard
    return Operate("get_backends", (), VecType(INT))


def _of_vec(op: str, item: Type, others: tuple[Type, ...], result: Type) -> Callable[[Call], Value]:
    def check(call: Call) -> Value:
        call.count(1 + len(others))
        value, _ = _vec(call, 0)
        value = coerce(value, VecType(item), call.span(0))
        rest = (call.typed(1 + index, want) for index, want in enumerate(others))
        return Operate(op, (value, *rest), result)

    return check


def _to_string(call: Call) -> Value:
    call.count(1)
    return call.text(0)


_FUNCTIONS: dict[str, Callable[[Call], Value]] = {
    "get": _get,
    "set": _set,
    "delete": _delete,
    "size": _size,
    "len": _size,
    "byte_size": byte_size,
    "get_metadata": _get_metadata,
    "get_rpc_header": _get_metadata,
    "set_metadata": _set_metadata,
    "set_rpc_header": _set_metadata,
    "status": _status,
    "rpc_id": _of_the_call("rpc_id", UINT),
    "method": _of_the_call("method", STRING),
    "randomf": _simple("random_float", (FLOAT, FLOAT), FLOAT),
    "randomi": _simple("random_int", (INT, INT), INT),
    "random_choices": _random_choices,
    "min": _extreme("min"),
    "max": _extreme("max"),
    "abs": _abs,
    "current_time": _simple("now", (), INSTANT),
    "time_diff": _time_diff,
    "get_backends": _get_backends,
    "get_load": _simple("get_load", (INT,), PairType(INT, INSTANT)),
    "estimate_RIF_distribution": _of_vec("estimate_rif", INT, (), VecType(FLOAT)),
    "quantile": _of_vec("quantile", FLOAT, (FLOAT,), FLOAT),
    "encrypt": _simple("encrypt", (STRING, STRING), STRING),
    "hmac": _simple("hmac", (STRING, STRING), STRING),
    "decrypt": _can_fail(_simple("decrypt", (STRING, STRING), STRING)),
    "compress": _packing("compress"),
    "decompress": _can_fail(_packing("decompress")),
    "hash": _hash,
    "concat": _strings("concat", None),
    "contains": _strings("contains", BOOL),
    "starts_with": _strings("starts_with", BOOL),
    "matches": _matches,
    "to_string": _to_string,
    "to_int": _to_number(INT, "parse_int"),
    "to_uint": _to_uint,
    "to_float": _to_number(FLOAT, "parse_float"),
}

BUILT_INS = frozenset(_FUNCTIONS)
"""The names of all functions that give a value or change one."""
