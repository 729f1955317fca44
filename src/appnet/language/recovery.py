"""After a syntax error: the tokens as if its line had been right, so that what is wrong further on is found too.

What a line cannot tell any more stands as `LOST`, a name that no program can write; the block under it stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lark import Token

from appnet.diagnostics.near import near_names
from appnet.language.lexer import LAYOUT, SECTIONS

LOST = "<lost>"
_SECTIONS = frozenset(SECTIONS.values())
_NOTHING = ("PASS", "_NEWLINE")
_EMPTY_BLOCK = ("_NEWLINE", "_INDENT", *_NOTHING, "_DEDENT")
_TEXTS = {"NAME": LOST}


@dataclass(frozen=True)
class Repaired:
    """``names``: those that are in the tokens no more; ``state``: those of them that stood in `state`."""

    tokens: list[Token]
    names: frozenset[str]
    state: frozenset[str]


def line_at_fault(tokens: Sequence[Token], at: int, accepts: Collection[str]) -> int:
    """Where the line begins that the unexpected token at ``at`` is the fault of: its own, or the one before."""
    before = at == len(tokens) or tokens[at].type in {"_DEDENT", *_SECTIONS} or "_INDENT" in accepts
    if before:
        at -= 1
        while at > 0 and tokens[at].type in LAYOUT:
            at -= 1
    return _beginning_of_line(tokens, at)


def kind_of_fault(token: Token, accepts: Collection[str]) -> str:
    """What is wrong with the line at fault: its indentation, that nothing belongs to it, or its text."""
    if token.type == "_INDENT":
        return "indentation"
    return "block" if "_INDENT" in accepts else "text"


def unread(tokens: list[Token], at: int) -> Repaired:
    """The tokens with a line that says nothing in place of the one that ``at`` is in."""
    return _repaired(tokens, _with_another_line(tokens, _beginning_of_line(tokens, at)))


def repaired(tokens: list[Token], at: int, accepts: Collection[str], attempt: int) -> Repaired | None:
    """The tokens with another line in place of the one at fault.

    ``attempt``: how often that line has been put right already; each time less is left of what surrounds it. None where
    nothing is left to try.
    """
    start = line_at_fault(tokens, at, accepts)
    line = tokens[start : _end_of_line(tokens, start)]
    if not line:
        return None
    place = line[0]
    kind = kind_of_fault(tokens[at] if at < len(tokens) else place, accepts)
    if attempt == 0 and kind == "indentation":
        made = _unindented(tokens, at)
    elif attempt == 0 and kind == "block":
        made = _indented(tokens, start, at)
    elif attempt == 0:
        made = _into_section(tokens, start) or _with_another_line(tokens, start, orphan=at == start)
    elif attempt in {1, 2}:
        end = _end_of_statement(tokens, start)
        instead = _instead(_context(tokens, start), place) if attempt == 1 else ()
        made = [*tokens[:start], *_made(instead, place), *tokens[end:]]
    elif attempt == 3:
        made = _without_section(tokens, start)
    else:
        return None
    return _repaired(tokens, made)


def _repaired(tokens: list[Token], made: list[Token]) -> Repaired:
    kept = {id(it) for it in made}
    gone = [it for it in tokens if it.type == "NAME" and id(it) not in kept]
    state = {id(it) for it in _of_state(tokens)}
    return Repaired(made, frozenset(map(str, gone)), frozenset(str(it) for it in gone if id(it) in state))


def _of_state(tokens: Sequence[Token]) -> Iterator[Token]:
    section = ""
    for it in tokens:
        section = it.type if it.type in _SECTIONS else section
        if section == "STATE":
            yield it


def _into_section(tokens: list[Token], start: int) -> list[Token]:
    """A line outside all blocks that begins none, with what stands under it, in the section above; empty where that
    cannot be.
    """
    end = _end_of_line(tokens, start)
    type_, last = tokens[start].type, [it.type for it in tokens[end - 2 : end]]
    heads = type_ in _SECTIONS or (type_ == "NAME" and last == ["_COLON", "_NEWLINE"])
    if start == 0 or tokens[start - 1].type != "_DEDENT" or _context(tokens, start) or heads:
        return []
    dedent, line = tokens[start - 1], tokens[start:end]
    if not _opens_block(tokens, end) or any(it.type in {"_COLON", "_ARROW"} for it in line[-2:]):
        end = _end_of_statement(tokens, start)
        return [*tokens[: start - 1], *tokens[start:end], dedent, *tokens[end:]]
    if _has_arms(tokens, end + 1):
        head, block_end = _made(("MATCH", "NAME", "_COLON", "_NEWLINE"), line[0]), _end_of_block(tokens, end)
        return [*tokens[: start - 1], *line, *head, *tokens[end:block_end], dedent, *tokens[block_end:]]
    return [*tokens[: start - 1], *line, *tokens[end + 1 :]]  # what closed its block closes the section's


def _with_another_line(tokens: list[Token], start: int, *, orphan: bool = False) -> list[Token]:
    """The block under the line is kept, under a line that says nothing. ``orphan``: the line's first word is wrong."""
    end = _end_of_line(tokens, start)
    place, context = tokens[start], _context(tokens, start)
    if not _opens_block(tokens, end):
        while context == "STATE" and _decorates(tokens, start):
            start = _beginning_of_line(tokens, start - 2)
        return [*tokens[:start], *_made(_instead(context, place), place), *tokens[end:]]
    block_end, after = _end_of_block(tokens, end), _end_of_statement(tokens, start)
    section = _section_of(tokens[start:end]) if context == "" else ""
    if section:
        place = Token.new_borrow_pos(section, "", place)
    head = _head(context, place, has_arms=_has_arms(tokens, end + 1), orphan=orphan)
    if not head:
        return [*tokens[:start], *tokens[after:]]
    tail = ["_DEDENT"] if head.count("_INDENT") else []
    return [*tokens[:start], *_made(head, place), *tokens[end:block_end], *_made(tail, place), *tokens[after:]]


