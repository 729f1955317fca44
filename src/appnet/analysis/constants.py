"""The values of state that no handler writes, where `init` gives them the same ones on every run."""

from __future__ import annotations

from appnet.interpret import ChainInstance, Environment
from appnet.interpret.values import Value
from appnet.ir.nodes import Block, Consistency, Element, StateClass
from appnet.ir.walk import call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS

_DIFFERS = Effect.RANDOM | Effect.TIME | Effect.READS_BACKENDS


def constants(element: Element) -> dict[str, Value]:
    """Read-only variables by name; empty where `init` draws, asks for the time or for backends.

    What outlives its instance, or is shared with others, is left out: another version's `init` may have set it.
    """
    if _can_differ(element.init):
        return {}
    state = ChainInstance([element], Environment(lambda: 0)).state_of(element.name)
    return {
        it.name: state[it.name]
        for it in element.state
        if it.state_class is StateClass.READ_ONLY and it.consistency is Consistency.LOCAL and not it.persistent
    }


def _can_differ(init: Block) -> bool:
    calls = (call_of(statement) for statement in statements(init))
    return any(call is not None and OPERATIONS[call.op].effects & _DIFFERS for call in calls)
