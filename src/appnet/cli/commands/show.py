"""`appnetctl show`: one element, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.cli.errors import open_screens, told_errors
from appnet.cli.options import ParameterOption, given_by
from appnet.cli.views import View, views


def command(
    file: Annotated[Path, typer.Argument(help="An element (.appnet).")],
    *,
    what: Annotated[list[View] | None, typer.Option(help="Views, in this order; default: all but c.")] = None,
    proto: Annotated[Path | None, typer.Option(help="The .proto that declares the element's method.")] = None,
    method: Annotated[str, typer.Option(help="The element's method.")] = "",
    parameter: ParameterOption = None,
) -> None:
    """Show an element as the compiler sees it: effects, state classes, match-action tables, generated C."""
    out = open_screens().out
    with told_errors():
        for view in views(file, proto, method, given_by(parameter), what or [View.EFFECTS, View.STATES, View.TABLE]):
            out.print(view)
