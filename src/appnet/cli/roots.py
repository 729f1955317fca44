"""The option `-I`, which all commands have that read .protos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from appnet.application.proto_files import ProtoRoot, searched_first


def _search(ctx: typer.Context, folders: list[Path] | None) -> list[Path] | None:
    """Lets what the option says hold while the command runs, whatever .protos that reads."""
    for it in folders or ():
        if not it.is_dir():
            raise typer.BadParameter(f"{it} is {'a file' if it.exists() else 'not there'}: name a folder")
    ctx.with_resource(searched_first(ProtoRoot.of(it) for it in folders or ()))
    return folders


def _taking(
    *,
    proto_root: Annotated[
        list[Path] | None,
        typer.Option(
            "--proto-root",
            "-I",
            metavar="DIR",
            expose_value=False,
            callback=_search,
            help="Where imports of .protos are looked for first; may be repeated.",
        ),
    ] = None,
) -> None:
    """A function with the option, as Typer reads options."""


def option() -> Any:
    """The option, for a command to have beside its own."""
    alone = typer.Typer(add_completion=False)
    alone.command()(_taking)
    return next(it for it in typer.main.get_command(alone).params if it.name == "proto_root")
