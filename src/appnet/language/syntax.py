"""The syntax tree: what a program says, before names and types are known. Every node has its place."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.place import Source, Span

# --- types and expressions -------------------------------------------------------------------


@dataclass(frozen=True)
class TypeName:
    """``name`` is ``Map``, ``Vec``, ``pair`` or a scalar's name; ``parts`` are what stands between ``<`` and ``>``."""

    span: Span
    name: str
    parts: tuple[TypeName, ...] = ()


@dataclass(frozen=True)
class Name:
    span: Span
    name: str


@dataclass(frozen=True)
class Number:
    """``value`` is an int or a float, as it is written."""

    span: Span
    value: int | float


@dataclass(frozen=True)
class Text:
    span: Span
    value: bytes


@dataclass(frozen=True)
class Truth:
    span: Span
    value: bool


@dataclass(frozen=True)
class Unary:
    span: Span
    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary:
    span: Span
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Apply:
    """A function applied to arguments; ``err(...)`` and ``reply()`` are such too."""

    span: Span
    function: Name
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class PairOf:
    span: Span
    first: Expression
    second: Expression


@dataclass(frozen=True)
class VecOf:
    """``[a, b]``."""

    span: Span
    items: tuple[Expression, ...]


@dataclass(frozen=True)
class MapOf:
    """``{k: v}``: pairs of a key and its value."""

    span: Span
    entries: tuple[tuple[Expression, Expression], ...]


Expression = Name | Number | Text | Truth | Unary | Binary | Apply | PairOf | VecOf | MapOf

# --- statements ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pass:
    span: Span


@dataclass(frozen=True)
class Assign:
    """One target, or two that take a pair apart."""

    span: Span
    targets: tuple[Name, ...]
    value: Expression


@dataclass(frozen=True)
class Evaluate:
    span: Span
    value: Expression


@dataclass(frozen=True)
class Send:
    """``direction`` is ``up`` or ``down``, or empty where it is neither, which has been told."""

    span: Span
    value: Expression
    direction: str
    direction_span: Span


@dataclass(frozen=True)
class LiteralCase:
    span: Span
    value: Number | Text | Truth


@dataclass(frozen=True)
class SomeCase:
    """``name`` is None for ``Some(_)``."""

    span: Span
    name: Name | None


@dataclass(frozen=True)
class NoneCase:
    span: Span


@dataclass(frozen=True)
class AnyCase:
    span: Span


Case = LiteralCase | SomeCase | NoneCase | AnyCase


@dataclass(frozen=True)
class MatchArm:
    case: Case
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class MatchOn:
    span: Span
    subject: Expression
    arms: tuple[MatchArm, ...]


@dataclass(frozen=True)
class ForEach:
    """``names``: of an item of a Vec, or of a key of a Map and its value."""

    span: Span
    items: Expression
    names: tuple[Name, ...]
    body: tuple[Statement, ...]


Statement = Pass | Assign | Evaluate | Send | MatchOn | ForEach

# --- program ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decorator:
    span: Span
    name: Name
    argument: Name | Number | Text | Truth


@dataclass(frozen=True)
class StateDeclaration:
    span: Span
    name: Name
    type: TypeName
    decorators: tuple[Decorator, ...] = ()


@dataclass(frozen=True)
class Parameter:
    span: Span
    name: Name
    default: Expression | None


@dataclass(frozen=True)
class HandlerBlock:
    """``rpc`` is what the handler calls the RPC; ``init`` has none and ignores it."""

    span: Span
    body: tuple[Statement, ...]
    rpc: str = "rpc"


@dataclass(frozen=True)
class Program:
    """One element's file. ``span`` is its first token.

    ``errors``: of lines that cannot be read. ``lost``: names in these; ``lost_state``: those of them that may have been
    declared as state.
    """

    source: Source
    span: Span
    state: tuple[StateDeclaration, ...]
    parameters: tuple[Parameter, ...]
    init: HandlerBlock
    req: HandlerBlock
    resp: HandlerBlock
    lost: frozenset[str] = frozenset()
    lost_state: frozenset[str] = frozenset()
    errors: tuple[Diagnostic, ...] = ()
    open: HandlerBlock | None = None
    end: HandlerBlock | None = None

    def blocks(self) -> dict[str, HandlerBlock]:
        """``init`` and the handlers that it has, by name, in the order of the text."""
        named = {"init": self.init, "open": self.open, "req": self.req, "resp": self.resp, "end": self.end}
        return {name: block for name, block in named.items() if block is not None}


def is_empty(node: Expression) -> bool:
    """Whether it is ``[]`` or ``{}``, which does not tell what it holds."""
    return (isinstance(node, VecOf) and not node.items) or (isinstance(node, MapOf) and not node.entries)


def parts(node: Expression) -> Iterator[Expression]:
    """The expressions of which the expression is made, in the order of the text."""
    if isinstance(node, MapOf):
        yield from itertools.chain.from_iterable(node.entries)
        return
    for field_ in dataclasses.fields(node):
        value = getattr(node, field_.name)
        for it in value if isinstance(value, tuple) else (value,):
            if isinstance(it, Expression) and field_.name != "function":
                yield it


def names_given(node: Any, function: str) -> Iterator[str]:
    """The names that are given what ``function`` gives, in ``node``, which may be a tuple, and all below it."""
    for it in _nodes(node):
        if isinstance(it, Assign) and isinstance(it.value, Apply) and it.value.function.name == function:
            yield from (target.name for target in it.targets)


def names_in(node: Any) -> Iterator[str]:
    """Every name in ``node``, which may be a tuple, and all below it."""
    return (it.name for it in _nodes(node) if isinstance(it, Name))


def applications(node: Any) -> Iterator[Apply]:
    """Every application of a function in ``node``, which may be a tuple, and all below it, inner ones first."""
    return (it for it in _nodes(node) if isinstance(it, Apply))


def _nodes(node: Any) -> Iterator[Any]:
    """The ``node``, which may be a tuple, and all below it, in the order of the text; what is below comes first."""
    if isinstance(node, tuple):
        for it in node:
            yield from _nodes(it)
    elif dataclasses.is_dataclass(node):
        for field_ in dataclasses.fields(node):
            yield from _nodes(getattr(node, field_.name))
        yield node
