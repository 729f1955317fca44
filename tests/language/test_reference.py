"""docs/language.md is true: its example compiles."""

from __future__ import annotations

from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from tests.support.signatures import ECHO

REFERENCE = Path("docs/language.md")


def test_the_example_compiles() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    program = text.partition("```appnet\n")[2].partition("```")[0]
    compiled = compile_element(TextSource(Path("seen.appnet"), program), ECHO)
    assert not compiled.warnings
