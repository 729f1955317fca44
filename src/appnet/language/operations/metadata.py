"""gRPC metadata: the headers and trailers that travel with messages."""

from __future__ import annotations

import re

from appnet.diagnostics.place import Label
from appnet.diagnostics.remedy import instead
from appnet.language.expressions import call_number_text, coerce
from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.call import Call, by_signature
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.operations.messages import DESTINATION, choose_host
from appnet.language.scope import CheckError, Findings, Part
from appnet.language.typed import Literal, Operate, Value
from appnet.language.types import BOOL, NUMERIC, STRING, UNIT

_KEY = re.compile(rb"[a-z0-9._-]+")
_TEXT = re.compile(rb"[\x20-\x7e]*")
_RESERVED = re.compile(rb"grpc-(?!retry-pushback-ms$).*|content-type|te|" + DESTINATION)

DELAY = "x-envoy-fault-delay-request"
"""Holds how many milliseconds Envoy's fault filter is to delay a request."""

PUBLIC_CALL_NUMBER = b"appnet-rpc-id"
"""The public AppNet has the number of the call in the metadata of this key; here reading it is `rpc_id()`."""

HOST = "x-appnet-host"
"""Holds the number, from 0, of the host that a request goes to; anything else is any host."""

NUMBER = "x-appnet-call"
"""Holds the number of the call, for modules of one proxy behind the one that counts."""

HIDDEN_KEYS = frozenset({DELAY, f"{DELAY}-percentage", HOST, NUMBER})
"""Headers that are between AppNet and its proxies: elements see none, and a caller's have no effect."""

STATUS_KEYS = frozenset({"grpc-status", "grpc-message", "grpc-status-details-bin"})
"""What carries a status and its text: elements see none, they have `status(rpc)`."""


def is_header_key(key: bytes) -> bool:
    """Whether handlers can set a header of this lower-case key."""
    return bool(_KEY.fullmatch(key)) and not _RESERVED.fullmatch(key) and not is_hidden_key(key)


def is_hidden_key(key: bytes) -> bool:
    """Whether no element sees headers of this lower-case key."""
    return not _KEY.fullmatch(key) or key.decode() in HIDDEN_KEYS | STATUS_KEYS


def is_header_value(value: bytes) -> bool:
    """Whether a header can carry the value."""
    return bool(_TEXT.fullmatch(value))


# --- what is said of keys and values that never match ------------------------------------------------------


def _literal(value: Value) -> bytes | None:
    """The text in lower case, where it is written out."""
    return value.value.lower() if isinstance(value, Literal) and isinstance(value.value, bytes) else None


_INSTEAD = {
    b":authority": "use `authority(rpc)`",
    b":path": "use `method()`",
    b"grpc-status": "use `status(rpc)` in `resp` or `end`",
}


_SAME = {b":authority": ("authority(rpc)",), b":path": ("method()",)}
_TO_SERVER = {Part.OPEN, Part.REQ}


def _warn_of_reading(call: Call, index: int, key: Value) -> None:
    """Tells of a key that reads as the empty text whatever the caller sends."""
    text = _literal(key)
    if text is None or not is_hidden_key(text):
        return
    help_ = _INSTEAD.get(text, "use a key of a-z, 0-9, `.`, `_` and `-`")
    if text.decode("latin-1") in HIDDEN_KEYS:
        help_ = "remove it: AppNet and its proxies use it internally"
    elif text in (b"grpc-message", b"grpc-status-details-bin"):
        help_ = "use `status(rpc)`: a status message is for people"
    elif text.startswith(b":"):
        help_ = _INSTEAD.get(text, "remove it: names with a colon are HTTP's own, not metadata")
    title = "metadata never has this key: it reads as the empty text"
    remedies = instead(call.node.span, *_SAME.get(text, ()))
    call.scope.found.warn("W010", title, call.span(index), "never present", help_, remedies=remedies)


