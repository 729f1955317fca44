"""What a chain counts of its calls for its metrics: a cell for each row, reply and status of a refusal."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from appnet.codegen.c.printer.text import literal
from appnet.ir.nodes import Block, Foreach, Match, Statement
from appnet.ir.rows import arm_number

if TYPE_CHECKING:
    from appnet.codegen.c.printer.context import ElementContext

_STATUSES = 17
_KEPT = 4096


@dataclass(frozen=True)
class Hit:
    """Stands first in an arm of a printed body, and counts that the row was taken. No program has it."""

    row: str


_known: OrderedDict[int, tuple[Block, Block]] = OrderedDict()


def counted(body: Block) -> Block:
    """The body with a `Hit` in each arm; the same object for the same body."""
    found = _known.get(id(body))
    if found is None:
        found = _known[id(body)] = (body, _counted(body, ""))  # with the body, so that no other takes its id
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return found[1]


def _counted(block: Block, prefix: str) -> Block:
    return Block(tuple(_statements(block, prefix)))


def _statements(block: Block, prefix: str) -> Iterator[Statement]:
    number = 0
    for statement in block.statements:
        if isinstance(statement, Match | Foreach):
            number += 1
        place = f"{prefix}{number}"
        match statement:
            case Match(arms=arms):
                numbers = [arm_number(place, index) for index in range(len(arms))]
                bodies = [_counted(arm.body, f"{row}.") for arm, row in zip(arms, numbers, strict=True)]
                yield replace(
                    statement,
                    arms=tuple(
                        replace(arm, body=Block((cast("Statement", Hit(row)), *body.statements)))
                        for arm, row, body in zip(arms, numbers, bodies, strict=True)
                    ),
                )
            case Foreach(body=body):
                yield replace(statement, body=_counted(body, f"{place}."))
            case _:
                yield statement


class Tallies:
    """The cells of a chain with these methods, given out as they are asked for.

    Each function gives the statement that counts, in which ``call`` or ``scope`` is in hand, as said.
    """

    def __init__(self, methods: Sequence[str]) -> None:
        self._methods = {name: number for number, name in enumerate(methods)}
        self._given: dict[tuple[Any, ...], int] = {}
        self.cells = 0

    def hit(self, of: ElementContext, handler: str, row: str) -> str:
        """A row was taken; ``scope`` is in hand."""
        return f"an_tally(scope->call, {self._cell('AN_TALLY_ROW', of, handler, row)});"

    def replied(self, of: ElementContext, handler: str) -> str:
        """The element has answered the call; ``call`` is in hand."""
        return f"an_tally(call, {self._cell('AN_TALLY_REPLIES', of, handler, '')});"

    def refused(self, of: ElementContext, handler: str) -> str:
        """The element has refused the call; ``call`` is in hand."""
        return f"an_tally_refusal(call, {self._cell('AN_TALLY_REFUSALS', of, handler, '', _STATUSES)});"

    def _cell(self, kind: str, of: ElementContext, handler: str, row: str, cells: int = 1) -> int:
        key = (kind, self._methods[of.method.full_name], of.index, handler, row)
        if key not in self._given:
            self._given[key] = self.cells
            self.cells += cells
        return self._given[key]

    def entries(self) -> list[str]:
        """The ``an_tally_entry`` of each."""
        return [
            f"{{{kind}, {cell}, {method}, {element}, {literal(handler.encode())}, "
            f"{literal(row.encode()) if row else 'NULL'}}},"
            for (kind, method, element, handler, row), cell in self._given.items()
        ]
