"""Advice for syntax errors that come from habits of other languages, or that everyone makes once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from lark import Token

from appnet.diagnostics.place import Span
from appnet.diagnostics.remedy import Remedy, across, added, end_of, instead
from appnet.language.lexer import LAYOUT, SECTIONS

_OPERANDS = frozenset({"NAME", "INT", "FLOAT", "STRING", "TRUE", "FALSE", "_RPAR", "_RSQB"})
_LOOP = "loop over a Vec: `foreach(items, lambda(x): …)`, or a Map: `foreach(m, lambda(k, v): …)`"
_LOCAL = "a local needs no declaration: write `x = 1`, and it gets the type of its value"
_HANDLERS = "blocks are `state:`, `init():`, `open(rpc):`, `req(rpc):`, `resp(rpc):` and `end(rpc):`"
_SEND = "write send(rpc, Down), send(rpc, Up) or send(err('text'), Up)"
_DECLARATION = "write `name: type`, such as `limit: int`"

_FIRST_WORDS = {
    "return": "a handler ends with `send`: write send(rpc, Down) or send(err('text'), Up)",
    **dict.fromkeys(("for", "while", "loop"), _LOOP),
    **dict.fromkeys(("let", "var", "const", "auto"), _LOCAL),
    **dict.fromkeys(("def", "func", "function", "fn", "request", "response"), _HANDLERS),
    **dict.fromkeys(("elseif", "elsif"), "write `elif`"),
    "case": "write only the pattern: `1 => …`",
    "default": "write `_ => …`",
    "switch": "write `match value:` and arms: `1 => …`",
    **dict.fromkeys(("import", "from", "use"), "remove it: all functions are built in"),
}

_SAME_WORDS = {"elseif": "elif", "elsif": "elif", "default": "_", "switch": "match"}
_HEAD = re.compile(r"[^#]*?:[ \t]*(?:#.*|//.*)?$")  # a line over a block


@dataclass(frozen=True)
class Stumble:
    """Where a program stops being one.

    ``line``: the tokens before ``token`` in its line; ``expected``: types of tokens that could stand there;
    ``section``: the type of the block's first token; ``text``: the line; ``column``: where ``token`` begins, from 0.
    """

    token: Token
    line: Sequence[Token]
    expected: Collection[str]
    section: str
    text: str
    column: int

    @property
    def first(self) -> str:
        """The first word of the line."""
        return str(self.line[0] if self.line else self.token)

    def type(self, back: int) -> str:
        """The type of a token before; empty before the first of the line."""
        return self.line[-back].type if len(self.line) >= back else ""

    def written(self, sign: str) -> bool:
        """Whether ``sign`` stands in the text here, beginning before or at the token."""
        return any(self.text.startswith(sign, self.column - back) for back in range(len(sign)) if back <= self.column)


def place_of(token: Token, tokens: Sequence[Token], expected: Collection[str], source: str) -> Stumble:
    """What surrounds ``token``, where the grammar expected something else."""
    at = next((index for index, it in enumerate(tokens) if it is token), len(tokens))
    start = at
    while start > 0 and tokens[start - 1].type not in LAYOUT:
        start -= 1
    section = next((it.type for it in reversed(tokens[:at]) if it.type in SECTIONS.values()), "")
    lines = source.split("\n")
    number = (token.line or 1) - 1
    text = lines[number] if number < len(lines) else ""
    return Stumble(token, tokens[start:at], expected, section, text, (token.column or 1) - 1)


def remedies_of(place: Stumble, span: Span) -> tuple[Remedy, ...]:
    """What mends it as it stands; ``span``: the token's place."""
    if place.first in _SAME_WORDS:
        return instead(_place(place.line[0] if place.line else place.token, span), _SAME_WORDS[place.first])
    if place.text.startswith(":=", place.column):
        return instead(replace(span, end_column=span.column + 2), "=")
    if place.type(1) == "ELSE" and place.token.type == "IF":
        return instead(across(_place(place.line[-1], span), span), "elif")
    if place.token.type == "_NEWLINE" and "_COLON" in place.expected and not _in_state(place):
        return added(end_of(_place(place.line[-1], span)), ":", "End the line with `:`")
    if _compares(place):
        return instead(span, "==")
    return ()


def _place(token: Token, span: Span) -> Span:
    line, column = token.line or 1, token.column or 1
    return Span(span.source, line, column, token.end_line or line, token.end_column or column + 1)


def _compares(place: Stumble) -> bool:
    first = place.line[0].type if place.line else ""
    return place.token.type == "_ASSIGN" and first in {"IF", "ELIF", "MATCH"}


