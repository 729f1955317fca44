"""Texts as they are while somebody types: cut anywhere, with anything in them. Whatever is asked, nothing fails."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from appnet.cli.behaviour import check_any
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.source import TextSource
from appnet.editor.calls import call_help
from appnet.editor.document import ElementText
from appnet.editor.edits import applied
from appnet.editor.names import RenameError, references, renamed
from appnet.editor.outline import outline
from appnet.editor.yaml_text import YamlText

SAMPLES = Path(__file__).parents[2] / "config" / "samples"
STRAY = [
    "(",
    ")",
    "'",
    '"',
    "\t",
    "\0",
    "\r",
    "\x0b",
    "\u2028",
    "🙂",
    "{",
    "}",
    "- ",
    ": ",
    "@",
    "=>",
    "\n\n",
    "<<",
    "&a ",
    "*a",
]
CUTS = 4  # of each file


def torn(path: Path) -> list[str]:
    """The file's text, cut and spoilt in ways that are the same each time."""
    text = path.read_text(encoding="utf-8")
    chance = random.Random(path.name)
    places = [chance.randrange(len(text)) for _ in range(CUTS)]
    cut = [text[:at] for at in places[: CUTS // 2]]
    return ["", *cut, *(text[:at] + chance.choice(STRAY) + text[at:] for at in places[CUTS // 2 :])]


def places(text: str) -> list[tuple[int, int]]:
    """The end, places on the way to it, and one behind it."""
    lines = text.split("\n")
    numbers = range(1, len(lines) + 1, max(1, len(lines) // 5))
    inside = [(number, len(lines[number - 1]) // 2 + 1) for number in numbers]
    return [*inside, (len(lines), len(lines[-1]) + 1), (len(lines) + 3, 7)]


def mend(text: str, diagnostics: list[Diagnostic]) -> None:
    for it in diagnostics:
        for remedy in it.remedies:
            applied(text, [edit for edit in remedy.edits if edit.span.source == it.span.source])


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.appnet")), ids=lambda it: it.name)
def test_elements(path: Path) -> None:
    for text in torn(path):
        element = ElementText(TextSource(path, text))
        mend(text, element.diagnostics)
        outline(element.lines)
        for line, column in places(text):
            element.hover(line, column)
            element.definition(line, column)
            element.completions(line, column)
            call_help(element, line, column)
            references(element, line, column)
            with suppress(RenameError):
                renamed(element, line, column, "another")


FILES = [it for it in sorted(SAMPLES.rglob("*.yaml")) if it.parent.name == "echo"]


@pytest.mark.parametrize("path", FILES, ids=lambda it: it.name)
def test_yaml(path: Path, tmp_path: Path) -> None:
    echo = Path(shutil.copytree(path.parent, tmp_path / "echo"))
    for text in torn(path):
        file = YamlText(TextSource(echo / path.name, text), check_any)
        mend(text, file.diagnostics)
        for line, column in places(text):
            file.hover(line, column)
            file.completions(line, column)
