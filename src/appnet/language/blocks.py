"""Where blocks of a program's text begin and end, for remedies that add to them."""

from __future__ import annotations

import re

from appnet.diagnostics.diagnostic import shown_text
from appnet.diagnostics.place import Span
from appnet.diagnostics.remedy import Remedy, added
from appnet.language.braces import has_braces
from appnet.language.lexer import SECTIONS

_HEADS = {"state": "state:", "init": "init():", "open": "open(rpc):", "req": "req(rpc):", "resp": "resp(rpc):"}
_BODIES = {"req": "send(rpc, Down)", "resp": "send(rpc, Up)"}
_SECTION = re.compile(rf"({'|'.join(SECTIONS)})[ \t]*[(:]")
_NO_CODE = re.compile(r"[ \t]*(?:(?:#|//).*)?")


def at_end_of_block(head: Span, statement: str) -> tuple[Remedy, ...]:
    """The statement as the last of the section that begins at ``head``; none for programs in braces."""
    text = shown_text(head.source)
    if has_braces(text):
        return ()
    lines = text.split("\n")
    inside = []
    for number, line in enumerate(lines[head.line :], head.line + 1):
        if line[:1] not in {"", " ", "\t", "\r", "#", "/"}:
            break
        if not _NO_CODE.fullmatch(line.rstrip("\r")):
            inside.append((number, line.rstrip()))
    if not inside:
        return ()
    first, (last, line) = inside[0][1], inside[-1]
    indent = first[: len(first) - len(first.lstrip())]
    end = Span(head.source, last, len(line) + 1, last, len(line) + 1)
    return added(end, f"\n{indent}{statement}", f"Add `{statement}`")


def new_block(place: Span, name: str) -> tuple[Remedy, ...]:
    """The section, which does nothing, where it belongs; ``place`` is anywhere in a program not in braces."""
    lines = shown_text(place.source).split("\n")
    body = _BODIES.get(name, "pass")
    order = list(SECTIONS)
    found = ((number, match[1]) for number, line in enumerate(lines, 1) if (match := _SECTION.match(line)))
    later = next((number for number, it in found if order.index(it) > order.index(name)), None)
    block = f"{_HEADS[name]}\n    {body}\n"
    if later is not None:
        return added(Span(place.source, later, 1, later, 1), f"{block}\n", f"Add `{_HEADS[name]}`")
    while lines[:-1] and not lines[-1].strip():
        lines.pop()
    end = Span(place.source, len(lines), len(lines[-1]) + 1, len(lines), len(lines[-1]) + 1)
    return added(end, f"\n\n{block.rstrip()}", f"Add `{_HEADS[name]}`")
