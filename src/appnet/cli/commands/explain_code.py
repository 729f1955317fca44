"""`appnetctl explain-code`: the page of a diagnostic's code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from appnet.cli.errors import open_screens
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.values import completing
from appnet.diagnostics.near import did_you_mean, near_names
from appnet.diagnostics.pages import Page, codes, page

EXAMPLES = (
    "appnetctl explain-code E014",
    "appnetctl explain-code",
)
PAGE = "diagnostics.md"


def command(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CODE",
            autocompletion=completing(codes()),
            help="Codes, such as E014; default: list all codes.",
        ),
    ] = None,
    *,
    output: OutputOption = Format.TEXT,
) -> None:
    """Explain codes of errors, warnings and notes: what each means, an example, and a fix."""
    known = codes()
    pages = [page(it.upper()) for it in wanted or known if it.upper() in known]
    if output is not Format.TEXT:
        print_data([{"code": it.code, "title": it.title, "page": it.body} for it in pages], output)
    else:
        _show(pages, whole=bool(wanted))
    unknown = [it for it in wanted or () if it.upper() not in known]
    if unknown:
        raise typer.BadParameter("; ".join(f"there is no code {it}; {_near(it.upper(), known)}" for it in unknown))


def _show(pages: list[Page], *, whole: bool) -> None:
    out = open_screens().out
    for number, it in enumerate(pages):
        if whole:
            out.print(Text("\n" if number else "").append(Text("\n").join(_lines(it))))
        else:
            out.print(Text.assemble((it.code, "bold"), f"  {it.title}"))


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
