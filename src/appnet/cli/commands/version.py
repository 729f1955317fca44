"""`appnetctl version`, also `appnetctl --version`."""

import typer

from appnet import __version__
from appnet.cli.output import Format, OutputOption, print_data

EXAMPLES = (
    "appnetctl version",
    "appnetctl version -o json",
)
PAGE = "tools.md"


def command(*, output: OutputOption = Format.TEXT) -> None:
    """Print the version."""
    if output is Format.TEXT:
        typer.echo(f"appnetctl {__version__}")
    else:
        print_data({"version": __version__}, output)
