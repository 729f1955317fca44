"""`appnetctl explain-code`: the page of a diagnostic's code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from appnet.cli.errors import open_screens
from appnet.diagnostics.near import did_you_mean, near_names
from appnet.diagnostics.pages import Page, codes, page


def command(
    wanted: Annotated[
        list[str] | None, typer.Argument(metavar="CODE", help="Codes, such as E014; default: list all codes.")
    ] = None,
) -> None:
    """Explain codes of errors, warnings and notes: what each means, an example, and a fix."""
    out = open_screens().out
    if not wanted:
        for code in codes():
            out.print(Text.assemble((code, "bold"), f"  {page(code).title}"))
        return
    known = codes()
    for number, it in enumerate(it for it in wanted if it.upper() in known):
        out.print(Text("\n" if number else "").append(Text("\n").join(_lines(page(it.upper())))))
    unknown = [it for it in wanted if it.upper() not in known]
    if unknown:
        raise typer.BadParameter("; ".join(f"there is no code {it}; {_near(it.upper(), known)}" for it in unknown))


def _near(code: str, known: list[str]) -> str:
    return did_you_mean(near_names(code, known)) or "`appnetctl explain-code` lists all codes"


def _lines(found: Page) -> Iterator[Text]:
    """The page without the signs of Markdown: headings bold, examples indented."""
    yield Text.assemble((found.code, "bold"), ": ", (found.title, "bold"))
    yield Text()
    fenced = False
    for line in found.body.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            yield Text(f"    {line}".rstrip(), "cyan")
        else:
            yield Text(line.removeprefix("## "), "bold" if line.startswith("## ") else "")
