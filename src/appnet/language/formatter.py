"""One layout for all programs: the tokens stay as they are, what stands between them is made anew.

Four columns a block, one space between words, one blank line between sections and at most one elsewhere, bodies on
lines of their own but for arms. Comments keep their block; one within an expression moves above its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lark import Token

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source
from appnet.language.braces import has_braces, lexer_for
from appnet.language.lexer import COMMENT, LAYOUT, SECTIONS, TAB
from appnet.language.parser import parse, read_program

_INDENT = 4
_WIDTH = 100  # a longer line keeps the line ends that stand between its parentheses
_CALLED = frozenset({"NAME", "SEND", "FOREACH", "LAMBDA", "SOME", *SECTIONS.values()})
_OPERANDS = frozenset({"NAME", "INT", "FLOAT", "STRING", "TRUE", "FALSE", "_RPAR", "_RSQB", "_RBRACE"})
_OPENING = frozenset({"_LPAR", "_LSQB", "_LBRACE"})
_CLOSING = frozenset({"_RPAR", "_RSQB", "_RBRACE"})
_HEADS = frozenset({"IF", "ELIF", "ELSE", "FOREACH", *SECTIONS.values()})


def format_program(file: Source, *, upgrade: bool = False) -> str:
    """The text of ``file`` in the canonical layout: the same program with the same comments.

    Raises `DiagnosticError` for text that is no program, and unless ``upgrade`` for one in the older syntax.
    """
    program = parse(file)
    source = read_program(file).removeprefix("\ufeff")
    tokens: Iterable[Token] = lexer_for(file, source).tokens()
    if not has_braces(source):
        tokens = _settled(tokens, source)
    elif not upgrade:
        title, help_ = "this program is in the older brace syntax", "`appnetctl fmt --upgrade` rewrites it"
        raise DiagnosticError([Diagnostic("E006", Severity.ERROR, title, program.span, "blocks in braces", help_)])
    return _Printer(source).text(tokens)


def _settled(tokens: Iterable[Token], source: str) -> Iterator[Token]:
    """The tokens, with comments that stand on lines of their own in the blocks that their columns tell."""
    columns = [0]
    waiting: list[Token] = []
    line_open = False
    for token in tokens:
        if token.type == COMMENT and not line_open:
            waiting.append(token)
            continue
        if token.type == "_INDENT":
            columns.append(_column(token, source))
        elif token.type == "_DEDENT":
            while waiting and _column(waiting[0], source) >= columns[-1]:
                yield waiting.pop(0)
            columns.pop()
        else:
            yield from waiting
            waiting.clear()
            line_open = token.type != "_NEWLINE"
        yield token
    yield from waiting


def _column(token: Token, source: str) -> int:
    """The column at which the first thing on the token's line stands."""
    start = source.rfind("\n", 0, token.start_pos) + 1
    line = source[start:].split("\n", 1)[0]
    return len(line[: len(line) - len(line.lstrip())].expandtabs(TAB))


@dataclass(frozen=True)
class _Line:
    """A line to be written; ``after_blank``: whether a blank one stood before it."""

    depth: int
    text: str
    after_blank: bool
    is_comment: bool = False
    is_section: bool = False


