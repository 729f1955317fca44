"""An RPC as handlers see it, and what a chain decides about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from appnet.interpret.values import Value, absent_value, copy_value, hold
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.operations.metadata import HIDDEN_KEYS, is_header_key, is_header_value, is_hidden_key

WALL_AHEAD_NS = 1_700_000_000_000_000_000
"""The wall clock of whatever is run without a proxy, ahead of its monotonic clock."""

_MOST_DIGITS = 20  # more make a number that no host has
_MOST_WAIT = 86_400.0  # seconds, of one delay


def whole_milliseconds(seconds: float) -> int:
    """How long a delay of so many seconds is."""
    return 0 if math.isnan(seconds) else int(min(max(seconds, 0.0), _MOST_WAIT) * 1e3)


@dataclass
class Environment:
    """What a processor instance gives its elements.

    ``now_ns``: the monotonic clock. ``wall_ahead_ns``: what the wall clock, which counts from the Unix epoch, is ahead
    of it. ``backend_count``: hosts of the upstream cluster, numbered from 0.
    ``coupled``: an element's draws for a call depend on nothing but the element, the call and the handler, so that
    chains of the same elements in another order can be compared (docs/analysis.md).
    """

    now_ns: Callable[[], int]
    seed: int = 0
    backend_count: int = 0
    coupled: bool = False
    wall_ahead_ns: int = WALL_AHEAD_NS


@dataclass(frozen=True)
class Forwarded:
    """The message goes on. ``written``: the fields that handlers wrote, by path, with the values they now have."""

    written: dict[str, Value]


@dataclass(frozen=True)
class Refused:
    """The caller gets this gRPC status in the place of an answer."""

    code: int
    text: bytes


@dataclass(frozen=True)
class Answered:
    """The caller gets a reply of the chain: a response of these fields, by path; the others have their defaults."""

    fields: dict[str, Value]


Outcome = Forwarded | Refused | Answered


@dataclass
class Message:
    """The message in hand, with the headers that travel with it.

    ``fields``: dotted path to value; an absent field reads as its default.
    ``status``: the gRPC status of a response; other than 0 it is an error response, in which fields read as
    defaults and writing one has no effect. ``made_here``: a response that an element of the chain made;
    it has no headers, and setting one has no effect.
    """

    schema: MessageSchema
    fields: dict[str, Value] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    status: int = 0
    made_here: bool = False
    written: dict[str, Value] = field(default_factory=dict)

    def read(self, path: str) -> Value:
        """The value of the field; its default in an error response."""
        absent = absent_value(self.schema.fields[path])
        return absent if self.status else copy_value(self.fields.get(path, absent))

    def write(self, path: str, value: Value, clears: Iterable[str] = ()) -> None:
        """Sets the field, as its kind in the .proto holds it, and clears others; in an error response, nothing."""
        if self.status:
            return
        for rival in clears:
            self.fields.pop(rival, None)
            self.written.pop(rival, None)
        self.fields[path] = self.written[path] = hold(value, self.schema.fields[path])

    def get_metadata(self, key: bytes) -> bytes:
        """The header's value; empty where absent or hidden."""
        key = key.lower()
        return b"" if self.made_here or is_hidden_key(key) else self.metadata.get(key.decode("latin-1"), b"")

    def set_metadata(self, key: bytes, value: bytes) -> None:
        """Sets the header; reserved keys and what HTTP cannot carry are left alone."""
        key = key.lower()
        if self.made_here or not is_header_key(key) or not is_header_value(value):
            return
        self.metadata[key.decode()] = value


@dataclass
class Rpc:
    """One call.

    ``message`` and ``metadata`` are the request's, and handlers change them. Before the chain is asked about
    the response, the caller puts the response's in ``message`` and ``response_metadata``; in a stream, about
    each message the same way. ``rpc_id`` is 0 until the chain gives the call its number, ``backend`` is the host
    that the call counts for. ``opened``: how many elements, from the first on, let the call begin; ``begun``: how many
    let a message pass. ``refused_by``: the number of the element that ended it. ``statuses``: with which gRPC status
    the call ended, for elements by number that the response passed. ``routed``: whether
    handlers chose a host, and ``destination`` which, if it is one; ``wait_ms``: for how many milliseconds the request
    waits before it goes on. ``drawn_as``: the number that coupled draws depend on, where that is not ``rpc_id``: so
    two instances, which number calls on their own, draw alike for one call.
    """

    signature: MethodSignature
    message: dict[str, Value] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    response_metadata: dict[str, bytes] = field(default_factory=dict)
    rpc_id: int = 0
    opened: int = 0
    begun: int = 0
    refused_by: int | None = None
    ended: bool = False
    statuses: dict[int, int] = field(default_factory=dict)
    backend: int | None = None
    routed: bool = False
    destination: int | None = None
    wait_ms: int = 0
    drawn_as: int | None = None

    def route(self, host: bytes, count: int) -> None:
        """Chooses the host that the text names in decimal, of so many; any other text names none."""
        number = int(host.lstrip(b"0")[:_MOST_DIGITS] or b"0") if host.isdigit() else count
        self.routed = True
        self.destination = number if number < count else None

    def delay(self, seconds: float) -> None:
        """Has the request wait so much longer."""
        self.wait_ms += whole_milliseconds(seconds)

    def drop_hidden(self) -> None:
        """Takes away what a caller has no business to tell a proxy."""
        for key in HIDDEN_KEYS:
            self.metadata.pop(key, None)
