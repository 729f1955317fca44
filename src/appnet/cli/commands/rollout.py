"""`appnetctl rollout`: which node of a running `appnetctl serve` runs which version, and the way back."""

from __future__ import annotations

import time
from enum import Enum
from typing import Annotated, Any

import typer

from appnet.cli.errors import open_screens, told_errors
from appnet.cli.live import plain
from appnet.cli.options import STATUS, StatusOption, address_given
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.served import asked

EXAMPLES = ("appnetctl rollout status", "appnetctl rollout undo --status 127.0.0.1:18002")
PAGE = "local.md"


class Action(Enum):
    """What to do."""

    STATUS = "status"
    HISTORY = "history"
    UNDO = "undo"
    PROMOTE = "promote"


def command(
    action: Annotated[
        Action,
        typer.Argument(
            help="status: what each node runs. history: earlier versions. undo: go back to the previous version, or "
            "take a canary version back. promote: give all nodes what the canaries run."
        ),
    ],
    *,
    status: StatusOption = STATUS,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show which node of a running `serve` runs which version, go back to the previous one, or promote a canary."""
    out = open_screens().out
    with told_errors():
        place = address_given(status, "--status")
        changes = action in (Action.UNDO, Action.PROMOTE)
        found = asked(place, "POST", f"/rollout/{action.value}") if changes else asked(place, "GET", "/rollout")
        if output is not Format.TEXT:
            print_data(found, output)
            return
        for line in _history(found) if action is Action.HISTORY else _status(found):
            out.print(plain(line), markup=False)


def _status(found: dict[str, Any]) -> list[str]:
    canary = found["canary"] or {}
    lines = [f"version {found['version']}"]
    if canary.get("version"):
        lines.append(f"canary {canary['version']} on {', '.join(canary['nodes'])}")
    width = max(len(it["node"]) for it in found["nodes"])
    for it in found["nodes"]:
        told = it["acceptance"] if it["connected"] or it["acceptance"] == "nacked" else "not connected"
        since = f" since {_clock(it['since'])}" if it["connected"] else ""
        error = f": {it['error']}" if it["error"] else ""
        lines.append(f"  {it['node']:{width}}  {it['version']}  {told}{since}{error}")
    return lines


def _history(found: dict[str, Any]) -> list[str]:
    past = [f"  {it['version']}  until {_clock(it['until'])}" for it in found["history"]]
    return [f"version {found['version']}", *(past or ["  none ran before"])]


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
