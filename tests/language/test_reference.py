"""docs/language.md is true: its example compiles."""

from __future__ import annotations

import textwrap
from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from tests.support.signatures import ECHO

REFERENCE = Path("docs/language.md")


def test_the_example_compiles() -> None:
    lines = REFERENCE.read_text(encoding="utf-8").split("\n")
    start = lines.index("    state:                                   # what the element remembers")
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("Four blocks"))
    compiled = compile_element(TextSource(Path("seen.appnet"), textwrap.dedent("\n".join(lines[start:end]))), ECHO)
    assert not compiled.warnings