def advice(place: Stumble) -> str:
    """What to write instead; empty where nothing is known but what was expected."""
    if place.first in _FIRST_WORDS:
        return _FIRST_WORDS[place.first]
    return next((text for applies, text in _RULES if applies(place)), "")


def _is(type_: str) -> Callable[[Stumble], bool]:
    return lambda it: it.token.type == type_


def _after(type_: str) -> Callable[[Stumble], bool]:
    return lambda it: it.type(1) == type_


def _in_state(place: Stumble) -> bool:
    return place.section == "STATE" and bool(place.line)


_RULES: tuple[tuple[Callable[[Stumble], bool], str], ...] = (
    (
        lambda it: "_INDENT" in it.expected,
        "indent what belongs to the line above; write `pass` if there is nothing to do",
    ),
    (lambda it: it.written("/*"), "a comment begins with `#` or `//` and ends with its line"),
    (lambda it: any(map(it.written, ("+=", "-=", "*=", "/=", "%="))), "write the name twice: `x = x + 1`"),
    (lambda it: it.written("++") or it.written("--"), "write `x = x + 1`"),
    (lambda it: it.written(":="), "write `=`"),
    (lambda it: "_ARROW" in it.expected, "write `=>` between a pattern and its statements"),
    (lambda it: it.type(1) == "ELSE" and it.token.type == "IF", "write `elif`"),
    # declarations
    (lambda it: _in_state(it) and it.token.type == "_ASSIGN", "set initial values in `init`: `init(limit = 5):`"),
    (lambda it: _in_state(it) and it.token.type == "_LSQB", "write `Map<string, int>` or `Vec<int>`"),
    (lambda it: it.type(2) == "_AT" and "_LPAR" in it.expected, "write `@capacity(100)`, with parentheses"),
    (
        lambda it: it.section == "STATE" and it.token.type in {"_DEDENT", *SECTIONS.values()},
        "a decorator comes before what it decorates: `@capacity(100)`, then `seen: Map<string, int>`",
    ),
    (lambda it: _in_state(it) and it.expected == {"_COLON"}, _DECLARATION),
    (
        lambda it: it.section == "INIT" and it.first == "init" and it.token.type == "_COLON",
        "remove the type: a parameter has that of its default, or of the state variable with its name",
    ),
    # statements
    (
        lambda it: (
            "STATE" in it.expected and it.token.type != "$END" and not (_is("NAME")(it) and _HEAD.match(it.text))
        ),
        f"indent it if it belongs to the block above; {_HANDLERS}",
    ),
    (lambda it: it.token.type == "_NEWLINE" and "_COLON" in it.expected, "end the line with `:`; a block follows"),
    (_is("_INDENT"), "go back to the column of the line above: only what follows a `:` or `=>` is indented further"),
    (_after("SEND"), _SEND),
    (lambda it: it.first == "send" and it.token.type == "_RPAR" and "_COMMA" in it.expected, _SEND),
    (lambda it: len(it.line) == 1 and it.type(1) == "NAME" and it.token.type == "_COLON", _LOCAL),
    (_compares, "compare with `==`"),
    (lambda it: it.token.type == "IF" and bool(it.line), "`if` is a statement: put it on a line of its own"),
    # patterns
    (_after("SOME"), "write `Some(x)`"),
    (
        lambda it: "SOME" in it.expected,
        "patterns are literals, `Some(x)`, `None` and `_`; unpack a pair with `(a, b) = p`",
    ),
    # expressions
    (_after("LAMBDA"), "write `lambda(x): …`, for a Map `lambda(key, value): …`"),
    (
        lambda it: it.token.type in {"_COMMA", "_RBRACE"} and any(before.type == "_LBRACE" for before in it.line),
        "in `{…}` write `key: value`; a Vec is `[a, b]`",
    ),
    (
        lambda it: it.token.type == "_LSQB" and it.type(1) in _OPERANDS,
        "write get(map, key), get(vec, index) or set(map, key, value)",
    ),
    (_is("NONE"), "match it: `Some(x) => …` and `None => …`"),
    (
        lambda it: str(it.token) == "in",
        "match get(map, key) with `Some(_)` and `None`; for text write contains(text, part)",
    ),
    (
        lambda it: it.token.type == "STRING" and it.type(1) == "NAME",
        "a string has no prefix; join texts with a + b",
    ),
    (
        lambda it: "_NEWLINE" in it.expected and it.type(1) in _OPERANDS and it.token.type in {"NAME", "SEND", "PASS"},
        "put each statement on a line of its own",
    ),
)
