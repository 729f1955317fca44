"""Values as behaviour files write them."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

import yaml

from appnet.diagnostics.yaml_reader import scalar_value
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value, wrap_int, wrap_uint
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)

_TOKEN = re.compile(r'"[0-9a-f]*"|[-\w.]+|[][{}(),:]')


class WrongValue(Exception):  # noqa: N818 -- it becomes a diagnostic at once
    """A YAML value of another type than is needed: the node, and what is needed there."""

    def __init__(self, node: yaml.Node, wanted: Type) -> None:
        super().__init__(str(wanted))
        self.node = node
        self.wanted = wanted


def from_yaml(node: yaml.Node, type_: Type, scalar: Callable[[yaml.Node, Type], Value | None] | None = None) -> Value:
    """The value of ``type_`` that a node writes: pairs are lists of two, Vecs lists, Maps mappings.

    ``scalar`` reads what is none of them; None: it is of another type. Raises `WrongValue`.
    """
    match type_, node:
        case PairType(first=first, second=second), yaml.SequenceNode(value=[one, two]):
            return (from_yaml(one, first, scalar), from_yaml(two, second, scalar))
        case VecType(item=item), yaml.SequenceNode(value=items):
            return [from_yaml(it, item, scalar) for it in items]
        case MapType(key=key, value=kept), yaml.MappingNode(value=entries):
            return {from_yaml(k, key, scalar): from_yaml(v, kept, scalar) for k, v in entries}
        case PairType() | VecType() | MapType() | OptionType(), _:
            raise WrongValue(node, type_)
    value = (scalar or scalar_from_yaml)(node, type_)
    if value is None:
        raise WrongValue(node, type_)
    return value


def scalar_from_yaml(node: yaml.Node, type_: Type) -> Value | None:
    """The value of a type that is neither pair, Vec nor Map; None where the node writes none of it."""
    value = scalar_value(node)
    if value is None or (type_ == BOOL) != isinstance(value, bool):
        return None
    if type_ in {STRING, BYTES}:
        assert isinstance(node, yaml.ScalarNode)
        return str(node.value).encode()  # 007 is a text here, whatever YAML thinks of it
    if isinstance(value, str):
        return None
    if type_ == FLOAT:
        return float(value)
    if type_ == INSTANT:
        return CLOCK_START_NS + round(value * 1e9)
    wrapped = {INT: wrap_int, UINT: wrap_uint}.get(type_)
    if wrapped is None:
        return value
    return value if isinstance(value, int) and wrapped(value) == value else None


def from_dump(text: str, type_: Type) -> Value:
    """The value that `appnet.interpret.dump` writes as ``text``."""
    return _DumpReader(_TOKEN.findall(text)).value(type_)


class _DumpReader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def value(self, type_: Type) -> Value:
        match type_:
            case PairType(first=first, second=second):
                self._skip()
                one = self.value(first)
                self._skip()
                two = self.value(second)
                self._skip()
                return (one, two)
            case VecType(item=item):
                return [self.value(item) for _ in self._until_end()]
            case MapType(key=key, value=kept):
                return dict(self._entry(key, kept) for _ in self._until_end())
        text = self._tokens.pop()
        if type_ in {STRING, BYTES}:
            return bytes.fromhex(text[1:-1])
        if type_ == FLOAT:
            return struct.unpack("<d", struct.pack("<Q", int(text, 16)))[0]
        return text == "true" if type_ == BOOL else int(text)

    def _entry(self, key: Type, kept: Type) -> tuple[Value, Value]:
        name = self.value(key)
        self._skip()
        return name, self.value(kept)

    def _until_end(self) -> Iterator[None]:
        self._skip()
        while self._tokens[-1] not in "]}":
            yield
            if self._tokens[-1] == ",":
                self._skip()
        self._skip()

    def _skip(self) -> None:
        self._tokens.pop()
