"""The built-in functions as programs write them: each resolves to an operation by the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from appnet.language import syntax
from appnet.language import typed as tree
from appnet.language.diagnostics import Span
from appnet.language.expressions import coerce, describe, expression, mismatch, type_of, typed, unify
from appnet.language.messages import Field, MessageSchema
from appnet.language.patterns import PatternError, compile_pattern
from appnet.language.scope import CheckError, Follows, Part, Scope, near
from appnet.language.typed import (
    FieldValue,
    Literal,
    Local,
    Operate,
    Run,
    SetField,
    SetReplyField,
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

_TWINS = {  # what public programs take from fields of their own messages, and the language knows itself
    **dict.fromkeys(("id", "rpcid", "rpc_id"), "for a number of the call write rpc_id(), as text to_string(rpc_id())"),
    **dict.fromkeys(("status", "meta_status"), "for the gRPC status write status(rpc): 0 is success"),
    "method": "for the method's name write method()",
    **dict.fromkeys(("dst", "load"), "to send it along write set_metadata(rpc, 'KEY', value)"),
}
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
_FIELD_TYPES = frozenset(
    {"string", "bytes", "bool", "int", "uint", "float", "double", "enum"}
    | {f"{sign}int{bits}" for sign in ("", "u", "s") for bits in (32, 64)}
    | {f"{sign}fixed{bits}" for sign in ("", "s") for bits in (32, 64)}
)


@dataclass(frozen=True)
class _Call:
    scope: Scope
    node: syntax.Apply
    want: Type | None

    @property
    def name(self) -> str:
        return self.node.function.name

    @property
    def arguments(self) -> tuple[syntax.Expression, ...]:
        return self.node.arguments

    def count(self, *allowed: int) -> int:
        """How many arguments there are, if that is one of ``allowed``."""
        found = len(self.arguments)
        if found not in allowed:
            wanted = " or ".join(str(it) for it in allowed)
            title = f"`{self.name}` takes {wanted} argument{'' if allowed == (1,) else 's'}, not {found}"
            raise CheckError("E022", title, self.node.span, help_=f"write {_USAGE[self.name]}")
        return found

    def typed(self, index: int, want: Type) -> Value:
        return typed(self.scope, self.arguments[index], want)

    def any(self, index: int, want: Type | None = None) -> Value:
        return expression(self.scope, self.arguments[index], want)

    def span(self, index: int) -> Span:
        return self.arguments[index].span

    def is_rpc(self, index: int = 0) -> bool:
        """Whether the argument is the RPC, and there is one."""
        node = self.arguments[index] if index < len(self.arguments) else None
        if not isinstance(node, syntax.Name) or node.name != self.scope.rpc or self.scope.find(node.name) is not None:
            return False
        self.in_handler()
        return True

    def in_handler(self) -> None:
        if self.scope.part is Part.INIT:
            title = f"`{self.name}` needs a call, and `init` runs before there is one"
            raise CheckError("E034", title, self.node.span, help_="move it into `req` or `resp`")


def apply(scope: Scope, node: syntax.Apply, want: Type | None) -> Value:
    """The value of a function applied to arguments. ``set`` and ``delete`` give unit."""
    call = _Call(scope, node, want)
    if call.name in _FUNCTIONS:
        return _FUNCTIONS[call.name](call)
    if call.name == "reply":
        raise CheckError("E035", "`reply()` is no value", node.span, help_="write r = reply(), and then send(r, Up)")
    if call.name == "err":
        raise CheckError("E031", "`err` is no value", node.span, help_="write send(err('text'), Up)")
    help_ = _INSTEAD.get(call.name.lower()) or near(call.name, [*_FUNCTIONS, "send", "err"], "functions are")
    raise CheckError("E013", f"there is no function `{call.name}`", node.function.span, help_=help_)


# --- the RPC ---------------------------------------------------------------------------------


def _field_name(call: _Call, index: int) -> tuple[str, Span]:
    node = call.arguments[index]
    if isinstance(node, syntax.Text):
        return node.value.decode("utf-8", "replace"), node.span
    if isinstance(node, syntax.Name) and call.scope.find(node.name) is None:
        return node.name, node.span  # public programs write set(rpc, dst, b)
    help_ = f"write {call.name}(rpc, 'field')"
    raise CheckError("E020", "a field is named by a literal string", node.span, help_=help_)


def _find_field(message: MessageSchema, path: str) -> Field | None:
    fields = message.fields
    if path in fields:
        return fields[path]
    same = [it for name, it in fields.items() if name.lower() == path.lower()]
    return same[0] if len(same) == 1 else None


def _field(scope: Scope, message: MessageSchema, path: str, span: Span) -> Field:
    found = _find_field(message, path)
    if found is not None:
        scope.mention(span, found)
        return found
    if path in message.unknown:
        raise Follows
    reason = next((why for name, why in message.unsupported.items() if name.lower() == path.lower()), None)
    if reason is not None:
        help_ = "use a field of scalars: " + near("", message.fields, "there are")
        raise CheckError("E015", f"field `{path}` of {message.full_name} cannot be used", span, reason, help_)
    title = f"{message.full_name} has no field `{path}`"
    help_ = near(path, message.fields, "its fields are")
    if path.lower() in _TWINS:
        help_ += f"; {_TWINS[path.lower()]}"
    raise CheckError("E014", title, span, help_=help_)


def _get(call: _Call) -> Value:
    count = call.count(2, 3)
    if call.is_rpc():
        return _get_field(call, count)
    container = call.any(0)
    type_ = type_of(container, call.span(0))
    if isinstance(type_, MapType):
        key, item, op = call.typed(1, type_.key), type_.value, "map_get"
    elif isinstance(type_, VecType):
        key, item, op = call.typed(1, INT), type_.item, "vec_get"
    else:
        raise _no_container(call, type_, "get")
    if count == 2:
        return Operate(op, (container, key), OptionType(item))
    return Operate(f"{op}_or", (container, key, call.typed(2, item)), item)


def _get_field(call: _Call, count: int) -> Value:
    path, span = _field_name(call, 1)
    if count == 3:
        node = call.arguments[2]
        if not isinstance(node, syntax.Text) or node.value.decode("utf-8", "replace") not in _FIELD_TYPES:
            title = "the third argument names the field's type"
            raise CheckError("E020", title, node.span, help_="leave it out: the .proto tells the type")
    if path == "meta_status" and _find_field(call.scope.message, path) is None:
        return _meta_status(call)
    found = _field(call.scope, call.scope.message, path, span)
    return FieldValue(found.path, found.type)


def _meta_status(call: _Call) -> Value:
    """The public AppNet's pseudo-field: 'success' or 'failure', here hoisted into a local."""
    variable = Variable("meta_status", call.node.span, STRING)
    succeeded = Operate("eq", (Operate("status", (), INT), Literal(0, INT)), BOOL)
    arms = tuple(
        tree.Arm(pattern, (tree.SetLocal(variable, Literal(text, STRING)),))
        for pattern, text in ((tree.LiteralArm(Literal(True, BOOL)), b"success"), (tree.AnyArm(), b"failure"))
    )
    call.scope.hoisted.append(tree.Match(call.node.span, succeeded, arms))
    return Local(variable)


