"""Of a program that cannot be read all errors are told, each once: those that its lines are marked with, and no more.

A mark is a comment at the end of a line: ``#! E003 E010``.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from tests.support.signatures import ECHO

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.appnet"))


def marked(text: str) -> Counter[tuple[int, str]]:
    found: Counter[tuple[int, str]] = Counter()
    for number, line in enumerate(text.split("\n"), 1):
        mark = re.search(r"#! (.*)$", line)
        found.update((number, code) for code in (mark[1].split() if mark else ()))
    return found


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_what_is_marked_is_told_and_nothing_else(path: Path) -> None:
    with pytest.raises(DiagnosticError) as caught:
        compile_element(FileSource(path), ECHO)
    assert Counter((it.span.line, it.code) for it in caught.value.diagnostics) == marked(path.read_text())


def test_a_long_text_that_is_no_program_is_told_in_time() -> None:
    source = "state:\n    pass\nreq(rpc):\n" + "    x = = 1\n" * 3000
    with pytest.raises(DiagnosticError) as caught:
        compile_element(TextSource(Path("long.appnet"), source), ECHO)
    assert len(caught.value.diagnostics) == 50
