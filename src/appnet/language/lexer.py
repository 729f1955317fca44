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

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.remedy import Remedy, instead, without

TAB = 4
COMMENT = "COMMENT"
KEYWORDS = {
    **{word: word.upper() for word in ("pass", "send", "match", "foreach", "lambda", "if", "elif", "else")},
    **{word: word.upper() for word in ("and", "or", "not", "true", "false")},
    "Some": "SOME",
    "None": "NONE",
    "_": "UNDERSCORE",
}
LAYOUT = frozenset({"_NEWLINE", "_INDENT", "_DEDENT"})
SECTIONS = {"state": "STATE", "init": "INIT", "open": "OPEN", "req": "REQ", "resp": "RESP", "end": "END"}
OPTIONAL_SECTIONS = frozenset({"open", "end"})
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
    "{": "indentation marks blocks: write `req(rpc):`; only a program that begins with `state {` has braces",
    "}": "indentation marks blocks, and where they end",
    ";": "a statement ends with its line: remove the semicolon",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=` for unequal",
    ".": "for a field write get(rpc, 'field'); for a function of a variable function(x, …)",
    "?": "there is no `? :`; use `if` and `else`",
    **dict.fromkeys("‘’“”`´", "write the quotes ' or \""),
    "'": "close the string with the same quote on the same line",
    '"': "close the string with the same quote on the same line",
}


_WRITTEN = {"&": ("and",), "|": ("or",), "!": ("not ",), **dict.fromkeys("‘’“”`´", ("'",))}
"""What stands in the place of a character."""
_RESTART = re.compile(  # what no line within brackets begins with
    r"""[ \t\f\r]*(?:
        (?:send|match|pass|foreach|if|elif|else)\b
      | (?P<assign>[^\W\d]\w*[ \t]*=(?![=>]))
      | (?:None|Some[ \t]*\([^()\n]*\)|_|true|false|-?[0-9][0-9_.]*|'[^'\n]*'|"[^"\n]*")[ \t]*=>
    )""",
    re.VERBOSE,
)
_CLOSING = {"_LPAR": "_RPAR", "_LSQB": "_RSQB", "_LBRACE": "_RBRACE"}
_BLANKS = re.compile(r"[ \t\f\r]*")
_SECTION = re.compile(rf"(?:{'|'.join(SECTIONS)})[ \t]*[(:]")


@dataclass
class _Context:
    """What encloses the text at hand: the program, or a lambda's body; each has its own indentation.

    ``brackets``: those that are open. ``columns``: of lines that fit no open block, and those that they are taken for.
    """

    indents: list[int] = field(default_factory=lambda: [0])
    brackets: list[Token] = field(default_factory=list)
    columns: dict[int, int] = field(default_factory=dict)


