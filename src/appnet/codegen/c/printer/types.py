"""The C types of values, the descriptors that the runtime handles stored values by, and the tables of patterns."""

from __future__ import annotations

from collections.abc import Sequence

from appnet.codegen.c.printer.text import comment
from appnet.language.patterns import compile_pattern
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

_SCALARS = {
    BOOL: ("bool", "bool"),
    INT: ("int", "int64_t"),
    UINT: ("uint", "uint64_t"),
    INSTANT: ("int", "int64_t"),
    FLOAT: ("float", "double"),
    STRING: ("string", "an_view"),
    BYTES: ("string", "an_view"),
}
TEXTS = (STRING, BYTES)
MEMBERS = {BOOL: "b", INT: "i", UINT: "u", INSTANT: "i", FLOAT: "f"}
"""Where an ``an_value`` holds a number of the type."""


def is_container(type_: Type) -> bool:
    """Whether the type is a Vec or a Map."""
    return isinstance(type_, VecType | MapType)


def is_flat(type_: Type) -> bool:
    """Whether values of the type refer to no memory."""
    match type_:
        case PairType(first=first, second=second):
            return is_flat(first) and is_flat(second)
        case OptionType(item=item):
            return is_flat(item)
        case _:
            return type_ not in TEXTS and not is_container(type_)


class Types:
    """The types that one generated file uses; ``lines`` declares them, each before its first use."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._made: set[str] = set()
        self._descriptors: dict[str, str] = {}
        self._patterns: dict[bytes, str] = {}

    def name(self, type_: Type) -> str:
        """The C type of a value."""
        match type_:
            case VecType():
                return "an_vec"
            case MapType():
                return "an_map"
            case PairType(first=first, second=second):
                fields = f"{self.name(first)} first; {self.name(second)} second;"
                return self._struct(_tag(type_), fields)
            case OptionType(item=item):
                return self._struct(_tag(type_), f"bool some; {self.name(item)} value;")
            case _:
                return _SCALARS[type_][1]

    def option_of(self, type_: OptionType) -> str:
        """The function that makes an option of a pointer to the value, which may be NULL."""
        name = self.name(type_)
        function = f"{name}_of"
        item = self.name(type_.item)
        self._function(
            function,
            f"static inline {name} {function}(const void *found) {{",
            f"  return found != NULL ? ({name}){{true, *(const {item} *)found}} : ({name}){{0}};",
        )
        return function

    def value_or(self, type_: Type) -> str:
        """The function that gives the value that a pointer points to, or another where it is NULL."""
        item = self.name(type_)
        function = f"{_tag(type_)}_or"
        self._function(
            function,
            f"static inline {item} {function}(const void *found, {item} otherwise) {{",
            f"  return found != NULL ? *(const {item} *)found : otherwise;",
        )
        return function

    def descriptor(self, type_: Type) -> str:
        """The address of the type's ``an_type``."""
        if type_ == INSTANT:
            return "&an_type_instant"
        if type_ in _SCALARS:
            return f"&an_type_{_SCALARS[type_][0]}"
        text = self._initializer(type_)
        if text not in self._descriptors:
            name = f"type_{len(self._descriptors) + 1}"
            self._descriptors[text] = name
            self.lines.append(f"static const an_type {name} = {text}; {comment(str(type_))}")
        return f"&{self._descriptors[text]}"

    def pattern(self, pattern: bytes) -> str:
        """The address of the regular expression's ``an_pattern``."""
        if pattern not in self._patterns:
            name = f"pattern_{len(self._patterns) + 1}"
            self._patterns[pattern] = name
            self.lines += _pattern_lines(name, pattern)
        return f"&{self._patterns[pattern]}"

    def _initializer(self, type_: Type) -> str:
        match type_:
            case PairType(first=first, second=second):
                flat = "true" if is_flat(type_) else "false"
                return f"AN_PAIR_TYPE({self.name(type_)}, {self.descriptor(first)}, {self.descriptor(second)}, {flat})"
            case VecType(item=item):
                return f"AN_VEC_TYPE({self.descriptor(item)})"
            case MapType(key=key, value=value):
                text = "true" if key in TEXTS else "false"
                value_type = self.name(value)
                return f"AN_MAP_TYPE({self.descriptor(key)}, {text}, {self.descriptor(value)}, sizeof({value_type}))"
            case _:
                raise AssertionError(f"{type_} is not stored")

    def _struct(self, name: str, fields: str) -> str:
        if name not in self._made:
            self._made.add(name)
            self.lines.append(f"typedef struct {name} {{ {fields} }} {name};")
        return name

    def _function(self, name: str, *lines: str) -> None:
        if name not in self._made:
            self._made.add(name)
            self.lines += [*lines, "}"]


def _pattern_lines(name: str, pattern: bytes) -> list[str]:
    automaton = compile_pattern(pattern)
    numbers = [number for row in automaton.table for number in row]
    return [
        comment(pattern.decode()),
        f"static const uint16_t {name}_table[] = {{",
        *_wrapped(numbers),
        "};",
        f"static const an_pattern {name} = {{",
        f"  {name}_table, {len(automaton.table[0])}, {automaton.start}, {automaton.accepting}, {{",
        *_wrapped(automaton.classes),
        "  }",
        "};",
    ]


def _wrapped(numbers: Sequence[int]) -> list[str]:
    rows = (numbers[at : at + 32] for at in range(0, len(numbers), 32))
    return [f"  {', '.join(map(str, row))}," for row in rows]


def _tag(type_: Type) -> str:
    """A name for the type's layout; prefixes say how many parts follow, so no two layouts share one."""
    match type_:
        case VecType():
            return "vec"
        case MapType():
            return "map"
        case PairType(first=first, second=second):
            return f"pair_{_tag(first)}_{_tag(second)}"
        case OptionType(item=item):
            return f"option_{_tag(item)}"
        case _:
            return _SCALARS[type_][0]
