"""After a syntax error: the tokens without the line that it stands in, so that errors further on are found too."""

from __future__ import annotations

from collections.abc import Iterable

from lark import Token

from appnet.language.lexer import SECTIONS

_BREAKS = frozenset({"_NEWLINE", "_INDENT", "_DEDENT"})
_EMPTY_BLOCK = ("_COLON", "_NEWLINE", "_INDENT", "PASS", "_NEWLINE", "_DEDENT")


def without_line_of(token: Token, tokens: list[Token]) -> list[Token] | None:
    """``tokens`` with the line of ``token``, and the block that belongs to it, replaced by one that does nothing.

    None where what follows cannot be read without that line.
    """
    at = next((index for index, it in enumerate(tokens) if it is token), None)
    if at is None or token.type == "_DEDENT" or token.type in SECTIONS.values():
        return None
    if token.type == "_INDENT":  # a block that belongs to nothing
        return [*tokens[:at], *tokens[_end_of_block(tokens, at) :]]
    start = at
    while start > 0 and tokens[start - 1].type not in _BREAKS:
        start -= 1
    end = _end_of_line(tokens, at)
    if end < len(tokens) and tokens[end].type == "_INDENT":
        end = _end_of_block(tokens, end)
        if end < len(tokens) and tokens[end].type == "_RPAR":  # of a foreach
            end = _end_of_line(tokens, end)
    return [*tokens[:start], *_nothing(tokens[start:end], token), *tokens[end:]]


def _nothing(line: list[Token], place: Token) -> Iterable[Token]:
    """What may stand where the line stood: a section, an arm or a statement."""
    types: tuple[str, ...] = ("PASS", "_NEWLINE")
    if line[0].type in SECTIONS.values():
        types = (line[0].type, *_EMPTY_BLOCK)
    elif any(it.type == "_ARROW" for it in line):
        types = ("UNDERSCORE", "_ARROW", *types)
    return [Token.new_borrow_pos(type_, "", place) for type_ in types]


def _end_of_line(tokens: list[Token], at: int) -> int:
    while at < len(tokens) and tokens[at].type != "_NEWLINE":
        at += 1
    return at + 1


def _end_of_block(tokens: list[Token], indent: int) -> int:
    depth, at = 0, indent
    while at < len(tokens):
        depth += {"_INDENT": 1, "_DEDENT": -1}.get(tokens[at].type, 0)
        at += 1
        if depth == 0:
            break
    return at