def _set(call: _Call) -> Value:
    call.count(3)
    if call.is_rpc():
        return _set_field(call)
    if _is_reply(call):
        return _set_reply_field(call)
    container = call.any(0)
    _need_place(call, container)
    type_ = container.variable.type if isinstance(container, Local) else type_of(container, call.span(0))
    if isinstance(type_, MapType):
        run = Operate("map_set", (container, call.typed(1, type_.key), call.typed(2, type_.value)), UNIT)
    elif isinstance(type_, VecType) or type_ is None:
        run = _set_item(call, container, type_)
    else:
        raise _no_container(call, type_, "set")
    return _write_back(call, container, run)


def _set_item(call: _Call, container: Value, type_: VecType | None) -> Operate:
    item = call.any(2, type_.item if type_ is not None else None)
    if type_ is None:
        type_ = VecType(type_of(item, call.span(2)))
        coerce(container, type_, call.span(0))
    item = coerce(item, type_.item, call.span(2))
    index = call.any(1, INT)
    if index == Operate("vec_size", (container,), UINT):
        return Operate("vec_append", (container, item), UNIT)
    return Operate("vec_set", (container, coerce(index, INT, call.span(1)), item), UNIT)


def _write_back(call: _Call, container: Value, run: Operate) -> Operate:
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


