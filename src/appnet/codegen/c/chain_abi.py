"""``chain.h`` in Python: the table that a chain exports to hosts that have decoded messages, and what it names."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Mapping
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    Union,
    c_bool,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

ABI = 3
REQUEST, RESPONSE, REPLY = range(3)  # an_direction, an_metadata_map and an_part agree on them
FORWARD, REFUSE, ANSWER = range(3)  # an_verdict
NOT_MANY, ITEMS, ENTRIES, MESSAGES, KEYED_MESSAGES = range(5)  # an_many
NO_DEADLINE = 2**64 - 1
NO_MEMORY = 2 ** (8 * ctypes.sizeof(c_size_t)) - 1  # the count of values that could not be had

KINDS = (
    "bool", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "enum", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "float", "double", "string", "bytes", "message",
)  # fmt: skip
"""The kinds of fields by their numbers in ``an_field_kind``."""

MEMBERS: Mapping[str, str] = {
    "bool": "b", "float": "f", "double": "f", "string": "s", "bytes": "s",
    **dict.fromkeys(("uint32", "uint64", "fixed32", "fixed64"), "u"),
    **dict.fromkeys(("int32", "int64", "sint32", "sint64", "sfixed32", "sfixed64", "enum"), "i"),
}  # fmt: skip
"""Where a `Value` holds each kind."""


class View(Structure):
    """Bytes of somebody else's."""

    _fields_ = (("data", c_void_p), ("size", c_size_t))
    data: int | None
    size: int

    def read(self) -> bytes:
        """A copy of them."""
        return ctypes.string_at(self.data, self.size) if self.size and self.data else b""


def view_of(kept: ctypes.Array[ctypes.c_char], size: int) -> View:
    """The first bytes of a buffer, which the caller keeps."""
    return View(ctypes.addressof(kept), size)


NowNs = CFUNCTYPE(c_uint64, c_void_p)
MetadataGet = CFUNCTYPE(c_bool, c_void_p, c_int, View, POINTER(View))
MetadataSet = CFUNCTYPE(None, c_void_p, c_int, View, View)
MetadataValues = CFUNCTYPE(c_size_t, c_void_p, c_int, View, POINTER(View), c_size_t)
MetadataRemove = CFUNCTYPE(None, c_void_p, c_int, View)
Peer = CFUNCTYPE(c_bool, c_void_p, POINTER(View))
EndAt = CFUNCTYPE(None, c_void_p, c_uint64)


class Services(Structure):
    """What a host gives."""

    _fields_ = (
        ("host", c_void_p),
        ("now_ns", NowNs),
        ("wall_ns", NowNs),
        ("metadata_get", MetadataGet),
        ("metadata_set", MetadataSet),
        ("metadata_values", MetadataValues),
        ("metadata_remove", MetadataRemove),
        ("peer", Peer),
        ("end_at", EndAt),
    )


class Entry(Structure):
    """One of the metadata that elements gave to an error or a reply."""


Entry._fields_ = (("next", POINTER(Entry)), ("key", View), ("value", View))


def read_entries(first: Any) -> dict[str, bytes]:
    """The list, in its order."""
    found: dict[str, bytes] = {}
    while first:
        entry = first.contents
        found[entry.key.read().decode()] = entry.value.read()
        first = entry.next
    return found


class Options(Structure):
    """What an instance is told when it is made."""

    _fields_ = (
        ("seed", c_uint64),
        ("max_message", c_uint32),
        ("backend_count", c_uint32),
        ("resource", View),
        ("keeper", c_void_p),
    )


class Value(Union):
    """A number or a text; `MEMBERS` says where."""

    _fields_ = (("b", c_bool), ("i", c_int64), ("u", c_uint64), ("f", c_double), ("s", View))


class Slot(Structure):
    """A field's value while handlers run."""

    _fields_ = (("value", Value), ("present", c_bool), ("written", c_bool), ("cleared", c_bool))


class FieldTable(Structure):
    """A field that the chain reads or writes."""

    _fields_ = (
        ("numbers", POINTER(c_uint32)),
        ("depth", c_uint8),
        ("kind", c_uint8),
        ("many", c_uint8),
        ("key_kind", c_uint8),
        ("packed", c_bool),
        ("groups", c_uint16),
        ("within", c_uint16),
        ("type", c_void_p),
        ("oneofs", c_void_p),
        ("names", c_void_p),
    )


class SideTable(Structure):
    """What the handlers of one direction need."""

    _fields_ = (
        ("fields", POINTER(FieldTable)),
        ("absent", c_void_p),
        ("field_count", c_size_t),
        ("needs_message", c_bool),
        ("needs_status", c_bool),
        ("holds", c_bool),
        ("empty", c_bool),
        ("streams", c_bool),
        ("quiet", c_bool),
    )


class MethodTable(Structure):
    """A method, with the fields of its messages."""

    _fields_ = (
        ("path", View),
        ("request", SideTable),
        ("response", SideTable),
        ("reply", SideTable),
        ("on_open", c_void_p),
        ("on_request", c_void_p),
        ("on_response", c_void_p),
        ("on_end", c_void_p),
        ("on_trailers", c_void_p),
    )


_Take = CFUNCTYPE(c_void_p, c_void_p, POINTER(c_size_t))


class ChainTable(Structure):
    """``an_chain``."""

    _fields_ = (
        ("abi", c_uint32),
        ("size", c_uint32),
        ("name", c_char_p),
        ("version", c_char_p),
        ("methods", POINTER(MethodTable)),
        ("method_count", c_size_t),
        ("instance_new", CFUNCTYPE(c_void_p, POINTER(Services), POINTER(Options))),
        ("instance_free", CFUNCTYPE(None, c_void_p)),
        ("call_new", CFUNCTYPE(c_void_p, c_void_p, c_size_t, c_void_p)),
        ("call_free", CFUNCTYPE(None, c_void_p)),
        ("message_new", CFUNCTYPE(POINTER(Slot), c_void_p, c_int, c_size_t)),
        ("give_values", CFUNCTYPE(c_bool, c_void_p, c_int, c_size_t, POINTER(Value), c_size_t)),
        ("judge_open", CFUNCTYPE(c_int, c_void_p)),
        ("judge_request", CFUNCTYPE(c_int, c_void_p)),
        ("judge_response", CFUNCTYPE(c_int, c_void_p)),
        ("end_response", CFUNCTYPE(c_int, c_void_p, c_int32)),
        ("reply", CFUNCTYPE(POINTER(Slot), c_void_p)),
        ("values", CFUNCTYPE(POINTER(Value), c_void_p, c_int, c_size_t, POINTER(c_size_t))),
        ("refusal", CFUNCTYPE(c_int32, c_void_p, POINTER(View))),
        ("own_metadata", CFUNCTYPE(POINTER(Entry), c_void_p)),
        ("own_trailers", CFUNCTYPE(POINTER(Entry), c_void_p)),
        ("deadline_ns", CFUNCTYPE(c_uint64, c_void_p)),
        ("destination", CFUNCTYPE(c_int64, c_void_p)),
        ("wait_ms", CFUNCTYPE(c_uint64, c_void_p)),
        ("telemetry_take", _Take),
        ("telemetry_pending", CFUNCTYPE(c_bool, c_void_p)),
        ("state_dump", _Take),
        ("release", CFUNCTYPE(None, c_void_p)),
    )


def open_library(binary: bytes) -> ctypes.CDLL:
    """A shared library, opened; it stays so as long as the process lives. Raises OSError where it is none."""
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(binary)
        file.flush()
        return ctypes.CDLL(file.name)
