"""Whence a module has the number of a call, which is one for all modules that the call passes in a proxy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appnet.ir.needs import uses_number
from appnet.ir.nodes import Element


@dataclass(frozen=True)
class Numbering:
    """Where nobody needs a number there is none.

    ``counts``: the module counts calls. ``takes``: a module before it has told the number. ``gives``: modules behind it
    are told.
    """

    counts: bool = False
    takes: bool = False
    gives: bool = False


def numbering(before: Iterable[Element], own: Iterable[Element], behind: Iterable[Element]) -> Numbering:
    """Of a module with these elements, and these in other modules of the proxy.

    The first module counts, since only it sees all calls, as a chain of one module would.
    """
    first = not any(True for _ in before)
    needs_it, needed_behind = any(map(uses_number, own)), any(map(uses_number, behind))
    if first:
        return Numbering(counts=needs_it or needed_behind, gives=needed_behind)
    return Numbering(takes=True, gives=needed_behind) if needs_it else Numbering()
