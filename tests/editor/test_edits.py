"""Edits as an editor applies them, and the blocks of a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.diagnostics.place import Span
from appnet.diagnostics.remedy import Edit
from appnet.diagnostics.source import TextSource
from appnet.editor.edits import applied
from appnet.editor.outline import outline

SOURCE = TextSource(Path("it.appnet"), "")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a\n    [b]\nc\n", "a\nc\n"),  # with its line
        ("a\n    [b]", "a\n"),
        ("a\n  [b\n  c]\nd", "a\nd"),
        ("  [@capacity(1)] seen: int\n", "  seen: int\n"),  # with the space behind it
        ("x = [a + ]b\n", "x = b\n"),
        ("  [b]  # why\n", "  # why\n"),
    ],
)
def test_what_is_left_out_leaves_no_gap(text: str, after: str) -> None:
    begin, end = text.index("["), text.index("]") - 1
    plain = text.replace("[", "").replace("]", "")

    def place(offset: int) -> tuple[int, int]:
        before = plain[:offset]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    assert applied(plain, [Edit(Span(SOURCE, *place(begin), *place(end)), "")]) == after


def test_edits_do_not_move_each_other() -> None:
    edits = [Edit(Span(SOURCE, 1, column, 1, column + 1), "long") for column in (1, 5)]
    edits.append(Edit(Span(SOURCE, 2, 1, 2, 1), "new "))
    assert applied("a + a\nb\n", edits) == "long + long\nnew b\n"


def test_the_outline_of_a_text_that_is_no_program() -> None:
    found = outline(["state:", "    @capacity(3) seen: Map<string, ", "    x", "", "req(rpc):", "    if", "# end", ""])
    assert [(it.name, it.kind, it.line, it.last_line) for it in found] == [
        ("state", "state", 1, 3),
        ("req(rpc)", "handler", 5, 7),
    ]
    assert [(it.name, it.detail, it.column) for it in found[0].inner] == [("seen", "Map<string,", 18)]
    assert outline(["fn req(rpc) {"])[0].name == "req(rpc)"
