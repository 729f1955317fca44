"""`appnetctl convert`: an application in its other form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.application.load import form_of, load
from appnet.application.model import Form
from appnet.application.write import write
from appnet.cli.errors import check_new, open_screens, told_errors, writing
from appnet.cli.options import FilesArgument
from appnet.cli.screen import show_diagnostics
from appnet.diagnostics.source import FileSource


def command(
    files: FilesArgument,
    *,
    to: Annotated[Form | None, typer.Option("--to", help="The form; default: the one that FILES are not in.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; default: standard output.")
    ] = None,
) -> None:
    """Convert AppNetConfigs to a specification, or a specification to AppNetConfigs. Comments are lost."""
    screens = open_screens()
    sources = [FileSource(it) for it in files]
    with told_errors():
        if output is not None:
            check_new(output, "choose another file, or remove this one: `appnetctl convert` does not overwrite files")
        form = to or _other({form_of(it) for it in sources})
        written = write(load(*sources).application, form, output.parent if output is not None else Path())
        show_diagnostics(screens.err, list(written.left_out))
        if output is not None:
            with writing(output):
                output.write_text(written.text, encoding="utf-8")
    if output is None:
        typer.echo(written.text, nl=False)
    else:
        screens.err.print(f"wrote {output}", markup=False)


def _other(forms: set[Form]) -> Form:
    if len(forms) > 1:
        raise typer.BadParameter("FILES have both forms: choose one", param_hint="--to")
    return Form.APPNETCONFIG if forms == {Form.SPECIFICATION} else Form.SPECIFICATION