def _warn_of_setting(call: Call, index: int, key: Value, value: Value | None) -> None:
    """Tells of a key, or of a value after it, with which nothing is set."""
    title = "this header is not set" if value is not None else "this header is not removed"
    text = _literal(key)
    if text is not None and not is_header_key(text):
        help_ = (
            "use a key of a-z, 0-9, `.`, `_` and `-`; `grpc-…`, `content-type` and `te` are gRPC's own, "
            f"`{DELAY}`, `{HOST}` and `{NUMBER}` the proxies'"
        )
        if text == b"grpc-timeout":
            help_ = "shorten the deadline: set_deadline(rpc, seconds)"
        call.scope.found.warn("W006", title, call.span(index), "programs cannot set this key", help_)
    if isinstance(value, Literal) and isinstance(value.value, bytes) and not is_header_value(value.value):
        help_ = "use printable ASCII: HTTP headers allow nothing else"
        call.scope.found.warn("W006", title, call.span(index + 1), "not a valid header value", help_)


def warn_of_two_messages(found: Findings) -> None:
    """Tells of keys that a request is given and that are looked for in its response, where they are not."""
    given = {key: span for part, what, key, span in reversed(found.metadata) if part in _TO_SERVER and what == "set"}
    there = {key for part, what, key, _ in found.metadata if (part, what) == (Part.RESP, "set")}
    for part, what, key, span in found.metadata:
        if (part, what) != (Part.RESP, "read") or key not in given or key in there:
            continue
        name = key.decode("latin-1")
        title = f"`{name}` is set in the request, but read in the response, which is another message"
        help_ = "keep it for the call in a Map: set(kept, rpc_id(), value), and get(kept, rpc_id(), '')"
        label = "what the server sends, if it does"
        found.warn("W011", title, span, label, help_, [Label(given[key], "set here, for the server")])


# --- calls -------------------------------------------------------------------------------------------------


def _get(call: Call, operation: Operation) -> Value:
    call.has_metadata()
    value = by_signature(call, operation)
    assert isinstance(value, Operate)
    index = len(call.arguments) - 1
    _warn_of_reading(call, index, value.arguments[0])
    call.scope.found.note_metadata(call.scope.part, "read", _literal(value.arguments[0]), call.span(index))
    return value


def _get_metadata(call: Call) -> Value:
    value = _get(call, _GET)
    assert isinstance(value, Operate)
    if _literal(value.arguments[0]) == PUBLIC_CALL_NUMBER:
        value = call_number_text()
    return coerce(value, call.want, call.node.span) if call.want in {*NUMERIC, BOOL} else value


def _get_metadata_all(call: Call) -> Value:
    return _get(call, _GET_ALL)


def _set_metadata(call: Call) -> Value:
    call.has_metadata()
    offset = call.after_rpc(2)
    key, value = call.typed(offset, STRING), call.text(offset + 1)
    if _literal(key) == DESTINATION:
        return choose_host(call, value)
    _warn_of_setting(call, offset, key, value)
    call.scope.found.note_metadata(call.scope.part, "set", _literal(key), call.span(offset))
    return Operate("set_metadata", (key, value), UNIT)


def _delete_metadata(call: Call) -> Value:
    call.has_metadata()
    value = by_signature(call, _DELETE)
    assert isinstance(value, Operate)
    _warn_of_setting(call, len(call.arguments) - 1, value.arguments[0], None)
    return value


def _of_response(call: Call, *parts: Part) -> None:
    """Raises `CheckError` where there is no response to have trailers: but in ``parts``."""
    call.in_handler()
    if call.scope.part not in parts:
        title = f"`{call.name}` works only in responses: requests have no trailers"
        raise CheckError("E036", title, call.node.span, help_="move it to `resp`; for a request use metadata")


def _get_trailer(call: Call) -> Value:
    _of_response(call, Part.RESP, Part.END)
    value = by_signature(call, _GET_TRAILER)
    assert isinstance(value, Operate)
    if call.scope.part is Part.END and _literal(value.arguments[0]) is None:
        title = "`end` sees trailers of keys that are written out: nothing else of a response is kept for it"
        help_ = "write the key as a literal, or look at the trailer in `resp` and keep it in a Map at rpc_id()"
        raise CheckError("E037", title, call.span(len(call.arguments) - 1), "computed", help_)
    _warn_of_reading(call, len(call.arguments) - 1, value.arguments[0])
    return coerce(value, call.want, call.node.span) if call.want in {*NUMERIC, BOOL} else value


