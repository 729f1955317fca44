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

from appnet.ir.nodes import Block, Consistency, Const, Element, SetState, State, StateClass, StateVariable
from appnet.ir.state_classes import uses_call_number
from appnet.ir.walk import atoms_of, call_of, statements
from appnet.language.messages import MethodSignature
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS


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
    ONE_STATE = "one state"
    """It keeps what has to be the same for all workers."""


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


def _state(element: Element) -> Iterator[Asked]:
    drawn = _drawn(element.init)
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


def _drawn(init: Block) -> set[str]:
    """State that `init` computes, if it draws or asks for the time at all."""
    effects = [OPERATIONS[call.op].effects for it in statements(init) if (call := call_of(it))]
    if not any(it & _DRAWS for it in effects):
        return set()
    found: set[str] = set()
    for it in statements(init):
        if isinstance(it, SetState) and not isinstance(it.value, Const):
            found.add(it.state.name)
        elif call_of(it) is not None:
            found.update(atom.name for atom in atoms_of(it) if isinstance(atom, State))
    return found


def in_calls(element: Element) -> frozenset[str]:
    """The state that lives in the call."""
    return frozenset(it.name for it in element.state if it.state_class is StateClass.RPC_SCOPED)


def uses_number(element: Element) -> bool:
    """Whether the number of the call counts as a value, not only as the place of what lives in the call."""
    return any(uses_call_number(body, in_calls(element)) for body in (element.init, *element.bodies))


def _counting(element: Element) -> Iterator[Asked]:
    bodies = (element.init, *element.bodies)
    if uses_number(element):
        yield Asked(Need.ONE_STATE, "rpc_id", "the number of a call would be unique only within one worker")
    used = {call.op for body in bodies for it in statements(body) if (call := call_of(it))}
    for name, operation in OPERATIONS.items():
        if name in used and Effect.COUNTS_CALLS in operation.effects:
            yield Asked(Need.ONE_STATE, operation.function, "each worker would count only its own calls")
