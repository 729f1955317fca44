"""Text to tokens. Indentation becomes _INDENT and _DEDENT tokens, each line ends in _NEWLINE.

A tab goes to the next column that is a multiple of four, so that tabs and spaces may stand in different lines of one
block, as public programs have it; within one line's indentation a tab after a space is refused, since editors differ.
Inside parentheses line ends do not count, except in the body of a ``lambda``, which is a block of its own that its
closing parenthesis ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lark import Token

from appnet.diagnostics.diagnostic import Diagnostic, Severity, Span
from appnet.diagnostics.source import Source

TAB = 4
COMMENT = "COMMENT"
KEYWORDS = {
    **{word: word.upper() for word in ("pass", "send", "match", "foreach", "lambda", "if", "elif", "else")},
    **{word: word.upper() for word in ("and", "or", "not", "true", "false")},
    "Some": "SOME",
    "None": "NONE",
    "_": "UNDERSCORE",
}
SECTIONS = {"state": "STATE", "init": "INIT", "req": "REQ", "resp": "RESP"}
PUNCTUATION = {
    "=>": "_ARROW",
    "==": "EQ",
    "!=": "NE",
    "<=": "LE",
    ">=": "GE",
    "<": "LT",
    ">": "GT",
    "=": "_ASSIGN",
    "+": "PLUS",
    "-": "MINUS",
    "*": "STAR",
    "/": "SLASH",
    "%": "PERCENT",
    "(": "_LPAR",
    ")": "_RPAR",
    "[": "_LSQB",
    "]": "_RSQB",
    "{": "_LBRACE",
    "}": "_RBRACE",
    ",": "_COMMA",
    ":": "_COLON",
    "@": "_AT",
}
BEFORE_MAPS = frozenset({"_LPAR", "_LSQB", "_LBRACE", "_COMMA", "_COLON", "_ASSIGN", "EQ", "NE", "PLUS"})
"""What the literal of a Map can stand behind: a brace that stands elsewhere belongs to a block."""
_LAMBDA_HEADS = [["LAMBDA", "_LPAR", *names, "_RPAR", "_COLON"] for names in (["NAME"], ["NAME", "_COMMA", "NAME"])]
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", "'": "'", '"': '"'}
TOKEN = re.compile(
    r"""
    (?P<space>[ \t\f\r]+|\\\r?\n)
  | (?P<comment>\#[^\n]*|//[^\n]*)
  | (?P<newline>\n)
  | (?P<float>(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][+-]?[0-9]+)?)
  | (?P<int>[0-9][0-9_]*)
  | (?P<name>[^\W\d]\w*)
  | (?P<string>'(?:[^'\\\n]|\\[^\n])*'|"(?:[^"\\\n]|\\[^\n])*")
  | (?P<punctuation>=>|==|!=|<=|>=|[<>=+\-*/%()\[\]{},:@])
    """,
    re.VERBOSE,
)
_HINTS = {
    "{": "blocks are told by indentation: write `req(rpc):`; only a program that begins with `state {` has braces",
    "}": "blocks are told by indentation, and end with it",
    ";": "a statement ends with its line: leave the semicolon out",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=` for unequal",
    ".": "for a field write get(rpc, 'field'); for a function of a variable function(x, …)",
    "?": "there is no `? :`; use `if` and `else`",
    **dict.fromkeys("‘’“”`´", "write the quotes ' or \""),
    "'": "close the string with the same quote on the same line",
    '"': "close the string with the same quote on the same line",
}


@dataclass
class _Context:
    """What encloses the text at hand: the program, or a lambda's body; each has its own indentation."""

    indents: list[int] = field(default_factory=lambda: [0])
    open_brackets: int = 0
    misaligned: bool = False  # whether a line was found that fits no open block


