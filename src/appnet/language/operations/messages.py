"""Fields of messages, which functions of the RPC read, ask for and change, and the message as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Span
from appnet.diagnostics.remedy import Remedy, instead, near
from appnet.language import syntax
from appnet.language import typed as tree
from appnet.language.expressions import call_number_text, coerce, type_of
from appnet.language.messages import Field, MessageSchema, folded, spelled
from appnet.language.operations.built_in import BuiltIn, Chapter, SpecialForm
from appnet.language.operations.call import Call
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.scope import CheckError, Follows, Part, Scope
from appnet.language.typed import (
    ClearField,
    FieldValue,
    HasField,
    Literal,
    Local,
    Operate,
    SetField,
    SetReplyField,
    StatusText,
    Value,
)
from appnet.language.types import BOOL, BYTES, INT, NUMERIC, STRING, UINT, UNIT, MapType, VecType

DESTINATION = b"dst"
"""What programs set to choose the host of a request: a field that messages need not have, or metadata."""

_STATUS_TEXTS = frozenset({"status", "metastatus", "metaresponse"})
_CALL_NUMBER = "rpcid"
_BESIDE = "this is metadata: get_metadata(rpc, 'KEY'), set_metadata(rpc, 'KEY', value)"
_TWINS = {  # what public programs take from fields of their own messages, and the language knows itself
    **dict.fromkeys(("id", _CALL_NUMBER), "for a number of the call write rpc_id(), as text to_string(rpc_id())"),
    **dict.fromkeys(_STATUS_TEXTS, "for the gRPC status write status(rpc): 0 is success"),
    "method": "for the method's name write method()",
    **dict.fromkeys(("dst", "key", "load"), _BESIDE),
}
_INTEGER_TYPES = frozenset(
    {"int", "uint", "enum"}
    | {f"{sign}int{bits}" for sign in ("", "u", "s") for bits in (32, 64)}
    | {f"{sign}fixed{bits}" for sign in ("", "s") for bits in (32, 64)}
)
_FIELD_TYPES = _INTEGER_TYPES | {"string", "bytes", "bool", "float", "double"}


def get_field(call: Call, count: int) -> Value:
    """``get(rpc, 'field')`` of so many arguments."""
    path, span = _field_name(call, 1)
    said = _said_type(call.arguments[2]) if count == 3 else ""
    value = _pseudo_field(call, path, span)
    if value is not None:
        wanted = INT if said in _INTEGER_TYPES else call.want
        return coerce(value, wanted, call.node.span) if wanted in NUMERIC else value
    _message_in_hand(call)
    found = _field(call.scope, call.scope.message, path, span)
    return FieldValue(found.path, found.type)


def _said_type(node: syntax.Expression) -> str:
    """The type that a program gives a field."""
    said = node.value.decode("utf-8", "replace") if isinstance(node, syntax.Text) else ""
    if said not in _FIELD_TYPES:
        title = "the third argument is not needed"
        raise CheckError("E020", title, node.span, help_="remove it: the .proto has the field's type")
    return said


def _pseudo_field(call: Call, path: str, span: Span) -> Value | None:
    """What the public AppNet takes for a field of every message; None for others, and where the message has one."""
    message, name = call.scope.message, folded(path)
    own = spelled(message.fields, path) or path in message.unknown or _unusable(message, path)
    if own and not _has_no_message(call):
        return None
    if name == _CALL_NUMBER:
        return call_number_text()
    if name not in _STATUS_TEXTS:
        return None
    if name == "metaresponse":
        title, label = f"reading `{path}` does not count anything down", "it is only 'success' or 'failure'"
        help_ = "write the change in `resp`, such as `pending_req = pending_req - 1`"
        call.scope.found.warn("W021", title, span, label, help_)
    return _status_text(call)


def _status_text(call: Call) -> Value:
    """'success' or 'failure', hoisted into a local."""
    variable = StatusText("status_text", call.node.span, STRING)
    succeeded = Operate("eq", (Operate("status", (), INT), Literal(0, INT)), BOOL)
    arms = tuple(
        tree.Arm(pattern, (tree.SetLocal(variable, Literal(text, STRING)),))
        for pattern, text in ((tree.LiteralArm(Literal(True, BOOL)), b"success"), (tree.AnyArm(), b"failure"))
    )
    call.scope.hoisted.append(tree.Match(call.node.span, succeeded, arms))
    return Local(variable)


def set_reply_field(call: Call) -> Value:
    """``set(r, 'field', value)`` of a reply."""
    path, span = _field_name(call, 1)
    message = call.scope.signature.response
    _look_at_value(call, message, path)
    found = _field(call.scope, message, path, span)
    if found.within:
        title, label = f"`{path}` of a reply cannot be set", f"a reply begins with no `{found.within}`"
        raise CheckError("E045", title, span, label, "set a field of the reply itself")
    call.scope.hoisted.append(SetReplyField(found.path, call.typed(2, found.type), message.rivals(found.path)))
    return Operate("nothing", (), UNIT)


def _look_at_value(call: Call, message: MessageSchema, path: str) -> None:
    """Has what is wrong with the value told, though the type of its field is not known."""
    if path in message.unknown and not syntax.is_empty(call.arguments[2]):
        call.any(2)


def set_field(call: Call) -> Value:
    """``set(rpc, 'field', value)``."""
    path, span = _field_name(call, 1)
    if path == DESTINATION.decode() and (_has_no_message(call) or _find_field(call.scope.message.fields, path) is None):
        return choose_host(call, call.text(2))
    _message_in_hand(call)
    _look_at_value(call, call.scope.message, path)
    found = _field(call.scope, call.scope.message, path, span)
    rivals = call.scope.message.rivals(found.path)
    call.scope.hoisted.append(SetField(found.path, call.typed(2, found.type), rivals))
    return Operate("nothing", (), UNIT)


def choose_host(call: Call, host: Value) -> Value:
    """``set(rpc, 'dst', host)``: of a request; a response has no host to go to."""
    if call.scope.part in {Part.OPEN, Part.REQ}:
        call.scope.hoisted.append(tree.Route(host))
        return Operate("nothing", (), UNIT)
    help_ = "pick it in `open` or `req`"
    call.scope.found.warn("W006", "no host can be picked here", call.node.span, "of a response", help_)
    return Operate("set_metadata", (Literal(DESTINATION, STRING), host), UNIT)


def _has(call: Call) -> Value:
    """``has(rpc, 'field')``."""
    found = _asked_field(call)
    if not isinstance(found, Field):
        return HasField(found)
    if not found.presence:
        raise _no_presence(call, found)
    return HasField(found.path)


def _clear(call: Call) -> Value:
    """``clear(rpc, 'field')``."""
    found = _asked_field(call)
    if not isinstance(found, Field):
        call.scope.hoisted.append(ClearField(found, (found,)))
        return Operate("nothing", (), UNIT)
    if found.within:
        title, label = f"`{found.path}` cannot be cleared", f"each of `{found.within}` has one"
        help_, remedies = f"clear all of them: clear(rpc, '{found.within}')", instead(call.span(1), f"'{found.within}'")
        raise CheckError("E045", title, call.span(1), label, help_, remedies=remedies)
    message = call.scope.message
    call.scope.hoisted.append(ClearField(found.path, (*message.inside(found.path), *message.rivals(found.path))))
    return Operate("nothing", (), UNIT)


def field_size(call: Call) -> Value:
    """``size(rpc, 'field')``: of many messages, how many there are."""
    _message_in_hand(call)
    path, span = _field_name(call, 1)
    message = call.scope.message
    if message.assumed and path not in message.fields and path not in message.unknown:
        return FieldValue(path, UINT)
    found = _find_field(message.messages, path)
    if found is None or found.type != UINT:
        found = _field(call.scope, message, path, span)
    else:
        call.scope.mention(span, found)
        return FieldValue(found.path, UINT)
    value = FieldValue(found.path, found.type)
    if isinstance(found.type, VecType | MapType):
        return Operate("vec_size" if isinstance(found.type, VecType) else "map_size", (value,), UINT)
    if found.type in {STRING, BYTES}:
        return Operate("string_size", (value,), UINT)
    title, help_ = f"{found.type} has no size", "only strings, bytes and repeated fields have one"
    raise CheckError("E020", title, span, help_=help_)


def _byte_size(call: Call) -> Value:
    """``byte_size(rpc)``, ``byte_size(rpc, 'field')``, or of a value."""
    if call.count(1, 2) == 2:
        if not call.is_rpc():
            raise CheckError("E022", "`byte_size` of two arguments takes the RPC and a field", call.node.span)
        path, span = _field_name(call, 1)
        _message_in_hand(call)
        found = _field(call.scope, call.scope.message, path, span)
        value: Value = FieldValue(found.path, found.type)
    elif call.is_rpc():
        _message_in_hand(call)
        return Operate("message_size", (), UINT)
    else:
        value = call.any(0)
        span = call.span(0)
    if type_of(value, span) not in {STRING, BYTES}:
        title = f"{type_of(value, span)} has no size in bytes"
        raise CheckError("E020", title, span, help_="only only strings and bytes have one")
    return Operate("string_size", (value,), UINT)


def _has_no_message(call: Call) -> bool:
    return call.scope.part in {Part.OPEN, Part.END}


def _message_in_hand(call: Call) -> None:
    """Raises `CheckError` where a call begins or ends: there is no message then."""
    if not _has_no_message(call):
        return
    part = call.scope.part.value
    title = f"`{part}` sees no message, so it has no fields"
    when = "begins" if call.scope.part is Part.OPEN else "ends"
    help_ = "read it in `req` or `resp`, and keep it in a Map at rpc_id()"
    if call.scope.part is Part.OPEN:
        help_ = "read it in `req`; `open` has metadata, method(), authority(rpc), peer(rpc), deadline(rpc)"
    raise CheckError("E037", title, call.node.span, f"the call {when} here", help_)


def _asked_field(call: Call) -> Field | str:
    """The field that `has` or `clear` is about, be it a message; its path, where nothing is known of it."""
    call.in_handler()
    call.count(2)
    if not call.is_rpc():
        title = f"the first argument of `{call.name}` is the RPC"
        raise CheckError("E022", title, call.span(0), help_=f"write {call.usage}")
    _message_in_hand(call)
    path, span = _field_name(call, 1)
    message = call.scope.message
    found = _find_field(message.messages, path)
    if found is not None:
        call.scope.mention(span, found)
        return found
    if path in message.unknown or (message.assumed and path not in message.fields):
        return path
    found = _field(call.scope, message, path, span)
    return found.path if message.assumed else found


def _no_presence(call: Call, found: Field) -> CheckError:
    remedies: tuple[Remedy, ...] = ()
    if found.within:
        label, help_ = f"each of `{found.within}` has one", f"their number is size(rpc, '{found.within}')"
    elif found.many:
        label, size = "it is repeated, and may be empty", f"size({call.scope.rpc}, '{found.path}') > 0"
        help_, remedies = f"write {size}", instead(call.node.span, size)
    else:
        label = "set to its default and not set look the same on the wire"
        help_ = "compare the value, or make the field `optional` in the .proto"
    title = f"`has` does not work for `{found.path}`"
    return CheckError("E045", title, call.span(1), label, help_, remedies=remedies)


def _field_name(call: Call, index: int) -> tuple[str, Span]:
    node = call.arguments[index]
    if isinstance(node, syntax.Text):
        return node.value.decode("utf-8", "replace"), node.span
    if isinstance(node, syntax.Name) and call.scope.find(node.name) is None:
        return node.name, node.span  # public programs write set(rpc, dst, b)
    help_ = f"write {call.name}(rpc, 'field')"
    raise CheckError("E020", "a field's name is a string literal", node.span, help_=help_)


def _find_field(fields: Mapping[str, Field], path: str) -> Field | None:
    found = spelled(fields, path)
    return found[0] if len(found) == 1 else None


def _field(scope: Scope, message: MessageSchema, path: str, span: Span) -> Field:
    found = _find_field(message.fields, path)
    if found is not None:
        scope.mention(span, found)
        return found
    several = spelled(message.fields, path)
    if several:
        help_ = "write " + " or ".join(f"`{it.path}`" for it in several)
        title, remedies = (
            f"field `{path}` of {message.full_name} is ambiguous",
            instead(span, *(f"'{it.path}'" for it in several)),
        )
        raise CheckError("E014", title, span, "several fields match", help_, remedies=remedies)
    if path in message.unknown:
        raise Follows
    reason = _unusable(message, path)
    if reason:
        title = f"field `{path}` of {message.full_name} is not supported"
        raise CheckError("E015", title, span, reason, f"use another field: {_instead('', message)}")
    title = f"{message.full_name} has no field `{path}`"
    meant = near(span, path, message.fields, lambda it: f"'{it}'")
    raise CheckError("E014", title, span, help_=_instead(path, message), remedies=meant)


def _instead(path: str, message: MessageSchema) -> str:
    """What to write where the message has no such field that can be used."""
    known = suggestion(path, message.fields, what="fields") if message.fields else ""
    meant = _TWINS.get(folded(path), "") or ("" if known else _BESIDE)
    return "; ".join(it for it in (known, meant) if it)


def _unusable(message: MessageSchema, path: str) -> str:
    """Why the field, or the message around it, cannot be used; empty where that is not so."""
    wanted = folded(path)
    for name, reason in message.unsupported.items():
        if folded(name) == wanted:
            return reason
        if wanted.startswith(f"{folded(name)}.") and not any(it.startswith(f"{name}.") for it in message.fields):
            return f"it is inside `{name}`: {reason}"
    return ""


CHAPTERS = (
    Chapter(
        "Messages",
        (
            BuiltIn(
                "has",
                _has,
                forms=(
                    SpecialForm(
                        "has(rpc, 'field')",
                        "Whether the current message has the field: a message, a oneof member, or a field that the "
                        ".proto makes `optional`, as all of proto2. An error response has none.",
                        "set(rpc, 'title', '')\nhas(rpc, 'title')",
                    ),
                ),
            ),
            BuiltIn(
                "clear",
                _clear,
                forms=(
                    SpecialForm(
                        "clear(rpc, 'field')",
                        "Removes the field, whatever it is: a message with everything in it, a repeated field with all "
                        "items. It then reads as if the message never had it.",
                        "set(rpc, 'title', 'a')\nclear(rpc, 'title')\nnot has(rpc, 'title')",
                    ),
                ),
                elsewhere=("unset", "remove", "clear_field", "clearfield"),
            ),
            BuiltIn(
                "byte_size",
                _byte_size,
                (
                    Operation(
                        "message_size",
                        "() -> uint",
                        "byte_size(rpc)",
                        "The length of the current message in bytes, as received; 0 for an error response, and for a "
                        "reply that an element makes.",
                        "byte_size(rpc) == 0",
                        Effect.READS_MESSAGE,
                    ),
                ),
                (
                    SpecialForm(
                        "byte_size(rpc, 'field')",
                        "The length of a string or bytes field, in bytes.",
                        "set(rpc, 'text', 'é')\nbyte_size(rpc, 'text') == 2",
                    ),
                ),
            ),
        ),
    ),
)