def _section_of(line: Sequence[Token]) -> str:
    """The type of the section that a line outside all blocks was meant to begin; empty where none can be told."""
    names = [str(it) for it in line[:2] if it.type in {"NAME", *_SECTIONS}]
    if [it.type for it in line[-2:-1]] != ["_COLON"]:
        return ""
    meant = [name for it in names for name in ([it] if it in SECTIONS else near_names(it, SECTIONS))]
    return SECTIONS[meant[0]] if meant else ""


def _decorates(tokens: Sequence[Token], start: int) -> bool:
    """Whether decorators stand in the line before the one that begins at ``start``, and nothing else."""
    line = tokens[_beginning_of_line(tokens, max(start - 2, 0)) : start]
    return [it.type for it in line[-1:]] == ["_NEWLINE"] and line[0].type == "_AT" and all(it != ":" for it in line)


def _head(context: str, place: Token, *, has_arms: bool, orphan: bool) -> tuple[str, ...]:
    """The types of a line that opens the block; none where no block can be opened."""
    if context == "STATE":
        return ()
    if context == "":
        return (place.type, "_COLON", "_NEWLINE") if place.type in _SECTIONS else ()
    match = ("MATCH", "NAME", "_COLON", "_NEWLINE")
    if context == "MATCH":
        arm = ("UNDERSCORE", "_ARROW", "_NEWLINE")
        return (*arm, "_INDENT", *match) if has_arms else arm
    if has_arms:
        return match
    if place.type in {"ELIF", "ELSE"} and orphan:
        return (*match, "_INDENT", "UNDERSCORE", "_ARROW", "_NEWLINE")
    return ("ELIF" if place.type in {"ELIF", "ELSE"} else "IF", "NAME", "_COLON", "_NEWLINE")


def _instead(context: str, place: Token) -> tuple[str, ...]:
    """The types of a line, without a block, that does nothing."""
    if context == "":
        return (place.type, "_COLON", *_EMPTY_BLOCK) if place.type in _SECTIONS else ()
    if context == "MATCH":
        return ("UNDERSCORE", "_ARROW", *_NOTHING)
    if context != "STATE" and place.type in {"IF", "ELIF", "ELSE"}:
        return ("IF" if place.type == "IF" else "ELIF", "NAME", "_COLON", *_NOTHING)
    return _NOTHING


def _unindented(tokens: list[Token], at: int) -> list[Token]:
    """The lines of a block that belongs to nothing, in the block around it."""
    end, context = _end_of_block(tokens, at), _context(tokens, at)
    if context == "" or (context == "MATCH" and not _has_arms(tokens, at + 1)):
        return [*tokens[:at], *tokens[end:]]
    return [*tokens[:at], *tokens[at + 1 : end - 1], *tokens[end:]]


