"""Where the locals of a body are declared: in the innermost block that holds all their uses."""

from __future__ import annotations

from collections.abc import Iterator

from appnet.ir.nodes import Block, Foreach, Let, Local, Match
from appnet.ir.walk import atoms_of, binders, statements
from appnet.language.types import Type

Step = tuple[int, int]
"""The number of an arm (0 in a body or a loop), and the index of a statement in its block."""

Place = tuple[Step, ...]
"""A statement: the steps to it from the start of the body."""


def declared_at(body: Block) -> dict[Place, list[tuple[str, Type, bool]]]:
    """The locals bound by `Let` alone that are declared just before a statement: name, type.

    The third says that the statement itself is their first binding, and can declare them with its value.
    """
    places: dict[str, Place] = {}
    types: dict[str, Type] = {}
    bindings: dict[str, set[Place]] = {}
    for place, local, binds in _occurrences(body, ()):
        if binds:
            types[local.name] = local.type
            bindings.setdefault(local.name, set()).add(place)
        before = places.get(local.name)
        places[local.name] = place if before is None else _common(before, place)
    found: dict[Place, list[tuple[str, Type, bool]]] = {}
    scoped = _bound_elsewhere(body)
    for name, type_ in types.items():
        if name in scoped:
            continue
        place = places[name]
        found.setdefault(place, []).append((name, type_, place in bindings[name]))
    return found


def _occurrences(block: Block, path: Place, arm: int = 0) -> Iterator[tuple[Place, Local, bool]]:
    for index, statement in enumerate(block.statements):
        place = (*path, (arm, index))
        for atom in atoms_of(statement):
            if isinstance(atom, Local):
                yield place, atom, False
        if isinstance(statement, Let):
            yield place, statement.local, True
        elif isinstance(statement, Foreach):
            yield from _occurrences(statement.body, place)
        elif isinstance(statement, Match):
            for number, one in enumerate(statement.arms):
                yield from _occurrences(one.body, place, number)


def _bound_elsewhere(body: Block) -> set[str]:
    """The names that a pattern or a loop binds: they are declared there, whatever else they are bound to."""
    others = (statement for statement in statements(body) if not isinstance(statement, Let))
    return {local.name for statement in others for local in binders(statement)}


def _common(a: Place, b: Place) -> Place:
    """The first statement, in the innermost block that holds both, that holds one of them."""
    for depth, (one, other) in enumerate(zip(a, b, strict=False)):
        if one[0] != other[0]:
            return a[:depth]
        if one[1] != other[1]:
            return (*a[:depth], min(one, other))
    return min(a, b, key=len)
