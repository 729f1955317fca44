"""The call of a function that is being written, and how the function is called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from appnet.editor.built_ins import Usage, usages
from appnet.editor.document import ElementText
from appnet.language.lexer import KEYWORDS
from appnet.language.types import MapType, VecType

_MOST_LINES = 50
_PIECE = re.compile(
    r"""(?P<skipped>'(?:[^'\\\n]|\\.)*'?|"(?:[^"\\\n]|\\.)*"?|\#[^\n]*|//[^\n]*)"""
    r"""|(?P<name>[^\W\d]\w*)|(?P<sign>[(),\[\]{}])|(?P<other>\S)"""
)
_FUNCTIONS = {"send", "foreach"}


@dataclass(frozen=True)
class CallHelp:
    """The ways to call a function: which of them is meant, and which of its parameters is being written, from 0."""

    usages: list[Usage]
    meant: int
    parameter: int


@dataclass
class _Open:
    """A bracket that is open: the function before it, and the words of its arguments so far."""

    function: str
    arguments: list[str] = field(default_factory=lambda: [""])


def call_help(element: ElementText, line: int, column: int) -> CallHelp | None:
    """How the innermost function is called whose arguments the place is among."""
    found = _call(element.lines, line, column)
    if found is None:
        return None
    ways, parameter = usages(found.function), len(found.arguments) - 1
    if not ways:
        return None
    first = found.arguments[0]
    wanted = _first_parameter(element, first) if parameter or found.function in {"get", "set", "size"} else ""
    fitting = [it for it in range(len(ways)) if parameter < len(ways[it].parameters)] or [0]
    meant = next((it for it in fitting if ways[it].parameters[:1] == (wanted,)), fitting[0])
    return CallHelp(ways, meant, parameter)


def _call(lines: Sequence[str], line: int, column: int) -> _Open | None:
    text = "\n".join(
        [*lines[max(0, line - 1 - _MOST_LINES) : line - 1], *(it[: column - 1] for it in lines[line - 1 : line])]
    )
    stack: list[_Open] = []
    before = ""
    for piece in _PIECE.finditer(text):
        sign = piece["sign"] or ""
        if sign in {"(", "[", "{"} and sign:
            callable_ = sign == "(" and (before in _FUNCTIONS or before not in KEYWORDS)
            stack.append(_Open(before if callable_ else ""))
        elif sign in {")", "]", "}"} and sign:
            del stack[-1:]
        elif sign == "," and stack:
            stack[-1].arguments.append("")
        elif stack and not stack[-1].arguments[-1]:
            stack[-1].arguments[-1] = piece.group()
        before = piece["name"] or ""
    return next((it for it in reversed(stack) if it.function), None)


def _first_parameter(element: ElementText, argument: str) -> str:
    """What the reference calls an argument such as this one."""
    target = next((it.target for it in element.checked.mentions if getattr(it.target, "name", "") == argument), None)
    match getattr(target, "type", None):
        case MapType():
            return "map"
        case VecType():
            return "vec"
        case None:
            return "rpc"
        case _:
            return "text"
