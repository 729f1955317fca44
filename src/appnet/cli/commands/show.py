"""`appnetctl show`: one element as the compiler sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.cli.errors import open_screens, told_errors
from appnet.cli.options import ParameterOption, check_method, given_by
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.views import View, views, views_data

EXAMPLES = (
    "appnetctl show firewall.appnet",
    "appnetctl show rate_limit.appnet --what table --parameter rate=100",
)
PAGE = "tools.md"


def command(
    file: Annotated[Path, typer.Argument(help="An element (.appnet).")],
    *,
    what: Annotated[list[View] | None, typer.Option(help="Views, in this order; default: all but c.")] = None,
    proto: Annotated[Path | None, typer.Option(help="The .proto that declares the element's method.")] = None,
    method: Annotated[str, typer.Option(help="The element's method.")] = "",
    parameter: ParameterOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show an element as the compiler sees it: effects, state classes, match-action tables, generated C."""
    out, given = open_screens().out, given_by(parameter)
    check_method(method, proto)
    wanted = what or [View.EFFECTS, View.STATES, View.TABLE]
    with told_errors():
        if output is Format.TEXT:
            for view in views(file, proto, method, given, wanted):
                out.print(view)
        else:
            print_data(views_data(file, proto, method, given, wanted), output)
