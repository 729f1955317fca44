"""What has to be known of a body before it is printed; found once, however many chains it is printed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from appnet.codegen.c.printer.lifetimes import Lifetimes, changed_containers, needed_locals
from appnet.codegen.c.printer.placement import Place, declared_at
from appnet.codegen.c.printer.reachable import reachable
from appnet.ir.nodes import Atom, Block, StateClass
from appnet.language.types import Type

_KEPT = 4096


@dataclass(frozen=True, eq=False)
class BodyFacts:
    """``body``: what is left of it to print. The others are what the functions of these names say of that."""

    body: Block
    lifetimes: Lifetimes
    changed: frozenset[tuple[type[Atom], str]]
    needed: frozenset[str]
    declared_at: Mapping[Place, list[tuple[str, Type, bool]]]


_Key = tuple[int, tuple[tuple[str, StateClass], ...]]
_known: OrderedDict[_Key, tuple[Block, BodyFacts]] = OrderedDict()


def facts_of(body: Block, classes: Mapping[str, StateClass]) -> BodyFacts:
    """The facts of a body that uses state of these classes.

    Bodies are told apart by identity: equal ones may differ in a literal, as 0.0 and -0.0 do.
    """
    key = (id(body), tuple(classes.items()))
    found = _known.get(key)
    if found is None:
        left = reachable(body)
        facts = BodyFacts(
            left,
            Lifetimes(left, classes),
            frozenset(changed_containers(left)),
            frozenset(needed_locals(left, classes)),
            declared_at(left),
        )
        found = _known[key] = (body, facts)  # with the body, so that no other takes its id
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return found[1]
