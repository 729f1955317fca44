"""What ties an element to the side of the wire where it was written: all that the other side would see differently.

Between the sides lies a wire that takes time, can fail, and joins so many instances of one side to so many of the
other. An element without ties may run on either side, and nobody can tell on which (docs/optimizer.md, "Sides").
What is refused before the wire cannot be lost on it; a call that the wire lost may or may not have reached an element
behind it, and calls that overlap may reach shared state in either order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from appnet.analysis.decision import Strength
from appnet.analysis.influence import clock_is_kept, clock_is_seen
from appnet.analysis.properties import ANY, Properties
from appnet.analysis.wire_errors import Told, told
from appnet.ir.needs import in_calls, own_state
from appnet.ir.nodes import Block, Element, StateClass
from appnet.ir.stages import can_end_call, holds_headers, only_forwards
from appnet.ir.state_classes import uses_call_number
from appnet.ir.walk import call_of, statements
from appnet.language.messages import MethodSignature
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.types import MapType


class Tied(Enum):
    """What ties an element to its side."""

    HOSTS = "hosts"
    STATE = "state"
    CLOCK = "clock"
    ERRORS = "errors of the wire"
    SIZE = "size of messages"
    DEADLINE = "deadline"
    METADATA = "metadata"
    WAIT = "wait"
    CALL_NUMBER = "number of the call"
    CALL = "the call"
    STREAM = "stream"
    ANSWERS = "answers"


@dataclass(frozen=True)
class Tie:
    """One thing that ties an element to its side. ``cause``: in words, what it does and why that ties it."""

    kind: Tied
    cause: str


SAME_ON_BOTH_SIDES = frozenset({"method"})
"""Of what operations read of the call, what every place on its way sees alike."""

_PROXIES_OWN = re.compile(
    r":.*|grpc-(?!previous-rpc-attempts|retry-pushback-ms).*|content-.*"
    r"|x-envoy-.*|x-forwarded-.*|x-b3-.*|x-ot-.*|x-request-id|x-client-trace-id|traceparent|tracestate|b3"
    r"|te|host|via|server|date|dst|forwarded|connection|keep-alive|proxy-connection|transfer-encoding|upgrade"
)
"""Keys of metadata that proxies set, change or remove, by themselves or as an operator has them do."""

_ERRORS = {
    Told.REPLACED: "its `resp` may replace errors that happen on the wire",
    Told.MARKED: "its `resp` sets metadata, also on errors that happen on the wire",
    Told.COUNTED: "it distinguishes errors from other responses, and some errors happen on the wire",
}


def ties(element: Element, method: MethodSignature, properties: Properties, strength: Strength | None) -> Iterator[Tie]:
    """What ties the element to its side, on calls of the method. ``strength`` None: only what it cannot run without.

    `Strength.WEAK` lets state that each instance has for itself follow its element to the other side.
    """
    request, response = properties.request, properties.response
    if request.backends or response.backends or request.chooses_host:
        yield Tie(Tied.HOSTS, "it looks at hosts or picks one, and only the client's side has several")
    if strength is None:
        return
    if strength is Strength.STRONG:
        for name in following(element):
            yield Tie(Tied.STATE, f"each instance has its own `{name}`, and the sides have different instances")
        if _notes_at_start(element):
            yield Tie(Tied.STATE, "`init` records each instance, and the sides have different ones")
    yield from _clock(element, properties, strength)
    yield from _deadline(properties)
    yield from _errors(element, properties)
    yield from _metadata(properties)
    if request.reads_size or response.reads_size:
        yield Tie(Tied.SIZE, "it reads the size of messages, which includes what other elements write before the wire")
    if request.delays:
        yield Tie(Tied.WAIT, "it delays requests, which elements on either side of the wire could notice")
    yield from _call(element, strength)
    if method.client_streaming or method.server_streaming:
        yield from _stream(element, method, properties)


def following(element: Element) -> tuple[str, ...]:
    """The variables that are not tied under `Strength.WEAK` alone: they follow the element to the other side."""
    return tuple(it.name for it in own_state(element))


def ends_calls(properties: Properties) -> bool:
    """Whether a call may end at the element on its way to the server."""
    return properties.request.can_end


def ends_before_messages(element: Element) -> bool:
    """Whether a call may end at the element before any message of it came."""
    return can_end_call(element.open)


def notices_messages(element: Element, properties: Properties, strength: Strength) -> bool:
    """Whether it can be told at the element that messages came, of a call that ends behind it at its beginning.

    Across the wire they come before it is known that the call is over; beside the element that ends it, they do not.
    """
    if holds_headers(element) or only_forwards(element.req):
        return False
    written = element.req.effects.state_written | element.resp.effects.state_written
    lasting = written - in_calls(element)
    if strength is Strength.WEAK:
        lasting &= properties.influencing
    return bool(lasting or told(element))


def notices_answers(element: Element, properties: Properties, strength: Strength) -> bool:
    """Whether it can be told at the element when an answer comes: at once, or after what happened meanwhile.

    So it is where `resp` uses state that lasts, or reads the clock, and where the element asks how many calls are
    under way. Under `Strength.WEAK` only what shows in a verdict or a message counts.
    """
    used = properties.response.state_read | properties.response.state_written
    lasting = {it.name for it in element.state if it.state_class is StateClass.GENERAL} & used
    asks_time = properties.response.time
    if strength is Strength.WEAK:
        lasting &= properties.influencing
        asks_time = asks_time and (properties.by_hand or clock_is_seen(element))
    return bool(lasting) or asks_time or Effect.COUNTS_CALLS in _effects(element)


def _clock(element: Element, properties: Properties, strength: Strength) -> Iterator[Tie]:
    before, after = properties.request.time, properties.response.time
    if before and after:
        yield Tie(Tied.CLOCK, "it measures time, which includes the time on the wire")
    elif before or after:
        kept = any(clock_is_kept(element, it) for it in following(element))
        follows = strength is Strength.WEAK and not properties.by_hand and (kept or not clock_is_seen(element))
        if not follows:
            yield Tie(Tied.CLOCK, "it reads the clock, and a call reaches the other side at another time")


def _deadline(properties: Properties) -> Iterator[Tie]:
    request, response = properties.request, properties.response
    if request.reads_deadline or response.reads_deadline:
        yield Tie(Tied.DEADLINE, "it reads the time that a call has left, which is less behind the wire")
    if request.sets_deadline or response.sets_deadline:
        yield Tie(Tied.DEADLINE, "it shortens deadlines, which count from when a call reaches it")


def _errors(element: Element, properties: Properties) -> Iterator[Tie]:
    response = properties.response
    if properties.by_hand:
        flags = {
            Told.REPLACED: response.can_end,
            Told.MARKED: bool(response.metadata_written),
            Told.COUNTED: response.reads_status,
        }
        found = frozenset(it for it, is_so in flags.items() if is_so)
    else:
        found = told(element)
    yield from (Tie(Tied.ERRORS, words) for it, words in _ERRORS.items() if it in found)


def _metadata(properties: Properties) -> Iterator[Tie]:
    both = (properties.request, properties.response)
    used = frozenset[str]().union(*(it.metadata_read | it.metadata_written for it in both))
    for key in sorted(used):
        if key == ANY:
            yield Tie(Tied.METADATA, "it computes metadata keys, and proxies set and remove some keys")
        elif _PROXIES_OWN.fullmatch(key):
            yield Tie(Tied.METADATA, f"proxies set or remove the metadata `{key}`")


def _call(element: Element, strength: Strength) -> Iterator[Tie]:
    numbered = in_calls(element)
    if strength is Strength.WEAK:  # a Map that follows may be told by numbers of its own side
        numbered |= {it.name for it in own_state(element) if isinstance(it.type, MapType)}
    if any(uses_call_number(it, numbered) for it in element.bodies):
        yield Tie(Tied.CALL_NUMBER, "it passes on `rpc_id()`, which differs on the other side")
    for name in sorted(_used(element)):
        operation = OPERATIONS[name]
        if Effect.READS_CALL in operation.effects and name not in SAME_ON_BOTH_SIDES | {"rpc_id"}:
            yield Tie(Tied.CALL, f"`{operation.function}` may return something else on the other side")


def _stream(element: Element, method: MethodSignature, properties: Properties) -> Iterator[Tie]:
    for streams, handler in ((method.client_streaming, element.req), (method.server_streaming, element.resp)):
        if not streams:
            continue
        it = handler.effects
        if it.metadata_read or it.metadata_written or it.trailers_read or it.trailers_written:
            yield Tie(Tied.STREAM, "metadata crosses the wire only with the first message of a stream")
        if can_end_call(handler):
            yield Tie(Tied.STREAM, "it may end a stream when more or less of it has crossed the wire")
    if method.client_streaming:
        general = {it.name for it in element.state if it.state_class is StateClass.GENERAL}
        lasting = in_calls(element) | (general - set(following(element)))
        asking, answering = element.req.effects, properties.response
        used = [it.state_read | it.state_written for it in (asking, answering)]
        written = asking.state_written | answering.state_written
        for name in sorted(lasting & used[0] & used[1] & written):
            yield Tie(Tied.STREAM, f"`{name}` shows in which order messages of both directions met")


def _notes_at_start(element: Element) -> bool:
    return any(it.state_class is StateClass.RECORD for it in element.state) and "vec_append" in _operations(
        element.init
    )


def _used(element: Element) -> set[str]:
    return set().union(*map(_operations, element.bodies))


def _operations(body: Block) -> set[str]:
    return {call.op for it in statements(body) if (call := call_of(it)) is not None}


def _effects(element: Element) -> Effect:
    found = Effect.PURE
    for name in _used(element):
        found |= OPERATIONS[name].effects
    return found
