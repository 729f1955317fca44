"""Whether it can be told that calls begin at an element before, or after, their headers waited for its neighbour."""

from __future__ import annotations

from appnet.analysis.decision import Strength
from appnet.analysis.influence import clock_is_kept, clock_is_seen, compared
from appnet.ir.nodes import Element, Handler, StateClass
from appnet.ir.stages import can_end_call, holds_headers, only_forwards
from appnet.ir.walk import call_of, statements
from appnet.language.messages import MethodSignature
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS


def begins_elsewhere(element: Element, other: Element, method: MethodSignature, strength: Strength) -> bool:
    """Whether it can be told that ``element`` sees calls begin after ``other`` instead of before it."""
    if not holds_headers(other):
        return False
    if strength is Strength.STRONG and method.client_streaming and can_end_call(element.open):
        return True  # a caller who is silent is refused at once, or waits for ever behind who waits for a message
    begins = element.open is not None or only_forwards(element.req)
    if element.end is not None and begins and element.end.effects.state_written & compared(element, strength):
        return True  # a call that ends before its message comes has begun at the element, or not
    return element.open is not None and _depends_on_time(element.open, element, strength)


def _depends_on_time(handler: Handler, element: Element, strength: Strength) -> bool:
    """Whether it can be told when the handler runs: it changes state, or looks at what may change meanwhile."""
    effects = handler.effects
    of_class = {it: {state.name for state in element.state if state.state_class is it} for it in StateClass}
    told = compared(element, strength) - of_class[StateClass.RPC_SCOPED]  # which the call alone sees
    changing = (effects.state_written | effects.state_read - of_class[StateClass.READ_ONLY]) & told
    clock = effects.uses_time and (clock_is_seen(element) or any(clock_is_kept(element, it) for it in told))
    calls = (call for it in statements(handler.body) if (call := call_of(it)) is not None)
    counted = any(Effect.COUNTS_CALLS in OPERATIONS[it.op].effects for it in calls)
    return bool(changing or clock or counted or effects.reads_deadline or effects.sets_deadline)
