"""Types of expressions, and how values of one type become values of another."""

from __future__ import annotations

import re
from collections.abc import Iterable

from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.remedy import Remedy, instead, wrapped
from appnet.language import syntax
from appnet.language.scope import CheckError, Scope
from appnet.language.statuses import STATUS_CODES
from appnet.language.typed import (
    CallNumberText,
    Empty,
    FieldValue,
    Literal,
    Local,
    MapOf,
    Operate,
    StateValue,
    StatusText,
    Value,
    Variable,
    VecOf,
)
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    NUMERIC,
    REPLY,
    SCALARS,
    STRING,
    UINT,
    UNIT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)

_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "rem"}
_COMPARISON = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_RANGE = {INT: (-(1 << 63), (1 << 63) - 1), UINT: (0, (1 << 64) - 1)}
_CONVERSION = {
    (INT, FLOAT): "to_float",
    (UINT, FLOAT): "to_float",
    (UINT, INT): "to_int",
    (INT, UINT): "to_uint",
    (INSTANT, FLOAT): "instant_to_float",
    (STRING, BYTES): "string_to_bytes",
}
_SEALED = frozenset({"encrypt", "compress", "hmac", "base64_encode"})
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
INFINITIES = frozenset({"inf", "inf_f"})


def expression(scope: Scope, node: syntax.Expression, want: Type | None = None) -> Value:
    """The value of ``node``. Literals become ``want`` where they can; the caller coerces what else does not fit."""
    scope.reached[id(node)] = len(scope.reached)
    match node:
        case syntax.Number():
            return _number(node, want)
        case syntax.Text(value=text):
            return Literal(text, BYTES if want == BYTES else STRING)
        case syntax.Truth(value=truth):
            return Literal(truth, BOOL)
        case syntax.Name():
            return _name(scope, node)
        case syntax.Unary():
            return _unary(scope, node, want)
        case syntax.Binary():
            return _binary(scope, node, want)
        case syntax.PairOf(first=first, second=second):
            wants = (want.first, want.second) if isinstance(want, PairType) else (None, None)
            a, b = expression(scope, first, wants[0]), expression(scope, second, wants[1])
            _no_unit(a, first.span)
            _no_unit(b, second.span)
            return Operate("pair", (a, b), PairType(type_of(a, first.span), type_of(b, second.span)))
        case syntax.VecOf():
            return _vec(scope, node, want)
        case syntax.MapOf():
            return _map(scope, node, want)
        case syntax.Apply():
            return scope.apply(scope, node, want)


def typed(scope: Scope, node: syntax.Expression, want: Type) -> Value:
    """The value of ``node`` as a ``want``; an error where it can be none."""
    return coerce(expression(scope, node, want), want, node.span)


def type_of(value: Value, span: Span) -> Type:
    """The value's type; an error for a Vec or Map where nothing has told yet what it holds."""
    if isinstance(value, Local | Empty) and value.variable.type is None:
        title = f"the type of `{value.variable.name}` is not known yet"
        raise CheckError("E025", title, span, help_="add an item to it first, or declare it as state")
    return value.type


def coerce(value: Value, want: Type, span: Span, target: Variable | StateValue | None = None) -> Value:
    """``value`` as a ``want``: itself, converted where nothing can be lost unseen, or an error.

    ``target``: the variable that it is given to, which the error shows.
    """
    if isinstance(value, Local) and value.variable.type is None and isinstance(want, value.variable.began):
        value.variable.type = want
    have = type_of(value, span)
    if have == want:
        return value
    if isinstance(value, Literal) and type(value.value) is int and want in NUMERIC:
        return literal_number(value.value, want, span)
    number = _as_number(value, want)
    if number is not None:
        return number
    if (have, want) in _CONVERSION:
        return Operate(_CONVERSION[have, want], (value,), want)
    if isinstance(value, Operate) and value.op == "pair" and isinstance(want, PairType):
        first, second = value.arguments
        return Operate("pair", (coerce(first, want.first, span), coerce(second, want.second, span)), want)
    if isinstance(value, VecOf) and isinstance(want, VecType):
        return VecOf(tuple(coerce(it, want.item, span) for it in value.items), want)
    if isinstance(value, MapOf) and isinstance(want, MapType):
        held = ((coerce(key, want.key, span), coerce(it, want.value, span)) for key, it in value.entries)
        return MapOf(tuple(held), want)
    at_target = (_since(target, want),) if target is not None else ()
    raise mismatch(have, want, span, (*at_target, *declared(value)), value)


