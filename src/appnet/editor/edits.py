"""Edits of a text, as an editor applies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from appnet.diagnostics.remedy import Edit


def settled(edit: Edit, lines: Sequence[str]) -> Edit:
    """What leaves something out, with the line that it leaves empty, or with the space behind it."""
    span = edit.span
    if edit.text or (span.line, span.column) == (span.end_line, span.end_column) or span.end_line > len(lines):
        return edit
    before, after = lines[span.line - 1][: span.column - 1], lines[span.end_line - 1][span.end_column - 1 :]
    if before.strip() or (after.strip() and not before):
        return edit
    if after.strip():
        return replace(edit, span=replace(span, end_column=span.end_column + len(after) - len(after.lstrip())))
    if span.end_line < len(lines):
        return replace(edit, span=replace(span, column=1, end_line=span.end_line + 1, end_column=1))
    return replace(edit, span=replace(span, column=1, end_column=len(lines[span.end_line - 1]) + 1))


def applied(text: str, edits: Sequence[Edit]) -> str:
    """The text after all the edits, none of which overlap."""
    lines = text.split("\n")
    starts = [0, *accumulate(len(it) + 1 for it in lines)]
    whole = [settled(it, lines).span for it in edits]
    for edit, span in sorted(zip(edits, whole, strict=True), key=lambda it: (it[1].line, it[1].column), reverse=True):
        begin, end = starts[span.line - 1] + span.column - 1, starts[span.end_line - 1] + span.end_column - 1
        text = text[:begin] + edit.text + text[end:]
    return text
