"""What an element asks of the place where it runs.

One worker loses nothing of any element. Where several workers share no state, as in a wasm proxy, state loses nothing
that lives in the call (rpc-scoped), that is sent away record by record, or that `init` makes the same in each
(read-only). Counters and general state would be each worker's own, and what counts a processor's calls would count the
worker's alone: such an element needs `Need.ONE_STATE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from appnet.ir.nodes import (
    Block,
    Consistency,
    Const,
    Element,
    Handler,
    Refuse,
    SetState,
    State,
    StateClass,
    StateVariable,
)
from appnet.ir.state_classes import uses_call_number
from appnet.ir.walk import atoms_of, call_of, statements
from appnet.language.messages import MethodSignature
from appnet.language.operations.declaration import OF_DEADLINES, OF_METADATA, Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.statuses import STATUS_CODES, status_name


class Need(Enum):
    """Something that a place gives, or does not. Grows with the first processor that lacks it."""

    REPLY = "reply"
    """The element answers calls with messages of its own."""
    ROUTE = "route"
    """It chooses the host that a call goes to."""
    DELAY = "delay"
    """It holds calls back for a while."""
    STREAM = "stream"
    """It judges each message of a stream as it comes."""
    PEER = "peer"
    """It asks who the caller proved to be, which is known where the caller's connection ends."""
    ONE_STATE = "one state"
    """It keeps what has to be the same for all workers."""
    METADATA = "metadata"
    """It reads or writes metadata, or reads what connections tell: whom the caller addressed, and who it is."""
    STATUS = "status"
    """It refuses calls with a status code that it names."""
    DEADLINE = "deadline"
    """It reads or shortens the deadlines of calls."""
    HOSTS = "hosts"
    """It looks at the hosts that calls may go to."""
    UNION = "union"
    """It stands on calls whose messages have maps or oneofs."""
    CHANGE_REQUEST = "change request"
    """It writes to requests."""
    CHANGE_RESPONSE = "change response"
    """It writes to responses, or refuses them."""
    SIZE = "size"
    """It asks how long messages are on the wire."""
    SHARED_STATE = "shared state"
    MERGED_STATE = "merged state"
    """It shares state with all other instances (`ir.sharing`). Where it cannot, each keeps its own, of which a warning
    tells: it is none of `needs`."""


Capability = frozenset[Need]
"""What a place gives."""


@dataclass(frozen=True)
class Asked:
    """One thing that an element asks for. ``name``: the variable or function that does, if one does; ``cause``: why."""

    need: Need
    name: str
    cause: str


_CAUSES = {
    StateClass.COUNTER: "counter: each worker would count only its own calls",
    StateClass.GENERAL: "general state: each worker would have its own",
}
_DRAWS = Effect.RANDOM | Effect.TIME
_OF_CONNECTIONS = ("authority", "peer")
_CODES_OF_ANY_DENIAL = frozenset(STATUS_CODES[it] for it in ("ABORTED", "PERMISSION_DENIED"))
"""ABORTED is what `err` says where the program names no code."""


def needs(element: Element, method: MethodSignature) -> tuple[Asked, ...]:
    """All that the element asks of its place, on the calls of ``method``."""
    return (*_of_calls(element, method), *one_state(element))


def one_state(element: Element) -> tuple[Asked, ...]:
    """The parts that each worker would have for itself: where there are none, any number of workers means the same."""
    return (*_state(element), *_counting(element))


def _of_calls(element: Element, method: MethodSignature) -> Iterator[Asked]:
    asking = [it.effects for it in (element.open, element.req) if it is not None]
    if element.req.effects.can_reply:
        yield Asked(Need.REPLY, "reply", "it replies with its own message")
    if any(it.chooses_host for it in asking):
        yield Asked(Need.ROUTE, "", "it picks the host")
    if any(it.delays for it in asking):
        yield Asked(Need.DELAY, "delay", "it delays calls")
    if method.client_streaming or method.server_streaming:
        yield Asked(Need.STREAM, "", f"`{method.full_name}` is a stream")
    if "peer" in _used(element):
        yield Asked(Need.PEER, "peer", "it asks who the caller is")
    if _writes(element.req):
        yield Asked(Need.CHANGE_REQUEST, "", "it writes to requests")
    if _writes(element.resp) or element.resp.effects.can_refuse or element.resp.effects.can_drop:
        yield Asked(Need.CHANGE_RESPONSE, "", "it writes to responses, or refuses them")
    yield from _of_transport(element)
    yield from _of_messages(method)


def _writes(handler: Handler) -> bool:
    return any(it.written or it.cleared for it in handler.effects.fields)


