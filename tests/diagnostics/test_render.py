"""Where marks and their texts stand, for one place and for several, in one line, several lines and several files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.source import FileSource, TextSource

FILE = Path("it.appnet")


def span(line: int, column: int, end: int, file: Path = FILE) -> Span:
    return Span(FileSource(file), line, column, line, end)


def told(*places: Label, at: Span, label: str = "why") -> Diagnostic:
    return Diagnostic("E020", Severity.ERROR, "the title", at, label, "the remedy", places)


def shown(diagnostic: Diagnostic, source: str) -> str:
    """``source``: the text of `FILE`."""

    def given(label: Label) -> Label:
        inside = label.span.source == FileSource(FILE)
        return replace(label, span=replace(label.span, source=TextSource(FILE, source))) if inside else label

    first, *others = map(given, diagnostic.labels)
    return "\n" + replace(diagnostic, span=first.span, places=tuple(others)).render() + "\n"


def test_one_place() -> None:
    assert (
        shown(told(at=span(2, 5, 6)), "a\nb = c\n")
        == """
error[E020]: the title
 --> it.appnet:2:5
  |
2 | b = c
  |     ^ why
  |
  = help: the remedy
"""
    )


def test_places_in_one_line_hang_below_each_other() -> None:
    assert (
        shown(told(Label(span(1, 1, 2), "first"), Label(span(1, 5, 6), "second"), at=span(1, 9, 10)), "a = b + c\n")
        == """
error[E020]: the title
 --> it.appnet:1:9
  |
1 | a = b + c
  | -   -   ^ why
  | |   |
  | |   second
  | first
  |
  = help: the remedy
"""
    )


def test_the_place_it_is_about_may_stand_first() -> None:
    assert (
        shown(told(Label(span(1, 5, 6), "because"), at=span(1, 1, 2)), "a = b\n")
        == """
error[E020]: the title
 --> it.appnet:1:1
  |
1 | a = b
  | ^   - because
  | |
  | why
  |
  = help: the remedy
"""
    )


def test_a_place_within_another() -> None:
    assert (
        shown(told(Label(span(1, 1, 10), "all"), at=span(1, 5, 6)), "a = b + c\n")
        == """
error[E020]: the title
 --> it.appnet:1:5
  |
1 | a = b + c
  | ----^----
  | |   |
  | |   why
  | all
  |
  = help: the remedy
"""
    )


def test_lines_stand_in_order_and_gaps_are_short() -> None:
    places = [Label(span(12, 1, 2), "later"), Label(span(1, 1, 2), "here"), Label(span(3, 1, 2), "there")]
    text = shown(told(*places, at=span(10, 1, 2)), "".join(f"{chr(96 + it)}\n" for it in range(1, 13)))
    assert (
        text
        == """
error[E020]: the title
  --> it.appnet:10:1
   |
 1 | a
   | - here
 2 | b
 3 | c
   | - there
...
10 | j
   | ^ why
11 | k
12 | l
   | - later
   |
   = help: the remedy
"""
    )


def test_places_in_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = Path("other.yaml")
    other.write_text("key: value\n")
    assert (
        shown(told(Label(span(1, 1, 4, other), "given here"), at=span(1, 1, 2)), "a\n")
        == """
error[E020]: the title
 --> it.appnet:1:1
  |
1 | a
  | ^ why
  |
 ::: other.yaml:1:1
  |
1 | key: value
  | --- given here
  |
  = help: the remedy
"""
    )


def test_a_file_that_is_not_there_has_no_lines() -> None:
    gone = Label(span(1, 1, 2, Path("gone.yaml")), "given here")
    assert " ::: gone.yaml:1:1\n  |\n  = help" in shown(told(gone, at=span(1, 1, 2)), "a\n")


def test_of_a_long_line_what_surrounds_the_place_is_shown() -> None:
    line = "x" * 300 + "y" + "z" * 300
    before = Label(span(1, 1, 3), "far away")
    lines = shown(told(before, at=span(1, 301, 302)), line).split("\n")
    text, marks = lines[4], lines[5]
    assert len(text) < 140
    assert text[marks.index("^")] == "y"
    assert "far away" in lines[7]


def test_tabs_are_as_wide_in_the_marks_as_in_the_text() -> None:
    lines = shown(told(at=span(1, 3, 4)), "\t\tx\n").split("\n")
    assert lines[4].index("x") == lines[5].index("^")


def test_several_lines_are_marked_in_the_first() -> None:
    diagnostic = replace(told(at=span(1, 3, 4)), span=Span(FileSource(FILE), 1, 3, 2, 2))
    assert "1 | a bcd\n  |   ^^^ why\n" in shown(diagnostic, "a bcd\ne\n")
