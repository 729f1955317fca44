"""`appnetctl rollout`: which node of a running `appnetctl serve` runs which version, and the way back."""

from __future__ import annotations

import http.client
import json
import time
from enum import Enum
from typing import Annotated, Any

import typer

from appnet.cli.errors import FAILURE, open_screens, told_errors
from appnet.cli.live import plain
from appnet.cli.options import STATUS, address_given
from appnet.system.address import Address

_TIMEOUT_SECONDS = 30.0  # longer than nodes are waited for


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
            help="status: what each node runs. history: versions before. undo: back to the version before, or with a "
            "canary away from it. promote: what canaries run to all nodes."
        ),
    ],
    *,
    status: Annotated[str, typer.Option(metavar="HOST:PORT", help="The `--status` of `serve`.")] = STATUS,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show which node of a running `serve` runs which version, go back, or promote a canary."""
    out = open_screens().out
    with told_errors():
        found = _ask(address_given(status, "--status"), action)
        if as_json:
            typer.echo(json.dumps(found, indent=2))
            return
        for line in _history(found) if action is Action.HISTORY else _status(found):
            out.print(plain(line), markup=False)


def _ask(address: Address, action: Action) -> dict[str, Any]:
    """What `serve` answers. Raises OSError where it cannot be reached, and ends where it refuses."""
    changes = action in (Action.UNDO, Action.PROMOTE)
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST" if changes else "GET", f"/rollout/{action.value}" if changes else "/rollout")
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except OSError as error:
        raise OSError(f"no `appnetctl serve` answers at {address} (--status): {error.strerror or error}") from None
    except (http.client.HTTPException, ValueError):
        raise OSError(f"what answers at {address} (--status) is no `appnetctl serve`") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        open_screens().err.print(f"error: {plain(str(found.get('error')))}", markup=False)
        raise typer.Exit(FAILURE)
    return dict(found)


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
