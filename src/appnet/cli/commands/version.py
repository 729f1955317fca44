"""`appnetctl version`, also `appnetctl --version`."""

import typer

from appnet import __version__


def command() -> None:
    """Print the version."""
    typer.echo(f"appnetctl {__version__}")
