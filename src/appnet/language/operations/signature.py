"""The signatures of operations, read from their text: "(Map<K, V>, K) -> Option<V>"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from appnet.language.operations.declaration import Operation
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
LETTERS = {
    "T": None,
    "K": None,
    "V": None,
    "C": SCALARS,
    "N": NUMERIC,
    "I": (INT, UINT),
    "S": frozenset({STRING, BYTES}),
}
"""The types that each letter stands for; None is any."""
NAMED: dict[str, Type] = {type_.name: type_ for type_ in (*SCALARS, UNIT)}


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

    @property
    def takes_key(self) -> bool:
        """Whether the second operand is a key of the first, a Map."""
        return len(self.parameters) > 1 and self.parameters[0].head == "Map"

    @property
    def makes_container(self) -> bool:
        """Whether the result is a container that nothing else refers to."""
        return self.result.head in {"Map", "Vec"}

    def given(self, *, fallible: bool) -> Shape:
        """The shape of what programs get: of an operation that ends the handler where it fails, the option's item."""
        return self.result.parts[0] if fallible else self.result


def signature_of(operation: Operation) -> Signature:
    """The signature of the operation."""
    return _read(operation.signature)


@cache
def _read(text: str) -> Signature:
    tokens = _Tokens(_TOKEN.findall(text))
    tokens.expect("(")
    parameters: list[Shape] = []
    while not tokens.take(")"):
        parameters.append(tokens.shape())
        tokens.take(",")
    tokens.expect("->")
    return Signature(tuple(parameters), tokens.shape())


def _fits(shape: Shape, type_: Type, letters: dict[str, Type]) -> bool:
    if shape.head in LETTERS:
        allowed = LETTERS[shape.head]
        return letters.setdefault(shape.head, type_) == type_ and (allowed is None or type_ in allowed)
    if shape.head == "|":
        return any(_fits(part, type_, letters) for part in shape.parts)
    match shape.head, type_:
        case ("Map", MapType(key=a, value=b)) | ("pair", PairType(first=a, second=b)):
            return _fits(shape.parts[0], a, letters) and _fits(shape.parts[1], b, letters)
        case ("Vec", VecType(item=item)) | ("Option", OptionType(item=item)):
            return _fits(shape.parts[0], item, letters)
        case _:
            return type_ == NAMED.get(shape.head)


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
        if name not in {"Map", "Vec", "Option", *LETTERS, *NAMED}:
            raise ValueError(f"no type is called {name!r}")
        return Shape(name, self._parts() if self.take("<") else ())

    def _parts(self) -> tuple[Shape, ...]:
        parts = [self.shape()]
        while self.take(","):
            parts.append(self.shape())
        self.expect(">")
        return tuple(parts)
