"""When the beginning of a call reaches which element of its chain, as language.md has it.

A call begins with its headers. They reach the first element at once, and each other one when the element before it has
let them go: after its `open`, and where its `req` can end the call or touches what travels in the headers, after its
first `req` as well. Nothing of this depends on how a chain is cut into modules.
"""

from __future__ import annotations

from collections.abc import Sequence

from appnet.ir.nodes import Block, Element, Forward, Handler
from appnet.language.messages import MethodSignature

_FORWARDS = Block((Forward(),))


def only_forwards(handler: Handler | None) -> bool:
    """Whether the handler, if there is one, does nothing else."""
    return handler is None or handler.body == _FORWARDS


def can_end_call(handler: Handler | None) -> bool:
    """Whether a call may end in the handler instead of going on."""
    return handler is not None and (handler.effects.can_refuse or handler.effects.can_drop or handler.effects.can_reply)


def holds_headers(element: Element) -> bool:
    """Whether a call's headers wait for the element's first `req`."""
    effects = element.req.effects
    touches = effects.metadata_read or effects.metadata_written or effects.sets_deadline
    return can_end_call(element.req) or touches or effects.chooses_host or effects.delays


def holds_response(handler: Handler) -> bool:
    """Whether a response waits for the handler, which may refuse or change it."""
    effects = handler.effects
    return can_end_call(handler) or effects.metadata_written or any(it.written or it.cleared for it in effects.fields)


def headers_come_ahead(before: Sequence[Element], method: MethodSignature) -> bool:
    """Whether the headers of a call leave these elements while a message is still to pass them."""
    return judged_at_headers(before, method) < len(before) and not holds_headers(before[-1])


def judged_at_headers(elements: Sequence[Element], method: MethodSignature, *, ahead: bool = False) -> int:
    """How many elements, from the first on, need no more than the headers for their `req`.

    It looks at no field, and the method has one request: nobody can tell whether that was there. ``ahead``: the headers
    may come while a message is still to pass elements before these, which are to see it first.
    """
    if method.client_streaming or ahead:
        return 0
    readers = (number for number, it in enumerate(elements) if it.req.effects.reads_message)
    return next(readers, len(elements))


def reached_together(elements: Sequence[Element], start: int) -> int:
    """Up to which element the headers come at once where they reach ``start``: the first that holds them, or the last;
    as the number behind it."""
    holding = (number + 1 for number in range(start, len(elements)) if holds_headers(elements[number]))
    return next(holding, len(elements))