def _is_reply(call: _Call) -> bool:
    node = call.arguments[0]
    found = call.scope.find(node.name) if isinstance(node, syntax.Name) else None
    return isinstance(found, Variable) and found.type == REPLY


def _set_reply_field(call: _Call) -> Value:
    path, span = _field_name(call, 1)
    message = call.scope.signature.response
    _look_at_value(call, message, path)
    found = _field(call.scope, message, path, span)
    call.scope.hoisted.append(SetReplyField(found.path, call.typed(2, found.type), message.rivals(found.path)))
    return Operate("nothing", (), UNIT)


def _look_at_value(call: _Call, message: MessageSchema, path: str) -> None:
    """Has what is wrong with the value told, though the type of its field is not known."""
    if path in message.unknown and not isinstance(call.arguments[2], syntax.EmptyVec):
        call.any(2)


def _set_field(call: _Call) -> Value:
    path, span = _field_name(call, 1)
    if path == "dst" and _find_field(call.scope.message, path) is None:
        return Operate("set_metadata", (Literal(b"dst", STRING), _text(call, 2)), UNIT)
    _look_at_value(call, call.scope.message, path)
    found = _field(call.scope, call.scope.message, path, span)
    rivals = call.scope.message.rivals(found.path)
    call.scope.hoisted.append(SetField(found.path, call.typed(2, found.type), rivals))
    return Operate("nothing", (), UNIT)


def _delete(call: _Call) -> Value:
    call.count(2)
    container = call.any(0)
    type_ = type_of(container, call.span(0))
    if not isinstance(type_, MapType):
        raise _no_container(call, type_, "delete")
    _need_place(call, container)
    return _write_back(call, container, Operate("map_delete", (container, call.typed(1, type_.key)), UNIT))


def _no_container(call: _Call, type_: Type, what: str) -> CheckError:
    wanted = "Map" if what == "delete" else "Map or Vec"
    if isinstance(type_, OptionType):
        return mismatch(type_, type_.item, call.span(0))
    return CheckError(
        "E020", f"`{what}` takes a {wanted}", call.span(0), f"this is {type_}", "name a state variable, or the RPC"
    )


def _need_place(call: _Call, container: Value) -> None:
    if not isinstance(container, StateValue | Local):
        title = f"`{call.name}` needs a variable, not {describe(container)}"
        raise CheckError("E020", title, call.span(0), help_="give the value a name first")


def _size(call: _Call) -> Value:
    call.count(1)
    value = call.any(0)
    if isinstance(value, Local) and value.variable.type is None:
        return Operate("vec_size", (value,), UINT)
    type_ = type_of(value, call.span(0))
    if type_ in {STRING, BYTES}:
        return Operate("string_size", (value,), UINT)
    if isinstance(type_, MapType | VecType):
        return Operate("map_size" if isinstance(type_, MapType) else "vec_size", (value,), UINT)
    raise CheckError("E020", f"{type_} has no size", call.span(0), help_="strings, bytes, Vecs and Maps have one")


def _byte_size(call: _Call) -> Value:
    if call.count(1, 2) == 2:
        if not call.is_rpc():
            raise CheckError("E022", "`byte_size` of two arguments takes the RPC and a field", call.node.span)
        path, span = _field_name(call, 1)
        found = _field(call.scope, call.scope.message, path, span)
        value: Value = FieldValue(found.path, found.type)
    else:
        value = call.any(0)
        span = call.span(0)
    if type_of(value, span) not in {STRING, BYTES}:
        title = f"{type_of(value, span)} has no size in bytes"
        raise CheckError("E020", title, span, help_="strings and bytes have one")
    return Operate("string_size", (value,), UINT)