class Lexer:
    """Tokens of one source text: those of the grammar, and COMMENT, which the parser leaves out.

    What is no token is noted in ``errors`` and left out, so that one run tells all of it, and ``bad_lines`` are the
    numbers of the lines where that may be why the parser finds something. ``unclosed`` are brackets that nothing
    closes, each with the number of the last line that it may have swallowed: a closing one without text stands for what
    is missing. With ``gave_up`` the tokens are not fit to be parsed.
    """

    def __init__(self, file: Source, source: str) -> None:
        self._file = file
        self._source = source
        self._line = 1
        self._line_start = 0
        self._contexts = [_Context()]
        self._recent: list[str] = []  # types of the tokens of this line
        self.errors: list[Diagnostic] = []
        self.bad_lines: set[int] = set()
        self.unclosed: list[tuple[Token, int]] = []
        self.gave_up = False
        self._cut = 0  # the last line with this string has no end

    def tokens(self) -> Iterator[Token]:
        """All tokens; the last line ends in _NEWLINE and all blocks are closed, whatever the text ends with."""
        position = 0
        while position < len(self._source):
            if position == self._line_start:
                yield from self._missing_brackets(position)
            if self._at_line_start(position):
                position, indents = self._indentation(position)
                yield from indents
                if position >= len(self._source):
                    break
            found = TOKEN.match(self._source, position)
            if found is None or self._is_of_a_block(found.group()):
                before, position = position, self._unknown(position)
                if self._source[before] in "'\"":
                    yield self._token("STRING", "", before, position)
                continue
            yield from self._tokens_of(found)
            position = found.end()
        yield from self._end(position)

    def _at_line_start(self, position: int) -> bool:
        return position == self._line_start and not self._joined()

    def _joined(self) -> bool:
        return bool(self._contexts[-1].brackets)

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
                help_ = "add a space; numbers are decimal and have no units, times are in seconds"
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
        if text in ")]}":
            if text == ")" and not context.brackets and len(self._contexts) > 1:
                yield from self._close_lambda(start)
                context = self._contexts[-1]
            del context.brackets[-1:]
        token = self._token(PUNCTUATION[text], text, start, end)
        if text in "([{":
            context.brackets.append(token)
        yield token
        if text == ":" and any(self._recent[-len(head) :] == head for head in _LAMBDA_HEADS):
            self._contexts.append(_Context(indents=[self._contexts[-1].indents[-1]]))

    def _close_lambda(self, start: int) -> Iterator[Token]:
        yield from self._newline(start)
        context = self._contexts.pop()
        for _ in context.indents[1:]:
            yield self._token("_DEDENT", "", start, start)

    def _missing_brackets(self, position: int) -> Iterator[Token]:
        """Closes what must have been closed before the line that begins here."""
        if self._joined():
            restart = _RESTART.match(self._source, position)
            cut = self._cut == self._line - 1  # by a string that may have swallowed them
            if (
                cut
                or _SECTION.match(self._source, position)
                or (restart and not (restart["assign"] and "INIT" in self._recent))
            ):
                yield from self._close_brackets(position, None if cut else self._line - 1)
        while len(self._contexts) > 1 and not self._joined() and self._ends_lambda(position):
            yield from self._close_lambda(position)
            brackets = self._contexts[-1].brackets
            yield from self._close_brackets(position, brackets[-1].line if brackets else None)

    def _ends_lambda(self, position: int) -> bool:
        """Whether the line that begins here can be none of the lambda's body, and does not close it."""
        if _SECTION.match(self._source, position):
            return True
        found = _BLANKS.match(self._source, position)
        blanks = found.group() if found else ""
        rest = self._source[position + len(blanks) : position + len(blanks) + 2]
        if rest[:1] in {"", "\n", "#", ")"} or rest == "//":
            return False
        indents = self._contexts[-1].indents
        return len(indents) > 1 and len(blanks.expandtabs(TAB)) <= indents[0]

    def _close_brackets(self, position: int, last_line: int | None) -> Iterator[Token]:
        """Ends the line and its brackets here; unless ``last_line`` is None, notes the innermost of them."""
        brackets = self._contexts[-1].brackets
        if brackets and last_line is not None:
            self.unclosed.append((brackets[-1], last_line))
        while brackets:
            yield self._token(_CLOSING[brackets.pop().type], "", position, position)
        yield from self._newline(position)

    def _newline(self, position: int) -> Iterator[Token]:
        if self._recent and self._recent[-1] not in LAYOUT:
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
            self._error("E002", title, position, end, "indent this line with either tabs or spaces")
        context = self._contexts[-1]
        if rest[0] == ")" and len(self._contexts) > 1:
            return end, []  # closes the lambda, wherever it stands
        return end, self._indent(len(blanks.expandtabs(TAB)), context, position, end)

    def _indent(self, width: int, context: _Context, start: int, end: int) -> list[Token]:
        if width in context.columns:
            self.bad_lines.add(self._line)
            width = context.columns[width]
        if width > context.indents[-1]:
            context.indents.append(width)
            return [self._token("_INDENT", "", start, end)]
        levels = ", ".join(str(level) for level in context.indents)
        closed = []
        while width < context.indents[-1] and len(context.indents) > 1:
            context.indents.pop()
            closed.append(self._token("_DEDENT", "", start, end))
        if width != context.indents[-1]:
            if not context.columns:  # another may well come from the first
                title = f"indentation of {width} columns matches no open block"
                help_ = f"go back to one of the columns {levels} (a tab counts up to {TAB})"
                self._error("E002", title, start, end, help_)
            self.bad_lines.add(self._line)
            context.columns[width] = context.indents[-1]
        return closed

    def _end(self, position: int) -> Iterator[Token]:
        while True:
            yield from self._close_brackets(position, None if self._cut >= self._line - 1 else self._line)
            if len(self._contexts) == 1:
                break
            yield from self._close_lambda(position)
        for _ in self._contexts[0].indents[1:]:
            yield self._token("_DEDENT", "", position, position)

    def _unescape(self, text: str, start: int) -> str:
        def character(found: re.Match[str]) -> str:
            escape = found.group(1)
            if escape[0] == "x" and len(escape) == 3:
                return bytes([int(escape[1:], 16)]).decode("utf-8", "surrogateescape")  # the parser encodes it back
            if escape not in _ESCAPES:
                place = start + 1 + found.start()
                help_ = r"the escapes are \n \t \r \0 \\ \' \" and \x with two hexadecimal digits"
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
            self.gave_up = True
            return len(self._source)  # a block in braces: nothing after it is meant for this lexer
        if character in "'\"":
            self._error("E001", "this string has no end", position, position + 1, _HINTS[character])
            end = self._source.find("\n", position)
            self._cut = self._line
            return end if end >= 0 else len(self._source)
        help_, end = _HINTS.get(character, "remove it"), position + 1
        while self._source[end : end + 1] == character:
            end += 1  # `&&` is one mistake
        whole = self._span(position, end)
        remedies = instead(whole, *_WRITTEN[character]) if character in _WRITTEN else ()
        if character == ";" or character not in _HINTS:
            remedies = without(whole)
        self._error("E001", f"unexpected character {character!r}", position, position + 1, help_, remedies)
        return end

    def _error(
        self, code: str, title: str, start: int, end: int, help_: str, remedies: tuple[Remedy, ...] = ()
    ) -> None:
        span = self._span(start, end)
        self.errors.append(Diagnostic(code, Severity.ERROR, title, span, help=help_, remedies=remedies))
        self.bad_lines.add(self._line)

    def _span(self, start: int, end: int) -> Span:
        column = start - self._line_start + 1
        return Span(self._file, self._line, column, self._line, column + end - start)
