"""The signatures of operations, read from their text: "(Map<K, V>, K) -> Option<V>"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from appnet.language.operations import OPERATIONS
from appnet.language.types import (
    BYTES,
    INT,
    NUMERIC,
    SCALARS,
    STRING,
    UINT,
    UNIT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)

_TOKEN = re.compile(r"->|\w+|[<>(),|]")
_LETTERS = {"T": None, "K": None, "V": None, "N": NUMERIC, "I": (INT, UINT), "S": (STRING, BYTES)}
_NAMED = {type_.name: type_ for type_ in (*SCALARS, UNIT)}
_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})


@dataclass(frozen=True)
class Shape:
    """A type with letters: `head` is a type's name, a letter, "Map", "Vec", "Option", "pair" or "|"."""

    head: str
    parts: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Signature:
    """The shapes of an operation's operands and of its result."""

    parameters: tuple[Shape, ...]
    result: Shape

    def accepts(self, arguments: tuple[Type, ...], result: Type) -> bool:
        """Whether operands of these types give this result, one type for each letter."""
        if len(arguments) != len(self.parameters):
            return False
        letters: dict[str, Type] = {}
        pairs = zip((*self.parameters, self.result), (*arguments, result), strict=True)
        return all(_fits(shape, type_, letters) for shape, type_ in pairs)


@cache
def signature_of(operation: str) -> Signature:
    """The signature of the operation of this name; comparisons take scalars."""
    text = OPERATIONS[operation].signature
    if operation in _COMPARISONS:
        text = text.replace("T", "C")
    tokens = _Tokens(_TOKEN.findall(text))
    tokens.expect("(")
    parameters: list[Shape] = []
    while not tokens.take(")"):
        parameters.append(tokens.shape())
        tokens.take(",")
    tokens.expect("->")
    return Signature(tuple(parameters), tokens.shape())


def _fits(shape: Shape, type_: Type, letters: dict[str, Type]) -> bool:
    if shape.head in _LETTERS or shape.head == "C":
        allowed = SCALARS if shape.head == "C" else _LETTERS[shape.head]
        return letters.setdefault(shape.head, type_) == type_ and (allowed is None or type_ in allowed)
    if shape.head == "|":
        return any(_fits(part, type_, letters) for part in shape.parts)
    match shape.head, type_:
        case ("Map", MapType(key=a, value=b)) | ("pair", PairType(first=a, second=b)):
            return _fits(shape.parts[0], a, letters) and _fits(shape.parts[1], b, letters)
        case ("Vec", VecType(item=item)) | ("Option", OptionType(item=item)):
            return _fits(shape.parts[0], item, letters)
        case _:
            return type_ == _NAMED.get(shape.head)


class _Tokens:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens

    def take(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise ValueError(f"expected {token!r} before {self._tokens}")

    def shape(self) -> Shape:
        first = self._single()
        alternatives = [first]
        while self.take("|"):
            alternatives.append(self._single())
        return first if len(alternatives) == 1 else Shape("|", tuple(alternatives))

    def _single(self) -> Shape:
        if self.take("<"):
            return Shape("pair", self._parts())
        name = self._tokens.pop(0)
        if name not in {"Map", "Vec", "Option", *_LETTERS, "C", *_NAMED}:
            raise ValueError(f"no type is called {name!r}")
        return Shape(name, self._parts() if self.take("<") else ())

    def _parts(self) -> tuple[Shape, ...]:
        parts = [self.shape()]
        while self.take(","):
            parts.append(self.shape())
        self.expect(">")
        return tuple(parts)
