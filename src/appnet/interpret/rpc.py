"""An RPC as handlers see it, and what a chain decides about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from appnet.interpret.values import Value, absent_value, copy_value, each_absent, hold, is_named
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
    """The message goes on.

    ``cleared``: the fields that it loses first, by path; ``written``: those that handlers wrote, with the values they
    now have.
    """

    written: dict[str, Value]
    cleared: frozenset[str] = frozenset()


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


def put(fields: dict[str, Value], schema: MessageSchema, path: str, held: Value) -> None:
    """Sets a field of a message, and that the messages around it are there; for a Vec or Map with nothing in it they
    are only made where a oneof tells which one counts."""
    fields[path] = held
    field_ = schema.field(path)
    if not field_.within and (held not in ([], {}) or field_.oneofs):
        fields.update(dict.fromkeys(schema.around(path), True))


@dataclass
class Message:
    """The message in hand, with the headers that travel with it.

    ``fields``: dotted path to value; an absent field reads as its default. A message that is there has true, of many
    there is their number; where these are left out, what is inside tells. ``size``: in bytes, as it came.
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
    size: int = 0
    cleared: set[str] = field(default_factory=set)
    trailers: Headers = field(default_factory=dict)
    begun: bool = False
    told: Headers = field(default_factory=dict)

    def read(self, path: str) -> Value:
        """The value of the field; its default in an error response. Of many messages, how many there are."""
        field_ = self.schema.field(path)
        if self.status:
            return absent_value(field_)
        if field_.is_message:
            return self._count(path)
        if path in self.fields:
            return copy_value(self.fields[path])
        return each_absent(field_, self._count(field_.within)) if field_.within else absent_value(field_)

    def has(self, path: str) -> bool:
        """Whether the field is there; never in an error response."""
        if self.status or path in self.fields:
            return not self.status
        return any(value not in ([], {}) and self.schema.field(it).is_inside(path) for it, value in self.fields.items())

    def write(self, path: str, value: Value, clears: Iterable[str] = ()) -> None:
        """Sets the field, as its kind in the .proto holds it, and clears others; in an error response, nothing.

        Nor where a closed enum has no name for a number, or where many messages have another number of values.
        """
        field_ = self.schema.field(path)
        held = hold(value, field_)
        if self.status or not is_named(held, field_):
            return
        if field_.within and (len(held) != len(self.read(path)) or not held):
            return
        for rival in clears:
            self._lose(rival, field_.within)
        put(self.fields, self.schema, path, held)
        self.written[path] = held

    def clear(self, path: str, clears: Iterable[str]) -> None:
        """Takes the field away, if it is there; in an error response, nothing."""
        if self.status or not any(self.schema.field(it).is_inside(path) for it in self.fields):
            return
        for it in clears:
            self._lose(it, "")
        self.cleared.update(self.schema.inside(path))

    def values(self) -> dict[str, Value]:
        """The fields of scalars that it has."""
        return {path: it for path, it in self.fields.items() if path in self.schema.fields}

    def outcome(self) -> Forwarded:
        """What becomes of the message where it goes on. What is inside a field that is cleared is not told of, nor what
        is written anyway."""
        schema = self.schema
        lost = {
            it
            for it in self.cleared
            if not any(it != other and schema.field(it).is_inside(other) for other in self.cleared)
        }
        written = [schema.field(it) for it in self.written]
        lost -= {it for it in lost if it in self.written or any(schema.field(it).is_rival(other) for other in written)}
        return Forwarded(self.written, frozenset(lost))

    def _count(self, path: str) -> int:
        """How many messages there are."""
        if path in self.fields:
            return int(self.fields[path])
        known = ((self.schema.field(it), value) for it, value in self.fields.items())
        inside = [value for it, value in known if it.within == path and not it.many and not it.is_message]
        return max(map(len, inside), default=0)

    def _lose(self, path: str, within: str) -> None:
        """The field is there no more: in the message or, if it stands ``within`` many, in none of them."""
        field_ = self.schema.field(path)
        if within and field_.within == within and not field_.is_message and path in self.fields:
            self.fields[path] = each_absent(field_, self._count(within))
        elif self.fields.pop(path, None) is not None and not within:
            self.cleared.add(path)
        self.written.pop(path, None)

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

    ``message`` and ``metadata`` are the request's, and handlers change them. Before the chain is asked about the
    response, the caller puts the response's in ``message`` and ``response_metadata``; in a stream, about each message
    the same way. ``rpc_id`` is 0 until the chain gives the call its number, ``backend`` is the host that the call
    counts for. ``opened``: how many elements, from the first on, let the call begin; ``begun``: how many let a message
    pass. ``refused_by``: the number of the element that ended it. ``statuses``: with which gRPC status the call ended,
    for elements by number that the response passed; ``trailers``: with which trailers. ``routed``: whether handlers
    chose a host, and ``destination`` which, if it is one; ``wait_ms``: for how many milliseconds the request waits
    before it goes on. ``size``: of the message in hand as it came, in bytes. ``drawn_as``: the number that coupled
    draws depend on, where that is not ``rpc_id``: so two instances, which number calls on their own, draw alike for one
    call.
    ``deadline_ns``: when the call ends, by the monotonic clock, if it has a deadline; the
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
    trailers: dict[int, Headers] = field(default_factory=dict)
    backend: int | None = None
    routed: bool = False
    destination: int | None = None
    wait_ms: int = 0
    size: int = 0
    drawn_as: int | None = None
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