class _Printer:
    """Writes tokens. COMMENT tokens stand where they are to be written, in the block they belong to."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._source_lines = source.split("\n")
        self._lines: list[_Line] = []
        self._depth = 0
        self._in_state = False

    def text(self, tokens: Iterable[Token]) -> str:
        line: list[Token] = []
        for token in tokens:
            if token.type == "_NEWLINE":
                self._line(line)
                line = []
            elif token.type == COMMENT and not line:
                self._comment(token)
            elif token.type in LAYOUT:
                self._depth += 1 if token.type == "_INDENT" else -1
            else:
                line.append(token)
        return "".join(self._spaced())

    def _spaced(self) -> Iterator[str]:
        before: _Line | None = None
        for line in self._lines:
            if before is not None and _blank_between(before, line):
                yield "\n"
            yield f"{' ' * (_INDENT * line.depth)}{line.text}".rstrip() + "\n"
            before = line

    def _comment(self, token: Token) -> None:
        self._lines.append(_Line(self._depth, token.rstrip(), self._after_blank(token), is_comment=True))

    def _after_blank(self, token: Token) -> bool:
        number = (token.line or 1) - 2  # of the line above, from 0
        return number >= 0 and not self._source_lines[number].strip()

    def _line(self, tokens: list[Token]) -> None:
        """Writes one logical line, which may become two: a head and the body that followed it."""
        trailing = tokens.pop() if tokens[-1].type == COMMENT else None
        for comment in tokens:
            if comment.type == COMMENT:
                self._comment(comment)
        tokens = [it for it in tokens if it.type != COMMENT]
        if tokens[0].type in SECTIONS.values():
            self._in_state = tokens[0].type == "STATE"
        head, body, deeper = self._parts(tokens)
        after_blank = self._after_blank(tokens[0])
        is_section = tokens[0].type in SECTIONS.values()
        if body:
            self._lines.append(_Line(self._depth, self._joined(head), after_blank, is_section=is_section))
            head, after_blank, is_section = body, False, False
        text = self._joined(head) + (f"  {trailing.rstrip()}" if trailing else "")
        self._lines.append(_Line(self._depth + deeper, text, after_blank, is_section=is_section))

    def _parts(self, tokens: list[Token]) -> tuple[list[Token], list[Token], int]:
        """A line in two: head and body, or decorators and declaration; and how much deeper the second stands."""
        if self._in_state and tokens[0].type == "_AT":
            last = max(index for index, it in enumerate(tokens) if it.type == "_RPAR")
            return tokens[: last + 1], tokens[last + 1 :], 0
        if tokens[0].type in _HEADS:
            depth = 0
            for index, it in enumerate(tokens):
                depth += (it.type in _OPENING) - (it.type in _CLOSING)
                if it.type == "_COLON" and depth == (1 if tokens[0].type == "FOREACH" else 0):
                    body = tokens[index + 1 :]
                    return tokens[: index + 1], body, 1 if body else 0
        return tokens, [], 0

    def _joined(self, tokens: list[Token]) -> str:
        text = "".join(self._with_spaces(tokens, kept_line_ends=False))
        if _INDENT * self._depth + len(text) > _WIDTH:
            return "".join(self._with_spaces(tokens, kept_line_ends=True))
        return text

    def _with_spaces(self, tokens: list[Token], *, kept_line_ends: bool) -> Iterator[str]:
        depth = 0
        for index, token in enumerate(tokens):
            if token.type in _CLOSING:
                depth -= 1
            if index:
                between = " " if self._space(tokens[:index], token) else ""
                if kept_line_ends and token.line != tokens[index - 1].end_line and (depth or token.type in _CLOSING):
                    between = "\n" + " " * (_INDENT * (self._depth + depth))
                yield between
            yield self._source[token.start_pos : token.end_pos] if token.type == "STRING" else str(token)
            if token.type in _OPENING:
                depth += 1

    def _space(self, before: list[Token], token: Token) -> bool:
        """Whether a space stands between what is ``before`` on the line and ``token``."""
        last = before[-1].type
        if last in _OPENING or last == "_AT" or token.type in _CLOSING or token.type in {"_COMMA", "_COLON"}:
            return False
        if token.type == "_LPAR" and last in _CALLED:
            return False
        if self._in_state and (last == "LT" or token.type == "GT" or (token.type == "LT" and last == "NAME")):
            return False
        return not (last == "MINUS" and (len(before) == 1 or before[-2].type not in _OPERANDS))


def _blank_between(before: _Line, line: _Line) -> bool:
    if line.depth > before.depth or line.text.startswith(")"):
        return False
    top = line.depth == 0 and (line.is_section or line.is_comment)
    if top and not (before.is_comment and before.depth == 0):
        return True
    return line.after_blank