def declared(value: Value) -> tuple[Label, ...]:
    """The place that tells the value's type, where it is a variable."""
    if isinstance(value, StateValue):
        return (_since(value, value.type),)
    return (_since(value.variable, value.type),) if isinstance(value, Local) else ()


def _since(variable: StateValue | Variable, type_: Type) -> Label:
    since = f"is declared as {type_}" if isinstance(variable, StateValue) else f"is {type_} since here"
    return Label(variable.span, f"`{variable.name}` {since}")


def mismatch(
    have: Type, want: Type, span: Span, places: Iterable[Label] = (), value: Value | None = None
) -> CheckError:
    """The error for a value of one type where another is needed; ``places`` explain the types."""
    if have == UNIT:
        return no_value(span)
    function = _converting(have, want)
    help_, remedies = f"use a value of type {want}", wrapped(span, function) if function else ()
    if isinstance(have, OptionType):
        help_ = "match it: `Some(x) =>` … `None =>` …, or give `get` a default as its last argument"
    elif want == STRING and have in SCALARS:
        help_ = "convert it: to_string(…)"
    elif want == INT and have == FLOAT:
        help_ = "convert it: to_int(…), or write the other side as a float"
    elif want in NUMERIC and have == STRING:
        help_, remedies = _number_of_text(value, want), _number_in_place(value, want, span)
    elif want == INSTANT:
        help_ = "an Instant comes from current_time(); time_diff(a, b) gives the seconds between two"
    return CheckError("E020", f"expected {want}, found {have}", span, f"this is {have}", help_, places, remedies)


def _converting(have: Type, want: Type) -> str:
    """The function that makes the one of the other; empty where there is none."""
    if want == STRING and have in {BOOL, BYTES, *NUMERIC}:
        return "to_string"
    return "to_int" if (have, want) == (FLOAT, INT) else ""


def _number_in_place(value: Value | None, want: Type, span: Span) -> tuple[Remedy, ...]:
    """What can stand in the place of a text where a number is needed."""
    if isinstance(value, Literal) and isinstance(value.value, bytes):
        text = value.value.decode("utf-8", "replace")
        number = text if _NUMBER.fullmatch(text) else str(STATUS_CODES.get(text.upper(), ""))
        return instead(span, number) if number else ()
    sealed = "that stands for no number" in _number_of_text(value, want)
    return () if sealed or want == UINT else wrapped(span, f"to_{want}")


def _number_of_text(value: Value | None, want: Type) -> str:
    """The help for a text where a number is needed."""
    made_by = ""
    match value:
        case Literal(value=bytes() as text):
            return _without_quotes(text.decode("utf-8", "replace"))
        case Operate(op=made_by) | Local(variable=Variable(made_by=made_by)):
            pass
    if made_by in _SEALED:
        return f"`{made_by}` returns text that is not a number: use it as a string"
    return f"convert it: to_{want}(…)"


