"""`appnetctl attach`: a chain to the calls of a program that runs, by the mRPC service; or what is attached."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.cli.attached import (
    USUAL_WAIT,
    PidOption,
    SidOption,
    SocketOption,
    WaitOption,
    pid_given,
    service,
    show_subscriptions,
    tell_answer,
)
from appnet.cli.output import Format, OutputOption

EXAMPLES = (
    "appnetctl attach",
    "appnetctl attach graph/gen/frontend_server/client/chain.mrpc --pid 4242",
)
PAGE = "mrpc.md"


def command(
    file: Annotated[
        Path | None, typer.Argument(help="A chain.mrpc of `compile --backend mrpc`; default: show what is attached.")
    ] = None,
    *,
    pid: PidOption = None,
    sid: SidOption = None,
    socket: SocketOption = None,
    timeout: WaitOption = USUAL_WAIT,
    output: OutputOption = Format.TEXT,
) -> None:
    """Attach a chain to the calls of a program that uses mRPC, while it runs.

    Calls wait while Phoenix puts the engine in its place; none is lost, and none passes unjudged afterwards.
    """
    if file is None:
        if pid is not None or sid is not None:
            raise typer.BadParameter("name the file to attach, too", param_hint="FILE")
        with service(socket, timeout) as found:
            show_subscriptions(found.subscriptions(), output)
        return
    with service(socket, timeout) as found:
        answer = found.attach(file, pid_given(pid), sid)
    tell_answer(answer, output, "attached")
