"""`appnetctl schema`: JSON Schemas of the YAML files that people write, for editors."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.values import completing, none_of
from appnet.editor.schema import NAMES, schema_text

EXAMPLES = ("appnetctl schema local > local.schema.json",)
PAGE = "tools.md"


def _named(name: str) -> str:
    if name not in NAMES:
        raise typer.BadParameter(none_of(name, NAMES))
    return name


def command(
    name: Annotated[
        str,
        typer.Argument(
            parser=_named,
            metavar="|".join(NAMES),
            autocompletion=completing(NAMES),
            help="The kind of file.",
        ),
    ],
    *,
    output: OutputOption = Format.JSON,
) -> None:
    """Print the JSON Schema of a kind of file, for editors.

    With the YAML extension of an editor: `# yaml-language-server: $schema=FILE` on the first line.
    """
    text = schema_text(name)
    if output is Format.YAML:
        print_data(json.loads(text), output)
    else:
        typer.echo(text, nl=False)