class Lexer:
    """Tokens of one source text: those of the grammar, and COMMENT, which the parser leaves out.

    What is no token is noted in ``errors`` and left out, so that one run tells all of it; with errors, the tokens are
    not fit to be parsed.
    """

    def __init__(self, file: Source, source: str) -> None:
        self._file = file
        self._source = source
        self._line = 1
        self._line_start = 0
        self._contexts = [_Context()]
        self._recent: list[str] = []  # types of the tokens of this line
        self.errors: list[Diagnostic] = []

    def tokens(self) -> Iterator[Token]:
        """All tokens; the last line ends in _NEWLINE and all blocks are closed, whatever the text ends with."""
        position = 0
        while position < len(self._source):
            if self._at_line_start(position):
                position, indents = self._indentation(position)
                yield from indents
                if position >= len(self._source):
                    break
            found = TOKEN.match(self._source, position)
            if found is None or self._is_of_a_block(found.group()):
                position = self._unknown(position)
                continue
            yield from self._tokens_of(found)
            position = found.end()
        yield from self._end(position)

    def _at_line_start(self, position: int) -> bool:
        return position == self._line_start and not self._joined()

    def _joined(self) -> bool:
        return self._contexts[-1].open_brackets > 0

    def _tokens_of(self, found: re.Match[str]) -> Iterator[Token]:
        kind, text, start = found.lastgroup, found.group(), found.start()
        if kind == "newline" or (kind == "space" and text.endswith("\n")):
            if kind == "newline" and not self._joined():
                yield from self._newline(start)
            self._line += 1
            self._line_start = found.end()
        elif kind == "comment":
            yield self._comment(text, start, found.end())
        elif kind == "name":
            yield self._token(self._name_type(text, start), text, start, found.end())
        elif kind in {"float", "int"}:
            if self._source[found.end() : found.end() + 1].isidentifier():
                help_ = "write a space between; numbers are decimal and have no units, times are in seconds"
                self._error("E001", "a number runs into a name", start, found.end() + 1, help_)
            yield self._token(kind.upper(), text, start, found.end())
        elif kind == "string":
            yield self._token("STRING", self._unescape(text, start), start, found.end())
        elif kind == "punctuation":
            yield from self._punctuation(text, start, found.end())

    def _name_type(self, text: str, start: int) -> str:
        if start == self._line_start and len(self._contexts) == 1 and text in SECTIONS:
            return SECTIONS[text]
        return KEYWORDS.get(text, "NAME")

    def _is_of_a_block(self, text: str) -> bool:
        """Whether a brace belongs to no Map's literal, so that it can but be meant for a block."""
        if text == "}":
            return not self._joined()
        before = self._recent[-1] if self._recent else ""
        return text == "{" and (before not in BEFORE_MAPS or (before == "_COLON" and not self._joined()))

    def _punctuation(self, text: str, start: int, end: int) -> Iterator[Token]:
        context = self._contexts[-1]
        if text in "([{":
            context.open_brackets += 1
        elif text in ")]}":
            if text == ")" and context.open_brackets == 0 and len(self._contexts) > 1:
                yield from self._close_lambda(start)
                context = self._contexts[-1]
            context.open_brackets = max(0, context.open_brackets - 1)
        yield self._token(PUNCTUATION[text], text, start, end)
        if text == ":" and any(self._recent[-len(head) :] == head for head in _LAMBDA_HEADS):
            self._contexts.append(_Context(indents=[self._contexts[-1].indents[-1]]))

    def _close_lambda(self, start: int) -> Iterator[Token]:
        yield from self._newline(start)
        context = self._contexts.pop()
        for _ in context.indents[1:]:
            yield self._token("_DEDENT", "", start, start)

    def _newline(self, position: int) -> Iterator[Token]:
        if self._recent and self._recent[-1] not in {"_NEWLINE", "_INDENT", "_DEDENT"}:
            yield self._token("_NEWLINE", "\n", position, position + 1)
        self._recent.clear()

    def _indentation(self, position: int) -> tuple[int, list[Token]]:
        """Skips the indentation of a line; the blocks that it opens or closes. Empty lines open and close none."""
        end = position
        while end < len(self._source) and self._source[end] in " \t\f\r":
            end += 1
        rest = self._source[end : end + 2]
        if rest[:1] in {"", "\n", "#"} or rest == "//":
            return end, []
        blanks = self._source[position:end]
        if " \t" in blanks:
            title = "spaces before a tab in the indentation"
            self._error("E002", title, position, end, "indent this line with tabs alone or with spaces alone")
        context = self._contexts[-1]
        if rest[0] == ")" and len(self._contexts) > 1:
            return end, []  # closes the lambda, wherever it stands
        return end, self._indent(len(blanks.expandtabs(TAB)), context, position, end)

    def _indent(self, width: int, context: _Context, start: int, end: int) -> list[Token]:
        if width > context.indents[-1]:
            context.indents.append(width)
            return [self._token("_INDENT", "", start, end)]
        levels = ", ".join(str(level) for level in context.indents)
        closed = []
        while width < context.indents[-1] and len(context.indents) > 1:
            context.indents.pop()
            closed.append(self._token("_DEDENT", "", start, end))
        if width != context.indents[-1]:
            if context.misaligned:  # what follows may well come from the line told
                return closed
            context.misaligned = True
            title = f"indentation of {width} columns fits no open block"
            self._error("E002", title, start, end, f"go back to one of the columns {levels} (a tab counts up to {TAB})")
            context.indents.append(width)  # so that the lines beside it bring no errors of their own
        return closed

    def _end(self, position: int) -> Iterator[Token]:
        yield from self._newline(position)
        while self._contexts:
            context = self._contexts.pop()
            for _ in context.indents[1:]:
                yield self._token("_DEDENT", "", position, position)

    def _unescape(self, text: str, start: int) -> str:
        def character(found: re.Match[str]) -> str:
            escape = found.group(1)
            if escape[0] == "x" and len(escape) == 3:
                return bytes([int(escape[1:], 16)]).decode("utf-8", "surrogateescape")  # the parser encodes it back
            if escape not in _ESCAPES:
                place = start + 1 + found.start()
                help_ = r"known are \n \t \r \0 \\ \' \" and \x with two hexadecimal digits"
                self._error("E001", f"unknown escape \\{escape[0]}", place, place + 2, help_)
            return _ESCAPES.get(escape, escape)

        return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", character, text[1:-1])

    def _comment(self, text: str, start: int, end: int) -> Token:
        column = start - self._line_start + 1
        return Token(COMMENT, text, start, self._line, column, self._line, column + end - start, end)

    def _token(self, type_: str, value: str, start: int, end: int) -> Token:
        self._recent.append(type_)
        column = start - self._line_start + 1
        return Token(type_, value, start, self._line, column, self._line, column + max(end - start, 1), end)

    def _unknown(self, position: int) -> int:
        """Notes what no token begins with; where to go on."""
        character = self._source[position]
        if character in "{}":
            self._error("E001", f"unexpected character {character!r}", position, position + 1, _HINTS[character])
            return len(self._source)  # a block in braces: nothing after it is meant for this lexer
        if character in "'\"":
            self._error("E001", "a string without an end", position, position + 1, _HINTS[character])
            end = self._source.find("\n", position)
            return end if end >= 0 else len(self._source)
        help_ = _HINTS.get(character, "leave it out")
        self._error("E001", f"unexpected character {character!r}", position, position + 1, help_)
        while self._source[position : position + 2] == 2 * character:
            position += 1  # `&&` is one mistake
        return position + 1

    def _error(self, code: str, title: str, start: int, end: int, help_: str) -> None:
        column = start - self._line_start + 1
        span = Span(self._file, self._line, column, self._line, column + end - start)
        self.errors.append(Diagnostic(code, Severity.ERROR, title, span, help=help_))
