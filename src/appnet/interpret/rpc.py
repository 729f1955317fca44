"""An RPC as handlers see it, and what a chain decides about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from appnet.interpret.values import Value, absent_value, copy_value, hold
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.operations.metadata import HIDDEN_KEYS, is_header_key, is_header_value, is_hidden_key

Headers = dict[str, bytes]
"""Metadata: by lower-case key the value, or `Repeated` values."""

WALL_AHEAD_NS = 1_700_000_000_000_000_000
"""The wall clock of whatever is run without a proxy, ahead of its monotonic clock."""

_MOST_DIGITS = 20  # more make a number that no host has
_MOST_WAIT = 86_400.0  # seconds, of one delay


def whole_milliseconds(seconds: float) -> int:
    """How long a delay of so many seconds is."""
    return 0 if math.isnan(seconds) else int(min(max(seconds, 0.0), _MOST_WAIT) * 1e3)


class Repeated(bytes):
    """The values of a key that came several times; as one text they are joined by ``,``."""

    values: tuple[bytes, ...]

    def __new__(cls, *values: bytes) -> Repeated:
        """Of these values, in their order."""
        made = super().__new__(cls, b",".join(values))
        made.values = values
        return made

    def __eq__(self, other: object) -> bool:
        """They are not the same as one value that has commas in it."""
        return isinstance(other, Repeated) and self.values == other.values

    def __hash__(self) -> int:
        """Of all values."""
        return hash(self.values)


def values_of(text: bytes) -> tuple[bytes, ...]:
    """The values that a key has."""
    return text.values if isinstance(text, Repeated) else (text,)


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
    """The caller gets this gRPC status, with this metadata, in the place of an answer."""

    code: int
    text: bytes
    metadata: Headers = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """The caller gets a reply of the chain: a response of these fields, by path; the others have their defaults."""

    fields: dict[str, Value]
    metadata: Headers = field(default_factory=dict)
    trailers: Headers = field(default_factory=dict)


Outcome = Forwarded | Refused | Answered


@dataclass
class Message:
    """The message in hand, with the headers that travel with it.

    ``fields``: dotted path to value; an absent field reads as its default.
    ``status``: the gRPC status of a response; other than 0 it is an error response, in which fields read as
    defaults and writing one has no effect. ``made_here``: a response that an element of the chain made, with the
    metadata that elements gave it. ``trailers``: of a response; where all of it comes at once, as an error does that
    no message went before, they are its metadata, the same dict; of one that has ``begun`` before its status came,
    they stand before what has come by then, and what is set goes there. ``told``: what the handler that runs has set,
    which goes with what it sends instead of the message.
    """

    schema: MessageSchema
    fields: dict[str, Value] = field(default_factory=dict)
    metadata: Headers = field(default_factory=dict)
    status: int = 0
    made_here: bool = False
    written: dict[str, Value] = field(default_factory=dict)
    trailers: Headers = field(default_factory=dict)
    begun: bool = False
    told: Headers = field(default_factory=dict)

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
        """The values of the key, joined; empty where absent or hidden."""
        return b",".join(self.get_metadata_all(key))

    def get_metadata_all(self, key: bytes) -> tuple[bytes, ...]:
        """The values of the key."""
        key = key.lower()
        if self.made_here and key == b"content-type":
            return (b"application/grpc",)
        late = self._values(self.trailers, key) if self.begun else ()
        return late or self._values(self.metadata, key)

    def get_trailer(self, key: bytes) -> bytes:
        """The values of the key in the trailers, joined."""
        key = key.lower()
        return b",".join(self._values(self.trailers, key)) if is_header_key(key) else b""

    def set_metadata(self, key: bytes, value: bytes) -> None:
        """Sets the header; reserved keys and what HTTP cannot carry are left alone."""
        key = key.lower()
        if self._set(self.trailers if self.begun else self.metadata, key, value) and self.begun:
            self.metadata.pop(key.decode(), None)

    def set_trailer(self, key: bytes, value: bytes) -> None:
        """Sets the trailer, likewise."""
        self._set(self.trailers, key.lower(), value)

    def delete_metadata(self, key: bytes) -> None:
        """Takes the header away, unless its key is reserved."""
        key = key.lower()
        if is_header_key(key):
            for headers in (self.metadata, self.trailers) if self.begun else (self.metadata,):
                headers.pop(key.decode(), None)
            self.told.pop(key.decode(), None)

    def _values(self, headers: Headers, key: bytes) -> tuple[bytes, ...]:
        name = key.decode("latin-1")
        return () if is_hidden_key(key) or name not in headers else values_of(headers[name])

    def _set(self, headers: Headers, key: bytes, value: bytes) -> bool:
        fits = is_header_key(key) and is_header_value(value)
        if fits:
            headers[key.decode()] = value
            self.told[key.decode()] = value
        return fits


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
    waits before it goes on. ``deadline_ns``: when the call ends, by the monotonic clock, if it has a deadline; the
    chain reads it from the metadata, and whoever runs the chain ends the call then. ``timeout_ns``: how much of it the
    request takes along, where a handler has shortened it. ``response_begun``: whether the response's metadata came
    before its end; ``response_passed``: whether a message of it has gone on, so that an error can only end it.
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
    response_trailers: Headers = field(default_factory=dict)
    authority: bytes = b""
    peer: bytes = b""
    deadline_ns: int | None = None
    shortened: bool = False
    timeout_ns: int | None = None
    response_begun: bool = False
    response_passed: bool = False

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