def _indented(tokens: list[Token], start: int, at: int) -> list[Token]:
    """What follows a line as its block, where the line needs one: the rest of a section, the arms of a match, or the
    next line.
    """
    head, end = tokens[start], at
    if head.type in _SECTIONS:
        while end < len(tokens) and tokens[end].type not in _SECTIONS:
            end += 1
    elif head.type == "FOREACH":
        while end < len(tokens) and tokens[end].type not in {"_RPAR", "_DEDENT", *_SECTIONS}:
            end = _end_of_statement(tokens, end)
    elif head.type == "MATCH":
        while end < len(tokens) and tokens[end].type not in {"_DEDENT", *_SECTIONS} and _has_arms(tokens, end):
            end = _end_of_statement(tokens, end)
    elif end < len(tokens) and tokens[end].type not in {"_DEDENT", *_SECTIONS}:
        end = _end_of_statement(tokens, end)
    inner = _level(tokens[at:end]) or _made(
        ("UNDERSCORE", "_ARROW", *_NOTHING) if head.type == "MATCH" else _NOTHING, head
    )
    return [*tokens[:at], *_made(("_INDENT",), head), *inner, *_made(("_DEDENT",), head), *tokens[end:]]


def _level(tokens: list[Token]) -> list[Token]:
    """The lines without the blocks that belong to no line of theirs."""
    index = 1
    while index < len(tokens):
        opened = tokens[index - 2 : index]
        if tokens[index].type == "_INDENT" and [it.type for it in opened][:1] not in (["_COLON"], ["_ARROW"]):
            end = _end_of_block(tokens, index)
            tokens = [*tokens[:index], *tokens[index + 1 : end - 1], *tokens[end:]]
        else:
            index += 1
    return tokens


def _without_section(tokens: list[Token], start: int) -> list[Token]:
    """The section around the line, empty."""
    head = start
    while head > 0 and tokens[head].type not in _SECTIONS:
        head -= 1
    end = start + 1
    while end < len(tokens) and tokens[end].type not in _SECTIONS:
        end += 1
    return [*tokens[:head], *_made(_instead("", tokens[head]), tokens[head]), *tokens[end:]]


def _context(tokens: Sequence[Token], at: int) -> str:
    """The type of the token that begins the line over the block around ``at``; empty outside all blocks."""
    depth = 0
    for index in range(at - 1, -1, -1):
        depth += {"_DEDENT": 1, "_INDENT": -1}.get(tokens[index].type, 0)
        if depth < 0:
            head = max(index - 1, 0)
            while head > 0 and tokens[head - 1].type not in LAYOUT:
                head -= 1
            return tokens[head].type
    return ""


def _has_arms(tokens: Sequence[Token], at: int) -> bool:
    """Whether the line is an arm of a match."""
    return any(it.type == "_ARROW" for it in tokens[at : _end_of_line(tokens, at)])


def _opens_block(tokens: Sequence[Token], end: int) -> bool:
    return end < len(tokens) and tokens[end].type == "_INDENT"


def _beginning_of_line(tokens: Sequence[Token], at: int) -> int:
    while at > 0 and tokens[at - 1].type not in LAYOUT:
        at -= 1
    return at


def _end_of_line(tokens: Sequence[Token], at: int) -> int:
    while at < len(tokens) and tokens[at].type != "_NEWLINE":
        at += 1
    return min(at + 1, len(tokens))


def _end_of_statement(tokens: Sequence[Token], at: int) -> int:
    """Behind the line and the block that belongs to it."""
    end = _end_of_line(tokens, at)
    if _opens_block(tokens, end):
        end = _end_of_block(tokens, end)
        if end < len(tokens) and tokens[end].type == "_RPAR":  # of a foreach
            end = _end_of_line(tokens, end)
    return end


def _end_of_block(tokens: Sequence[Token], indent: int) -> int:
    depth, at = 0, indent
    while at < len(tokens):
        depth += {"_INDENT": 1, "_DEDENT": -1}.get(tokens[at].type, 0)
        at += 1
        if depth == 0:
            break
    return at


def _made(types: Collection[str], place: Token) -> list[Token]:
    return [Token.new_borrow_pos(type_, _TEXTS.get(type_, ""), place) for type_ in types]