def _of_transport(element: Element) -> Iterator[Asked]:
    """What it asks of the protocol that carries the calls."""
    for name in _used(element):
        effects = OPERATIONS[name].effects
        function = OPERATIONS[name].function
        if effects & OF_METADATA:
            yield Asked(Need.METADATA, function, "it uses metadata")
        elif name in _OF_CONNECTIONS:
            yield Asked(Need.METADATA, function, "it asks what the connection tells")
        if effects & OF_DEADLINES:
            yield Asked(Need.DEADLINE, function, "it uses the deadline")
        if effects & Effect.READS_BACKENDS:
            yield Asked(Need.HOSTS, function, "it looks at the hosts")
        if effects & Effect.READS_MESSAGE:
            yield Asked(Need.SIZE, function, "it asks for the length of the message")
    for code in sorted(set(_named_codes(element)) - _CODES_OF_ANY_DENIAL):
        yield Asked(Need.STATUS, "err", f"it refuses calls with {status_name(code)}")


def _named_codes(element: Element) -> Iterator[int]:
    """The codes of its refusals but for those of operations that failed, which no program names."""
    failed = [f"{name} failed in {element.name}".encode() for name in _used(element) if OPERATIONS[name].fallible]
    for it in (one for body in element.bodies for one in statements(body)):
        if isinstance(it, Refuse) and not (isinstance(it.message, Const) and it.message.value in failed):
            yield it.code


def _of_messages(method: MethodSignature) -> Iterator[Asked]:
    for message in (method.request, method.response):
        for one in message.all_fields():
            if one.key_kind or any(one.oneofs):
                kind = "is a map" if one.key_kind else "is in a oneof"
                yield Asked(Need.UNION, "", f"`{one.path}` of {message.full_name} {kind}")
                break


def _state(element: Element) -> Iterator[Asked]:
    drawn = drawn_by_init(element.init)
    for variable in element.state:
        if variable.state_class in _CAUSES:
            yield Asked(Need.ONE_STATE, variable.name, _CAUSES[variable.state_class])
        elif variable.state_class is StateClass.READ_ONLY and variable.name in drawn:
            cause = "`init` may give each worker another value: it draws random numbers, or reads the clock"
            yield Asked(Need.ONE_STATE, variable.name, cause)


def own_state(element: Element) -> tuple[StateVariable, ...]:
    """What each instance of a processor has for itself, so that it can be told from what another instance has.

    Not among it: what is shared (`@consistency`), lives in the call, is sent away record by record, or is made the
    same by every `init`.
    """
    own = {it.name for it in _state(element)}
    return tuple(it for it in element.state if it.name in own and it.consistency is Consistency.LOCAL)


def asks_for_hosts(element: Element) -> bool:
    """Whether it looks at hosts, or may choose one: only the client's side has several."""
    return any(it.effects.reads_backends or it.effects.chooses_host for it in element.handlers.values())


def drawn_by_init(init: Block) -> frozenset[str]:
    """State that `init` computes, if it draws or asks for the time at all."""
    effects = [OPERATIONS[call.op].effects for it in statements(init) if (call := call_of(it))]
    if not any(it & _DRAWS for it in effects):
        return frozenset()
    found: set[str] = set()
    for it in statements(init):
        if isinstance(it, SetState) and not isinstance(it.value, Const):
            found.add(it.state.name)
        elif call_of(it) is not None:
            found.update(atom.name for atom in atoms_of(it) if isinstance(atom, State))
    return frozenset(found)


def in_calls(element: Element) -> frozenset[str]:
    """The state that lives in the call."""
    return frozenset(it.name for it in element.state if it.state_class is StateClass.RPC_SCOPED)


def uses_number(element: Element) -> bool:
    """Whether the number of the call counts as a value, not only as the place of what lives in the call."""
    return any(uses_call_number(body, in_calls(element)) for body in (element.init, *element.bodies))


def _counting(element: Element) -> Iterator[Asked]:
    if uses_number(element):
        yield Asked(Need.ONE_STATE, "rpc_id", "the number of a call would be unique only within one worker")
    for name in _used(element):
        if Effect.COUNTS_CALLS in OPERATIONS[name].effects:
            yield Asked(Need.ONE_STATE, OPERATIONS[name].function, "each worker would count only its own calls")


def _used(element: Element) -> list[str]:
    """The operations that it uses, in the order in which they are declared."""
    bodies = (element.init, *element.bodies)
    used = {call.op for body in bodies for it in statements(body) if (call := call_of(it))}
    return [name for name in OPERATIONS if name in used]
