"""`appnetctl schema`: JSON Schemas of the YAML files that people write, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.cli import schemas
from appnet.cli.values import none_of

_FOLDER = Path(schemas.__file__).parent
NAMES = ("appnetconfig", "local", "behaviour")


def _named(name: str) -> str:
    if name not in NAMES:
        raise typer.BadParameter(none_of(name, NAMES))
    return name


def command(
    name: Annotated[str, typer.Argument(parser=_named, metavar="|".join(NAMES), help="The kind of file.")],
) -> None:
    """Print the JSON Schema of a kind of file, for editors.

    With the YAML extension of an editor: `# yaml-language-server: $schema=FILE` on the first line.
    """
    typer.echo((_FOLDER / f"{name}.json").read_text(encoding="utf-8"), nl=False)