def _without_quotes(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return f"write it without quotes: {text}"
    code = STATUS_CODES.get(text.upper())
    return "write a number" if code is None else f"this status has the number {code}"


def no_value(span: Span) -> CheckError:
    """The error for a call that is made for its effect alone."""
    return CheckError("E020", "this call returns no value", span, help_="write it on a line of its own")


def literal_number(value: int | float, want: Type, span: Span) -> Literal:
    """A number of a numeric type; an error where it does not fit."""
    if want == FLOAT:
        return Literal(float(value), FLOAT)
    low, high = _RANGE[want]
    if not low <= value <= high:
        raise CheckError("E024", f"{value} does not fit {want}", span, help_=f"{want} ranges from {low} to {high}")
    return Literal(int(value), want)


def unify(a: Value, b: Value, spans: tuple[Span, Span], want: Type | None = None) -> tuple[Value, Value, Type]:
    """Two operands as one type: literals adapt, float wins over integers, int over uint, text from metadata is read."""
    types = type_of(a, spans[0]), type_of(b, spans[1])
    for type_, span in zip(types, spans, strict=True):
        if isinstance(type_, OptionType):
            raise mismatch(type_, type_.item, span)
        if type_ == UNIT:
            raise no_value(span)
    if types[0] == types[1]:
        if want == FLOAT and _is_integer(a) and _is_integer(b):
            return coerce(a, FLOAT, spans[0]), coerce(b, FLOAT, spans[1]), FLOAT
        return a, b, types[0]
    target = _common(a, b, types)
    if target is None:
        raise mismatch(types[1], types[0], spans[1], (Label(spans[0], f"this is {types[0]}"), *declared(b)), b)
    return coerce(a, target, spans[0]), coerce(b, target, spans[1]), target


def _common(a: Value, b: Value, types: tuple[Type, Type]) -> Type | None:
    for value, other in ((a, types[1]), (b, types[0])):
        if _is_integer(value) and other in NUMERIC:
            return other
        if _as_number(value, other) is not None:
            return other
    if FLOAT in types and all(it in {*NUMERIC, INSTANT} for it in types):
        return FLOAT
    if all(it in {INT, UINT} for it in types):
        return INT
    if set(types) == {STRING, BYTES}:
        return BYTES
    return None


def _is_integer(value: Value) -> bool:
    return isinstance(value, Literal) and type(value.value) is int


def call_number_text() -> Value:
    """The number of the call, as public programs read it."""
    return CallNumberText("uint_to_string", (Operate("rpc_id", (), UINT),), STRING)


def _as_number(value: Value, want: Type) -> Value | None:
    """A text that stands for a number or a bool as such; None for other values."""
    match value:
        case Operate(op="get_metadata"):
            return _parsed_metadata(value, want)
        case CallNumberText(arguments=(Operate() as number,)):
            return _converted(number, want)
        case Local(variable=StatusText()):
            return _converted(Operate("status", (), INT), want)
        case _:
            return None


def _converted(number: Operate, want: Type) -> Value | None:
    if number.type == want:
        return number
    return Operate(_CONVERSION[number.type, want], (number,), want) if want in NUMERIC else None


def _parsed_metadata(value: Value, want: Type) -> Value | None:
    if want == INT:
        return Operate("parse_int", (value,), INT)
    if want == UINT:
        return Operate("to_uint", (Operate("parse_int", (value,), INT),), UINT)
    if want == FLOAT:
        return Operate("parse_float", (value,), FLOAT)
    if want == BOOL:
        return Operate("eq", (value, Literal(b"true", STRING)), BOOL)
    return None


def _number(node: syntax.Number, want: Type | None) -> Literal:
    if isinstance(node.value, float):
        return Literal(node.value, FLOAT)
    return literal_number(node.value, want if want in NUMERIC else INT, node.span)


def _name(scope: Scope, node: syntax.Name) -> Value:
    found = scope.find(node.name)
    if found is not None:
        scope.mention(node.span, found)
        if isinstance(found, Variable) and found.type == REPLY:
            help_ = f"set its fields and send it: set({node.name}, 'field', value), send({node.name}, Up)"
            raise CheckError("E035", f"`{node.name}` is a reply, not a value", node.span, help_=help_)
        return Local(found) if isinstance(found, Variable) else found
    if node.name in INFINITIES:
        return Literal(float("inf"), FLOAT)
    raise scope.unknown(node.name, node.span)


def _no_unit(value: Value, span: Span) -> None:
    if isinstance(value, Operate) and value.type == UNIT:
        raise no_value(span)


# --- literals of containers ------------------------------------------------------------------


def _vec(scope: Scope, node: syntax.VecOf, want: Type | None) -> VecOf:
    if isinstance(want, VecType):
        return VecOf(tuple(typed(scope, it, want.item) for it in node.items), want)
    if not node.items:
        raise _untold("[]", "a Vec", "`items = []`, then `set(items, size(items), x)`", node.span, want)
    items, type_ = _of_one_type(scope, node.items)
    return VecOf(items, VecType(type_))


def _map(scope: Scope, node: syntax.MapOf, want: Type | None) -> MapOf:
    keys, values = tuple(key for key, _ in node.entries), tuple(value for _, value in node.entries)
    if isinstance(want, MapType):
        pairs = ((typed(scope, key, want.key), typed(scope, value, want.value)) for key, value in node.entries)
        made = MapOf(tuple(pairs), want)
    elif not node.entries:
        raise _untold("{}", "a Map", "`seen = {}`, then `set(seen, key, value)`", node.span, want)
    else:
        key_values, key_type = _of_one_type(scope, keys)
        check_key(key_type, keys[0].span)
        held, value_type = _of_one_type(scope, values)
        made = MapOf(tuple(zip(key_values, held, strict=True)), MapType(key_type, value_type))
    _refuse_doubled(made, keys)
    return made


def _untold(literal: str, what: str, example: str, span: Span, want: Type | None) -> CheckError:
    if want is not None:
        help_ = f"use a value of type {want}"
        return CheckError("E020", f"expected {want}, found {what}", span, help_=help_)
    help_ = f"give it a name first: {example}"
    return CheckError("E025", f"the type of `{literal}` cannot be inferred here", span, help_=help_)


def _of_one_type(scope: Scope, nodes: tuple[syntax.Expression, ...]) -> tuple[tuple[Value, ...], Type]:
    """The values, as two of them would meet in a sum; what literals, and empty ones, are for is told by others."""
    telling = [it for it in nodes if not syntax.is_empty(it)] or [nodes[0]]
    values = {id(it): expression(scope, it) for it in telling}
    whole, at = values[id(telling[0])], telling[0].span
    type_ = _storable(whole, at)
    for node in telling[1:]:
        value = values[id(node)]
        _storable(value, node.span)
        whole, other, type_ = unify(whole, value, (at, node.span))
        if isinstance(whole, Literal):
            whole, at = other, node.span
    empty = {id(it): expression(scope, it, type_) for it in nodes if id(it) not in values}
    found = values | empty
    return tuple(coerce(found[id(node)], type_, node.span) for node in nodes), type_


def _storable(value: Value, span: Span) -> Type:
    """The value's type, if a container can hold such."""
    type_ = type_of(value, span)
    if isinstance(type_, OptionType):
        raise mismatch(type_, type_.item, span)
    if type_ == UNIT:
        raise no_value(span)
    return type_


def check_key(type_: Type, span: Span) -> None:
    """Raises `CheckError` where a Map can have no keys of the type."""
    if type_ not in SCALARS:
        help_ = "use a string, a number, a bool or bytes as key"
        raise CheckError("E021", f"{type_} cannot be a key", span, help_=help_)


def _refuse_doubled(made: MapOf, keys: tuple[syntax.Expression, ...]) -> None:
    lines: dict[bool | int | float | bytes, int] = {}
    for (key, _), node in zip(made.entries, keys, strict=True):
        if not isinstance(key, Literal):
            continue
        if key.value in lines:
            title, label = "this key appears twice", f"first in line {lines[key.value]}"
            raise CheckError("E027", title, node.span, label, "remove one of the two entries")
        lines[key.value] = node.span.line


# --- operators ---------------------------------------------------------------------------------


def _unary(scope: Scope, node: syntax.Unary, want: Type | None) -> Value:
    if node.operator == "not":
        return Operate("not", (typed(scope, node.operand, BOOL),), BOOL)
    if isinstance(node.operand, syntax.Number):
        return _number(syntax.Number(node.span, -node.operand.value), want)
    operand = expression(scope, node.operand, want)
    type_ = type_of(operand, node.operand.span)
    if type_ not in NUMERIC:
        raise CheckError("E020", f"{type_} cannot be negated", node.span, f"this is {type_}", "negate a number")
    return Operate("neg", (operand,), type_)


def _binary(scope: Scope, node: syntax.Binary, want: Type | None) -> Value:
    if node.operator in {"and", "or"}:
        operands = typed(scope, node.left, BOOL), typed(scope, node.right, BOOL)
        return Operate(node.operator, operands, BOOL)
    arithmetic = _ARITHMETIC.get(node.operator)
    wanted = want if arithmetic and not (arithmetic == "rem" and want == FLOAT) else None
    left, right = expression(scope, node.left, wanted), expression(scope, node.right, wanted)
    if arithmetic == "add":
        _refuse_text_and_number((left, right), (node.left.span, node.right.span))
    left, right, type_ = unify(left, right, (node.left.span, node.right.span), wanted)
    if arithmetic is None:
        if type_ not in SCALARS:
            help_ = "compare the value in it" if isinstance(type_, OptionType) else "compare numbers, strings or bools"
            raise CheckError("E020", f"{type_} cannot be compared", node.span, help_=help_)
        return Operate(_COMPARISON[node.operator], (left, right), BOOL)
    if arithmetic == "add" and type_ in {STRING, BYTES}:
        return Operate("concat", (left, right), type_)
    if type_ not in NUMERIC or (arithmetic == "rem" and type_ == FLOAT):
        raise _not_taken(node, type_)
    if arithmetic in {"div", "rem"} and type_ != FLOAT and not _nonzero(right):
        help_ = "an integer divided by 0 is 0; divide floats, or check the divisor first"
        if arithmetic == "rem":
            help_ = "the remainder is then 0; check the divisor first"
        scope.found.warn("W003", "the divisor may be 0", node.right.span, "an integer", help_)
    return Operate(arithmetic, (left, right), type_)


def _refuse_text_and_number(operands: tuple[Value, Value], spans: tuple[Span, Span]) -> None:
    """Of a text and what can be written out, the text tells what is meant."""
    types = [type_of(value, span) for value, span in zip(operands, spans, strict=True)]
    read = any(_as_number(it, FLOAT) is not None for it in operands)
    for index, other in ((0, 1), (1, 0)):
        if types[index] in {BOOL, *NUMERIC} and types[other] == STRING and not read:
            places = (Label(spans[other], "this is string"), *declared(operands[index]))
            raise mismatch(types[index], STRING, spans[index], places)


def _not_taken(node: syntax.Binary, type_: Type) -> CheckError:
    """The error for an operator of arithmetic on what it does not take."""
    help_ = "calculate with numbers"
    if type_ == INSTANT:
        help_ = "use time_diff(a, b), which gives seconds"
    elif type_ == FLOAT:
        help_ = "use integers: to_int(…)"
    elif node.operator == "+" and isinstance(type_, VecType):
        help_ = "add items one at a time: set(v, size(v), x)"
    return CheckError("E020", f"`{node.operator}` does not support {type_}", node.span, help_=help_)


def _nonzero(value: Value) -> bool:
    return isinstance(value, Literal) and value.value != 0


def describe(value: Value) -> str:
    """What a value is, for messages."""
    if isinstance(value, StateValue):
        return f"state variable `{value.name}`"
    if isinstance(value, Local):
        return f"`{value.variable.name}`"
    return f"field `{value.path}`" if isinstance(value, FieldValue) else "this value"
