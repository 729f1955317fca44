"""`appnetctl check`: what is wrong with files of any kind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from appnet.application.kinds import is_meant
from appnet.cli.behaviour import check_any
from appnet.cli.errors import WRONG_INPUT, open_screens, told_errors
from appnet.cli.files import STANDARD_INPUT, checkable, standard_input
from appnet.cli.options import StdinFilenameOption, check_method, target_named
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.screen import counted, show_diagnostics
from appnet.cli.values import completing
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource, TextSource
from appnet.processors import registry

EXAMPLES = (
    "appnetctl check .",
    "appnetctl check firewall.appnet --proto echo.proto --method echo",
    "appnetctl check app.yaml --target wasm -o json",
    "git show :firewall.appnet | appnetctl check - --stdin-filename firewall.appnet",
)
PAGE = "tools.md"


_UNNAMED = Path("stdin.appnet")


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="AppNetConfigs, specifications, behaviour files (.yaml), elements (.appnet), .proto files, folders, "
            "or - for standard input."
        ),
    ],
    *,
    proto: Annotated[Path | None, typer.Option(help="The .proto that declares the elements' method.")] = None,
    method: Annotated[str, typer.Option(help="The elements' method; default: all methods of the .proto.")] = "",
    target: Annotated[
        str | None,
        typer.Option(
            parser=target_named,
            metavar="|".join(registry.target_names()),
            autocompletion=completing(registry.target_names()),
            help="Also check that elements compile to this target, and note what each keeps or loses there.",
        ),
    ] = None,
    stdin_filename: StdinFilenameOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Check configurations, behaviour files, elements and .proto files, and report every error.

    `appnetctl explain-code CODE` explains a code, with an example and a fix.
    """
    check_method(method, proto)
    with told_errors():
        files = checkable(files)
    sources = [_standard_input(stdin_filename) if file == STANDARD_INPUT else FileSource(file) for file in files]
    found = list(dict.fromkeys(it for source in sources for it in check_any(source, proto, method, target or "")))
    screens = open_screens()
    if output is not Format.TEXT:
        print_data([_plain(it) for it in found], output)
    else:
        show_diagnostics(screens.err, found)
        count = Counter(it.severity for it in found)
        severities = (Severity.ERROR, Severity.WARNING, *([Severity.NOTE] if target else []))
        told = ", ".join(counted(count[it], it.value) for it in severities)
        screens.out.print(f"{counted(len(files), 'file')}: {told}")
    raise typer.Exit(WRONG_INPUT if any(it.severity is Severity.ERROR for it in found) else 0)


def _standard_input(name: Path | None) -> TextSource:
    """What comes on it; where nobody says what it is, an application if it looks like one, or else an element."""
    source = standard_input(name or _UNNAMED)
    if name is None and is_meant(source.text()):
        return TextSource(_UNNAMED.with_suffix(".yaml"), source.text())
    return source


def _plain(diagnostic: Diagnostic) -> dict[str, object]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "title": diagnostic.title,
        "label": diagnostic.label,
        "help": diagnostic.help,
        **_place(diagnostic.span),
        "places": [{"label": it.text, **_place(it.span)} for it in diagnostic.places],
    }


def _place(span: Span) -> dict[str, object]:
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
