"""docs/diagnostics.md: the pages of all codes, and wrong programs beside what other compilers say of the like.

In ``compared/`` each folder has a wrong element (or a configuration), and ``main.rs`` with what rustc printed for it:

    rustc --edition 2024 --color never --crate-type lib --emit metadata main.rs 2> rustc.txt

or ``vrl.txt``, which is written by hand as VRL's documentation shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from appnet.application.load import load
from appnet.application.proto import load_proto
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.pages import codes, page
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from tests.docs.elements_page import ROOT

COMPARED = sorted((Path(__file__).parent / "compared").iterdir())
_HEAD = """# Diagnostics

Every diagnostic has a stable code, a place, a cause and a remedy. It also shows other places that explain it: where a variable
is declared, the first of two, a definition in another file. AppNet reports all errors at once. It leaves out errors that only
follow from others, and checks everything that it can still read around a broken line.

- `appnetctl explain-code E014` explains a code in the terminal; without a code it lists all. The pages are those [below](#codes).
- `appnetctl check FILE… -o json` prints diagnostics for tools, with all `places`; editors get them as related information.
- On a terminal they are coloured. `NO_COLOR` turns that off and `FORCE_COLOR` on; pipes, files and JSON have no colours.
- E and C are errors (exit code 2), W are warnings, told once there are no errors, and N are notes, which
  [`appnetctl check --target`](tools.md#appnetctl-check) asks for. A code is never reused.

## Compared with other compilers

Ten programs with errors, and the output of rustc 1.95 for similar errors in Rust. VRL, the language of Vector, was not run: its text follows
its documentation and its issues.
"""
_CODES = """## Codes

Examples of elements show the blocks that matter; the others do nothing. Their method is that of the echo sample, whose messages have one
field, `Body` (case makes no difference). Examples of configurations show the keys that matter; the others are as in
`config/samples/echo/sample_echo_sidecar.yaml`. A test runs each example, except those that need a command, a proxy or several files: these are
shown as commands or in part.
"""


def diagnostics_page() -> str:
    """The page."""
    return "\n".join([_HEAD, *(_comparison(it) for it in COMPARED), _CODES, *_table(), "", *_pages()])


def _comparison(folder: Path) -> str:
    title, note = (folder / "note.md").read_text(encoding="utf-8").split("\n", 1)
    theirs = "vrl" if (folder / "vrl.txt").exists() else "rustc"
    text = (folder / f"{theirs}.txt").read_text(encoding="utf-8").strip("\n")
    return (
        f"##{title}\n\nAppNet:\n\n```text\n{told(folder)}\n```\n\n{theirs}:\n\n```text\n{text}\n```\n\n{note.strip()}\n"
    )


def told(folder: Path) -> str:
    """What is told of what is in the folder."""
    try:
        if (folder / "echo.yaml").exists():
            found = list(load(FileSource(folder / "echo.yaml")).warnings)
        else:
            (file,) = folder.glob("*.appnet")
            method = load_proto(FileSource(ROOT / "config" / "samples" / "echo" / "echo.proto")).method("echo")
            found = list(compile_element(FileSource(file), method).warnings)
    except DiagnosticError as error:
        found = error.diagnostics
    return "\n\n".join(it.render() for it in found).replace(f"{folder}/", "")


def _table() -> Iterator[str]:
    yield "| code | meaning |"
    yield "|---|---|"
    for code in codes():
        yield f"| [`{code}`](#{code.lower()}) | {page(code).title} |"


def _pages() -> Iterator[str]:
    for code in codes():
        found = page(code)
        body = found.body.replace("## Example", "Example:").replace("## Fix\n\n", "").replace("## What to do\n\n", "")
        yield f"### {code}\n\n{found.title} {body}\n"
