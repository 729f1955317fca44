"""What commands print: a text for people, or the same as data for programs."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer


class Format(Enum):
    """How a command prints what it found."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How results are printed: as text, or as data for programs.")
]


def print_data(data: Any, output: Format) -> None:
    """Prints ``data``, which JSON has, as one document."""
    typer.echo(data_text(data, output), nl=False)


def data_text(data: Any, output: Format) -> str:
    """The document, with the end of its last line."""
    if output is Format.YAML:
        import yaml  # noqa: PLC0415 -- `version` and `schema` need it for this alone

        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    import json  # noqa: PLC0415 -- see there

    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def line_text(data: Any, output: Format) -> str:
    """One of many documents: a line of JSON, or a document of YAML."""
    if output is Format.YAML:
        return "---\n" + data_text(data, output)
    import json  # noqa: PLC0415 -- see there

    return json.dumps(data, ensure_ascii=False) + "\n"