def _get_metadata(call: _Call) -> Value:
    offset = _skip_rpc(call, 1)
    value = Operate("get_metadata", (call.typed(offset, STRING),), STRING)
    return coerce(value, call.want, call.node.span) if call.want in {*NUMERIC, BOOL} else value


def _set_metadata(call: _Call) -> Value:
    offset = _skip_rpc(call, 2)
    return Operate("set_metadata", (call.typed(offset, STRING), _text(call, offset + 1)), UNIT)


def _skip_rpc(call: _Call, arguments: int) -> int:
    """Public programs name the RPC or leave it out."""
    call.in_handler()
    return 1 if call.count(arguments, arguments + 1) == arguments + 1 and _require_rpc(call) else 0


def _require_rpc(call: _Call) -> bool:
    if not call.is_rpc():
        title = f"the first argument of `{call.name}` is the RPC"
        raise CheckError("E022", title, call.span(0), help_=f"write {_USAGE[call.name]}")
    return True


def _text(call: _Call, index: int) -> Value:
    """The argument as text: numbers and bools are written out."""
    return to_text(call.any(index), call.span(index))


def to_text(value: Value, span: Span) -> Value:
    """``value`` as a string."""
    type_ = type_of(value, span)
    if type_ == STRING:
        return value
    if type_ in {BOOL, INT, UINT, FLOAT, BYTES}:
        return Operate(f"{type_}_to_string", (value,), STRING)
    help_ = "numbers, bools and bytes can be written out"
    raise CheckError("E020", f"{type_} cannot be made a string", span, help_=help_)


def _status(call: _Call) -> Value:
    call.in_handler()
    if call.count(0, 1) == 1:
        _require_rpc(call)
    return Operate("status", (), INT)


def _of_the_call(op: str, result: Type) -> Callable[[_Call], Value]:
    def check(call: _Call) -> Value:
        call.in_handler()
        if call.count(0, 1) == 1:
            _require_rpc(call)
        return Operate(op, (), result)

    return check


# --- values ----------------------------------------------------------------------------------


def _simple(op: str, parameters: tuple[Type, ...], result: Type) -> Callable[[_Call], Value]:
    def check(call: _Call) -> Value:
        call.count(len(parameters))
        return Operate(op, tuple(call.typed(index, want) for index, want in enumerate(parameters)), result)

    return check


def _can_fail(check: Callable[[_Call], Value]) -> Callable[[_Call], Value]:
    """A function whose failure ends the handler."""

    def checked(call: _Call) -> Value:
        if call.scope.part is Part.INIT or call.scope.loops:
            title = f"`{call.name}` can end a handler, which cannot end here"
            help_ = f"{call.name} in `req` or `resp`, before or after the loop"
            raise CheckError("E031", title, call.node.span, help_=help_)
        return check(call)

    return checked


def _packing(op: str) -> Callable[[_Call], Value]:
    """An operation from a string to a string, or from bytes to bytes."""

    def check(call: _Call) -> Value:
        call.count(1)
        value = call.any(0, call.want)
        if type_of(value, call.span(0)) not in {STRING, BYTES}:
            raise mismatch(value.type, STRING, call.span(0))
        return Operate(op, (value,), value.type)

    return check


def _strings(op: str, result: Type | None) -> Callable[[_Call], Value]:
    """An operation on two strings, or on two bytes; ``result`` None is their type."""

    def check(call: _Call) -> Value:
        call.count(2)
        want = call.want if result is None else None
        a, b, type_ = unify(call.any(0, want), call.any(1, want), (call.span(0), call.span(1)))
        if type_ not in {STRING, BYTES}:
            raise mismatch(type_, STRING, call.span(0))
        return Operate(op, (a, b), result or type_)

    return check


def _matches(call: _Call) -> Value:
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


def _extreme(op: str) -> Callable[[_Call], Value]:
    def check(call: _Call) -> Value:
        call.count(2)
        spans = call.span(0), call.span(1)
        a, b, type_ = unify(call.any(0, call.want), call.any(1, call.want), spans, call.want)
        if type_ not in NUMERIC:
            raise mismatch(type_, FLOAT, spans[0])
        return Operate(op, (a, b), type_)

    return check


