"""`appnetctl convert`: an application in its other form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.application.load import form_of, load
from appnet.application.model import Form
from appnet.application.write import write as written_as
from appnet.cli.errors import check_new, open_screens, told_errors, writing
from appnet.cli.files import application_sources
from appnet.cli.options import FilesArgument
from appnet.cli.screen import show_diagnostics
from appnet.system.files import write_whole

EXAMPLES = (
    "appnetctl convert app.yaml",
    "appnetctl convert app.yaml --to appnetconfig -w configs.yaml",
)
PAGE = "configuration.md"


def command(
    files: FilesArgument,
    *,
    to: Annotated[Form | None, typer.Option("--to", help="The form; default: the one that FILES are not in.")] = None,
    write: Annotated[
        Path | None, typer.Option("--write", "-w", help="The file to write; default: standard output.")
    ] = None,
) -> None:
    """Convert AppNetConfigs to a specification, or a specification to AppNetConfigs. Comments are lost."""
    screens = open_screens()
    with told_errors():
        sources = application_sources("convert", files)
        if write is not None:
            check_new(write, "choose another file, or remove this one: `appnetctl convert` does not overwrite files")
        form = to or _other({form_of(it) for it in sources})
        written = written_as(load(*sources).application, form, write.parent if write is not None else Path())
        show_diagnostics(screens.err, list(written.left_out))
        if write is not None:
            with writing(write):
                write_whole(write, written.text.encode())
    if write is None:
        typer.echo(written.text, nl=False)
    else:
        screens.err.print(f"wrote {write}", markup=False)


def _other(forms: set[Form]) -> Form:
    if len(forms) > 1:
        raise typer.BadParameter("FILES have both forms: choose one", param_hint="--to")
    return Form.APPNETCONFIG if forms == {Form.SPECIFICATION} else Form.SPECIFICATION
