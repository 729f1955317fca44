"""docs/language.md is true: its table of built-ins is that of the code, and its example compiles."""

from __future__ import annotations

import textwrap
from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.language.operations import OPERATIONS
from tests.support.signatures import ECHO

REFERENCE = Path("docs/language.md")


def builtin_rows() -> str:
    rows = []
    for operation in OPERATIONS.values():
        written = operation.surface.replace("|", "\\|")
        rows.append(f"| `{written}` | {operation.meaning} |")
    return "\n".join(rows)


def test_the_table_of_built_ins_is_that_of_the_code(request) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    head, _, rest = text.partition("| written | meaning |\n|---|---|\n")
    _, _, tail = rest.partition("\n\n")
    fresh = f"{head}| written | meaning |\n|---|---|\n{builtin_rows()}\n\n{tail}"
    if request.config.getoption("--update-snapshots"):
        REFERENCE.write_text(fresh, encoding="utf-8")
    assert REFERENCE.read_text(encoding="utf-8") == fresh


def test_the_example_compiles() -> None:
    lines = REFERENCE.read_text(encoding="utf-8").split("\n")
    start = lines.index("    state:                                   # what the element remembers")
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("Four blocks"))
    compiled = compile_element(TextSource(Path("seen.appnet"), textwrap.dedent("\n".join(lines[start:end]))), ECHO)
    assert not compiled.warnings