def _abs(call: _Call) -> Value:
    call.count(1)
    value = call.any(0, call.want)
    if type_of(value, call.span(0)) not in NUMERIC:
        raise mismatch(value.type, FLOAT, call.span(0))
    return Operate("abs", (value,), value.type)


def _hash(call: _Call) -> Value:
    call.count(1)
    value = call.any(0)
    if type_of(value, call.span(0)) not in {STRING, BYTES}:
        value = to_text(value, call.span(0))
    return Operate("hash", (value,), UINT)


def _to_number(want: Type, parse: str) -> Callable[[_Call], Value]:
    def check(call: _Call) -> Value:
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


def _to_uint(call: _Call) -> Value:
    call.count(1)
    value = call.any(0)
    type_ = type_of(value, call.span(0))
    if type_ == STRING:
        value, type_ = Operate("parse_int", (value,), INT), INT
    if type_ not in NUMERIC:
        raise mismatch(type_, UINT, call.span(0))
    return value if type_ == UINT else Operate("to_uint", (value,), UINT)


def _time_diff(call: _Call) -> Value:
    call.count(2)
    a, b, type_ = unify(call.any(0), call.any(1), (call.span(0), call.span(1)))
    if type_ == INSTANT:
        return Operate("time_diff", (a, b), FLOAT)
    if type_ == FLOAT:  # instants kept as seconds
        return Operate("sub", (a, b), FLOAT)
    raise mismatch(type_, INSTANT, call.span(0))


def _vec(call: _Call, index: int) -> tuple[Value, VecType]:
    value = call.any(index)
    type_ = type_of(value, call.span(index))
    if not isinstance(type_, VecType):
        raise CheckError("E020", f"`{call.name}` takes a Vec", call.span(index), f"this is {type_}", "name a Vec")
    return value, type_


def _random_choices(call: _Call) -> Value:
    call.count(2)
    value, type_ = _vec(call, 0)
    return Operate("random_choices", (value, call.typed(1, INT)), type_)


def _get_backends(call: _Call) -> Value:
    if call.count(0, 1) == 1:
        call.any(0)  # the public AppNet names a shard; one cluster is one shard
    return Operate("get_backends", (), VecType(INT))


def _of_vec(op: str, item: Type, others: tuple[Type, ...], result: Type) -> Callable[[_Call], Value]:
    def check(call: _Call) -> Value:
        call.count(1 + len(others))
        value, _ = _vec(call, 0)
        value = coerce(value, VecType(item), call.span(0))
        rest = (call.typed(1 + index, want) for index, want in enumerate(others))
        return Operate(op, (value, *rest), result)

    return check


def _to_string(call: _Call) -> Value:
    call.count(1)
    return _text(call, 0)


_FUNCTIONS: dict[str, Callable[[_Call], Value]] = {
    "get": _get,
    "set": _set,
    "delete": _delete,
    "size": _size,
    "len": _size,
    "byte_size": _byte_size,
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

_USAGE = {
    **{name: f"{name}(…)" for name in _FUNCTIONS},
    "get": "get(rpc, 'field'), get(map, key), get(map, key, default) or get(vec, index)",
    "set": "set(rpc, 'field', value), set(map, key, value) or set(vec, index, value)",
    "delete": "delete(map, key)",
    "size": "size(container)",
    "byte_size": "byte_size(rpc, 'field')",
    "get_metadata": "get_metadata(rpc, 'key')",
    "set_metadata": "set_metadata(rpc, 'key', value)",
    "get_rpc_header": "get_rpc_header(rpc, 'key')",
    "set_rpc_header": "set_rpc_header(rpc, 'key', value)",
    "status": "status(rpc)",
    "rpc_id": "rpc_id()",
    "randomf": "randomf(low, high)",
    "randomi": "randomi(low, high)",
    "min": "min(a, b)",
    "max": "max(a, b)",
    "current_time": "current_time()",
    "time_diff": "time_diff(later, earlier)",
    "encrypt": "encrypt(text, key)",
    "hmac": "hmac(text, key)",
    "compress": "compress(text)",
    "decompress": "decompress(text)",
    "matches": "matches(text, 'pattern')",
    "decrypt": "decrypt(text, key)",
}
