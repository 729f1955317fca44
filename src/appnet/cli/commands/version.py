"""`appnetctl version`, also `appnetctl --version`."""

import typer

from appnet import __version__


def command() -> None:
    """Say which version this is."""
    typer.echo(f"appnetctl {__version__}")
