"""What an element does to RPCs and to its state, for each direction: inferred, or written by hand in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from appnet.analysis.constants import constants
from appnet.analysis.influence import influencing
from appnet.interpret.values import Value
from appnet.ir.nodes import Atom, Call, Const, Element, Handler, HandlerEffects, State, StateClass
from appnet.ir.walk import call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS

ANY = "*"
"""Stands for every key among the metadata of `HandlerProperties`: a key that is computed."""


@dataclass(frozen=True)
class HandlerProperties:
    """One direction. Fields are dotted paths of its message, metadata lower-case keys or `ANY`, state names.

    Trailers count as metadata: of an error they are the same.
    """

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    metadata_read: frozenset[str] = frozenset()
    metadata_written: frozenset[str] = frozenset()
    state_read: frozenset[str] = frozenset()
    state_written: frozenset[str] = frozenset()
    refuses: bool = False
    drops: bool = False
    replies: bool = False
    reads_status: bool = False
    reads_size: bool = False
    random: bool = False
    time: bool = False
    backends: bool = False
    chooses_host: bool = False
    delays: bool = False
    reads_deadline: bool = False
    sets_deadline: bool = False

    @property
    def can_end(self) -> bool:
        """Whether an RPC may end here instead of going on."""
        return self.refuses or self.drops or self.replies

    def joined(self, other: HandlerProperties) -> HandlerProperties:
        """What two handlers do together."""
        pairs = {it.name: (getattr(self, it.name), getattr(other, it.name)) for it in fields(self)}
        return HandlerProperties(**{name: one | two for name, (one, two) in pairs.items()})


@dataclass(frozen=True)
class Properties:
    """Both directions of one element: `open` with `req`, and `resp` with `end`.

    ``influencing``: state that can influence a verdict or a message; the rest is record-only.
    ``by_hand``: whether any of it was overridden.
    """

    element: str
    request: HandlerProperties
    response: HandlerProperties
    state: Mapping[str, StateClass] = field(default_factory=dict)
    influencing: frozenset[str] = frozenset()
    by_hand: bool = False

    def lasting(self) -> frozenset[str]:
        """State that handlers write and that outlives a call."""
        written = self.request.state_written | self.response.state_written
        return frozenset(it for it in written if self.state.get(it) is not StateClass.RPC_SCOPED)


def infer(element: Element) -> Properties:
    """The properties of the element, from its code; what stands on paths that cannot be taken counts too."""
    known = constants(element)
    return Properties(
        element.name,
        _handlers([element.open, element.req], known),
        _handlers([element.resp, element.end], known),
        {it.name: it.state_class for it in element.state},
        influencing(element),
    )


def _handlers(handlers: Iterable[Handler | None], known: Mapping[str, Value]) -> HandlerProperties:
    found = HandlerProperties()
    for it in handlers:
        found = found.joined(_handler(it, known)) if it is not None else found
    return found


def _handler(handler: Handler, known: Mapping[str, Value]) -> HandlerProperties:
    effects: HandlerEffects = handler.effects
    calls = [call for statement in statements(handler.body) if (call := call_of(statement)) is not None]
    return HandlerProperties(
        reads=frozenset(it.path for it in effects.fields if it.read or it.asked),
        writes=effects.fields_cleared | {it.path for it in effects.fields if it.written or it.cleared},
        metadata_read=_keys(calls, Effect.READS_METADATA | Effect.READS_TRAILERS, known),
        metadata_written=_keys(calls, Effect.WRITES_METADATA | Effect.WRITES_TRAILERS, known),
        state_read=effects.state_read,
        state_written=effects.state_written,
        refuses=effects.can_refuse,
        drops=effects.can_drop,
        replies=effects.can_reply,
        reads_status=effects.reads_status,
        reads_size=effects.reads_size,
        random=effects.uses_random,
        time=effects.uses_time,
        backends=effects.reads_backends,
        chooses_host=effects.chooses_host,
        delays=effects.delays,
        reads_deadline=effects.reads_deadline,
        sets_deadline=effects.sets_deadline,
    )


def _keys(calls: list[Call], effects: Effect, known: Mapping[str, Value]) -> frozenset[str]:
    return frozenset(_key(call.args[0], known) for call in calls if OPERATIONS[call.op].effects & effects)


def _key(atom: Atom, known: Mapping[str, Value]) -> str:
    if isinstance(atom, Const):
        value: Value = atom.value
    elif isinstance(atom, State) and atom.name in known:
        value = known[atom.name]
    else:
        return ANY
    return bytes(value).lower().decode("latin-1")
