"""`appnetctl top`: what the elements of an application do, in a cluster or on this machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.live import Live

from appnet.cli.cluster import ControllerOption
from appnet.cli.errors import open_screens
from appnet.cli.output import Format, OutputOption, line_text, print_data
from appnet.cli.rates import rates, rates_shown
from appnet.cli.watched import SinceOption, StatusOption, watched
from appnet.deploy.kubernetes.client.records import Controller

EXAMPLES = (
    "appnetctl top --status 127.0.0.1:18002 --follow",
    "appnetctl top --interval 5 -o json",
    "appnetctl top --since 1h",
)
PAGE = "telemetry.md"


def command(
    *,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds over which rates are measured.")] = 2.0,
    since: SinceOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Again and again, until Ctrl-C.")] = False,
    status: StatusOption = None,
    controller: ControllerOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show calls, what elements refuse, and what they record: how many a second, and how long calls take.

    Of a cluster, or with --status, of an application that `run` or `serve` has on this machine. Processors tell their
    counts every second. With -o json or yaml, rows of match-action tables are there as well.
    """
    screens = open_screens()
    with watched(status, controller) as asked, contextlib.suppress(KeyboardInterrupt):
        found = _looks(asked, interval, since)
        if not follow:
            first = next(found)
            if output is not Format.TEXT:
                print_data(first, output)
            elif not first["calls"] and not first["records"]:
                screens.err.print("no element has seen a call yet", markup=False)
            else:
                screens.out.print(rates_shown(first))
        elif output is not Format.TEXT:
            for it in found:
                typer.echo(line_text(it, output), nl=False)
        elif screens.out.is_terminal:
            with Live(console=screens.out, auto_refresh=False) as live:
                for it in found:
                    live.update(rates_shown(it), refresh=True)
        else:
            for it in found:
                screens.out.print(rates_shown(it), "")


def _looks(asked: Controller, interval: float, since: float | None) -> Iterator[dict[str, Any]]:
    """What happened in each interval; or, looked at in each interval, since then."""
    before = _look(asked, since or 0)
    while True:
        if not since:
            time.sleep(interval)
        now = _look(asked)
        yield rates(before, now)
        if since:
            time.sleep(interval)
        before = _look(asked, since) if since else now


def _look(asked: Controller, ago: float = 0) -> dict[str, Any]:
    sums = asked.sums(ago)
    return {**asked.totals(ago), "records": sums["streams"], "lost": sums["lost"]}