def _set_trailer(call: Call) -> Value:
    _of_response(call, Part.RESP)
    offset = call.after_rpc(2)
    key, value = call.typed(offset, STRING), call.text(offset + 1)
    _warn_of_setting(call, offset, key, value)
    return Operate("set_trailer", (key, value), UNIT)


_SEEN = (
    "Keys are compared in lower case. Pseudo-headers (':…'), 'grpc-status', 'grpc-message', "
    f"'grpc-status-details-bin', '{DELAY}', '{HOST}' and '{NUMBER}' read as absent; the value of a '-bin' key is "
    "base64 text."
)
_LEFT_ALONE = (
    "It ignores reserved keys (':…', 'grpc-…' except 'grpc-retry-pushback-ms', 'content-type', 'te', 'dst', "
    f"'{DELAY}', '{HOST}', '{NUMBER}'), keys with characters outside [a-z0-9._-]"
)

_GET = Operation(
    "get_metadata",
    "(string) -> string",
    "get_metadata(rpc, 'key')",
    "The value in the metadata of the current message. If the key has several values, all of them, joined by ','; the "
    f"empty string if absent. {_SEEN}",
    "get_metadata(rpc, 'user') == 'ann'",
    Effect.READS_METADATA,
)
_GET_ALL = Operation(
    "get_metadata_all",
    "(string) -> Vec<string>",
    "get_metadata_all(rpc, 'key')",
    "The values of the key in the metadata of the current message, in order; no item if absent.",
    "users = get_metadata_all(rpc, 'user')\nget(users, 0, '') == 'ann' and size(users) == 1",
    Effect.READS_METADATA,
)
_DELETE = Operation(
    "delete_metadata",
    "(string) -> unit",
    "delete_metadata(rpc, 'key')",
    f"Removes all values of the key from the metadata of the current message. {_LEFT_ALONE}.",
    "delete_metadata(rpc, 'user')\nget_metadata(rpc, 'user') == ''",
    Effect.WRITES_METADATA,
)
_GET_TRAILER = Operation(
    "get_trailer",
    "(string) -> string",
    "get_trailer(rpc, 'key')",
    "In `resp`, the value in the trailing metadata of the response, like get_metadata for leading metadata. Trailers "
    "come last: a message of a stream has none yet, except those that handlers set. The trailers of an error "
    "without a message are also its metadata. In `end`, for a key that is a literal, the value with which the response "
    "left the element on its way to the caller.",
    "get_trailer(rpc, 'cost') == ''",
    Effect.READS_TRAILERS,
    block="resp",
)
_SET_TRAILER = Operation(
    "set_trailer",
    "(string, string) -> unit",
    "set_trailer(rpc, 'key', value)",
    "In `resp`, sets the value in the trailing metadata of the response, and replaces all values of the key. "
    f"{_LEFT_ALONE}, and values with bytes outside 0x20-0x7e.",
    "set_trailer(rpc, 'cost', '7')\nget_trailer(rpc, 'cost') == '7'",
    Effect.WRITES_TRAILERS,
    block="resp",
)

CHAPTERS = (
    Chapter(
        "Metadata",
        (
            function(_GET, _get_metadata, aliases=("get_rpc_header",)),
            function(_GET_ALL, _get_metadata_all),
            function(
                Operation(
                    "set_metadata",
                    "(string, string) -> unit",
                    "set_metadata(rpc, 'key', value)",
                    "Sets the value in the metadata of the current message, and replaces all values of the key; "
                    "'' is a value like any other. An error or reply that the handler sends later "
                    f"has it, too. {_LEFT_ALONE}, and values with bytes outside 0x20-0x7e. "
                    "The literal key 'dst' in req picks the host, as set(rpc, 'dst', host) does.",
                    "set_metadata(rpc, 'user', 'bob')\nget_metadata(rpc, 'user') == 'bob'",
                    Effect.WRITES_METADATA,
                ),
                _set_metadata,
                aliases=("set_rpc_header",),
            ),
            function(_DELETE, _delete_metadata),
            function(_GET_TRAILER, _get_trailer),
            function(_SET_TRAILER, _set_trailer),
        ),
    ),
)
