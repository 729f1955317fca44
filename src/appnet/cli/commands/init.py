"""`appnetctl init`: a sample application, copied to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.cli.errors import check_new, open_screens, told_errors, writing
from appnet.cli.values import completing, none_of
from appnet.samples.copies import SAMPLES

EXAMPLES = (
    "appnetctl init shop",
    "appnetctl init --sample hotel hotel",
)
PAGE = "tools.md"


def _known(name: str) -> str:
    if name not in SAMPLES:
        raise typer.BadParameter(none_of(name, SAMPLES))
    return name


_Sample = Annotated[
    str,
    typer.Option(
        "--sample",
        parser=_known,
        metavar="|".join(SAMPLES),
        autocompletion=completing(SAMPLES),
        help="; ".join(f"{name}: {it.summary}" for name, it in SAMPLES.items()) + ".",
    ),
]


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to write to; created if it does not exist.")] = Path(),
    *,
    sample: _Sample = "echo",
    listed: Annotated[bool, typer.Option("--list", help="List the samples, and write nothing.")] = False,
) -> None:
    """Copy a sample application to start from. Never overwrites files."""
    if listed:
        for name, it in SAMPLES.items():
            typer.echo(f"{name:10}{it.summary}")
        return
    chosen = SAMPLES[sample]
    places = [folder / it for it in chosen.places()]
    with told_errors(), writing(folder):
        for place in places:
            check_new(place, "choose another folder: `appnetctl init` does not overwrite files")
        chosen.copy(folder)
    out = open_screens().out
    out.print(f"wrote {len(places)} files to {folder.absolute()}: {chosen.summary}", markup=False)
    out.print("\nNext:", markup=False)
    for line in (f"check {folder}", f"test {folder}", f"run {folder / chosen.config}"):
        out.print(f"  appnetctl {line}", markup=False)
