"""Whether a state variable can ever show, by what the handlers mean, where their text says that it might."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import z3

from appnet.analysis.constants import constants
from appnet.analysis.execute import any_state
from appnet.analysis.pair import SymbolicPair
from appnet.analysis.store import Store, SymbolicMessage
from appnet.analysis.symbols import BITS, FALSE, Symbolic, Term, World, both, either, equal_all, negated
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature


def seen_differences(element: Element, method: MethodSignature, hidden: frozenset[str]) -> Iterator[tuple[World, Term]]:
    """For each handler, when anything else can come out differently because of what the ``hidden`` variables hold.

    If that is never, two instances that differ in these variables alone do so for ever, and nobody can tell.
    """
    for handler in element.handlers:
        world = World()
        pair = SymbolicPair(element, element, method, world)
        one = pair.states["first"]
        another = any_state(element, "other", world, constants(element))
        other = {name: another[name] if name in hidden else value for name, value in one.items()}
        message = pair.message("response" if handler == "resp" else "request")
        if handler == "end":
            message = replace(message, status=z3.BitVec("status at the end", BITS))
        a, b = (pair.run("first", handler, state, message) for state in (one, other))
        yield world, _differ(world, a, b, hidden)


def _differ(world: World, a: Store, b: Store, hidden: frozenset[str]) -> Term:
    def differ(one: Symbolic, other: Symbolic) -> Term:
        return negated(equal_all(world, one, other))

    found = either(differ(a.forwards(), b.forwards()), differ(a.answered, b.answered))
    found = either(found, both(a.refused, either(differ(a.code, b.code), differ(a.text, b.text))))
    for one, other in zip(a.told.terms(), b.told.terms(), strict=True):
        found = either(found, both(either(a.refused, a.answered), differ(one, other)))
    passes = both(a.forwards(), b.forwards())
    for one, other in zip(_parts(a.message), _parts(b.message), strict=True):
        found = either(found, both(passes, differ(one, other)))
    for path, value in a.reply.items():
        unlike = either(differ(value, b.reply[path]), differ(a.set_in_reply[path], b.set_in_reply[path]))
        found = either(found, both(a.answered, unlike))
    for name, value in a.state.items():
        found = either(found, FALSE if name in hidden else differ(value, b.state[name]))
    return found


def _parts(message: SymbolicMessage) -> list[Symbolic]:
    headers = [*message.metadata.terms(), *message.trailers.terms()]
    sent_on = [message.destination, message.wait, message.deadline]
    return [
        *message.fields.values(),
        *message.written.values(),
        *message.present.values(),
        *message.cleared.values(),
        *headers,
        *sent_on,
    ]
