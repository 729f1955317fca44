"""gRPC metadata: the headers that travel with a message."""

from __future__ import annotations

import re

from appnet.language.expressions import call_number_text, coerce
from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.call import Call, by_signature
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.operations.messages import DESTINATION, choose_host
from appnet.language.typed import Literal, Operate, Value
from appnet.language.types import BOOL, NUMERIC, STRING, UNIT

_KEY = re.compile(rb"[a-z0-9._-]+")
_TEXT = re.compile(rb"[\x20-\x7e]*")
_RESERVED = re.compile(rb"grpc-.*|content-type|te|" + DESTINATION)

DELAY = "x-envoy-fault-delay-request"
"""Holds how many milliseconds Envoy's fault filter is to delay a request."""

PUBLIC_CALL_NUMBER = b"appnet-rpc-id"
"""The public AppNet has the number of the call in the metadata of this key; here reading it is `rpc_id()`."""

HOST = "x-appnet-host"
"""Holds the number, from 0, of the host that a request goes to; anything else is any host."""

HIDDEN_KEYS = frozenset({DELAY, f"{DELAY}-percentage", HOST})
"""Headers that are between AppNet and its proxies: elements see none, and a caller's have no effect."""


def is_header_key(key: bytes) -> bool:
    """Whether handlers can set a header of this lower-case key."""
    return bool(_KEY.fullmatch(key)) and not _RESERVED.fullmatch(key) and not is_hidden_key(key)


def is_hidden_key(key: bytes) -> bool:
    """Whether no element sees headers of this lower-case key."""
    return key.decode("latin-1") in HIDDEN_KEYS


def is_header_value(value: bytes) -> bool:
    """Whether a header can carry the value."""
    return bool(_TEXT.fullmatch(value))


def _get_metadata(call: Call) -> Value:
    value = by_signature(call, _GET)
    if isinstance(value, Operate) and _is_literal(value.arguments[0], PUBLIC_CALL_NUMBER):
        value = call_number_text()
    return coerce(value, call.want, call.node.span) if call.want in {*NUMERIC, BOOL} else value


def _is_literal(key: Value, text: bytes) -> bool:
    return isinstance(key, Literal) and isinstance(key.value, bytes) and key.value.lower() == text


def _set_metadata(call: Call) -> Value:
    call.has_metadata()
    offset = call.after_rpc(2)
    key, value = call.typed(offset, STRING), call.text(offset + 1)
    if _is_literal(key, DESTINATION):
        return choose_host(call, value)
    title = "this header is not set"
    if isinstance(key, Literal) and isinstance(key.value, bytes) and not is_header_key(key.value.lower()):
        help_ = (
            "take a key of a-z, 0-9, `.`, `_` and `-`; `grpc-…`, `content-type` and `te` are gRPC's own, "
            f"`{DELAY}` and `{HOST}` the proxies'"
        )
        call.scope.found.warn("W006", title, call.span(offset), "no key that programs can set", help_)
    if isinstance(value, Literal) and isinstance(value.value, bytes) and not is_header_value(value.value):
        help_ = "take printable ASCII: HTTP carries nothing else"
        call.scope.found.warn("W006", title, call.span(offset + 1), "no value that a header can carry", help_)
    return Operate("set_metadata", (key, value), UNIT)


_GET = Operation(
    "get_metadata",
    "(string) -> string",
    "get_metadata(rpc, 'key')",
    "The value in the headers of the message in hand, lower-case key; the empty string where absent, as "
    f"'{DELAY}' and '{HOST}' always are.",
    "get_metadata(rpc, 'user') == 'ann'",
    Effect.READS_METADATA,
)

CHAPTERS = (
    Chapter(
        "Metadata",
        (
            function(_GET, _get_metadata, aliases=("get_rpc_header",)),
            function(
                Operation(
                    "set_metadata",
                    "(string, string) -> unit",
                    "set_metadata(rpc, 'key', value)",
                    "Sets the value in the headers of the message in hand, lower-case key. Left alone are "
                    f"reserved keys (':…', 'grpc-…', 'content-type', 'te', 'dst', '{DELAY}', '{HOST}'), keys not of "
                    "[a-z0-9._-], and values not of 0x20-0x7e. "
                    "The literal key 'dst' in req chooses the host, as set(rpc, 'dst', host) does.",
                    "set_metadata(rpc, 'user', 'bob')\nget_metadata(rpc, 'user') == 'bob'",
                    Effect.WRITES_METADATA,
                ),
                _set_metadata,
                aliases=("set_rpc_header",),
            ),
        ),
    ),
)
