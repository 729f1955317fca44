"""`appnetctl detach`: takes a chain away from the calls of a program, by the mRPC service."""

from __future__ import annotations

from typing import Annotated

import typer

from appnet.application.model import Side
from appnet.cli.attached import (
    USUAL_WAIT,
    PidOption,
    SidOption,
    SocketOption,
    WaitOption,
    pid_given,
    service,
    tell_answer,
)
from appnet.cli.output import Format, OutputOption

EXAMPLES = ("appnetctl detach --pid 4242", "appnetctl detach --pid 4242 --sid 1 --side client")
PAGE = "mrpc.md"


def command(
    *,
    pid: PidOption = None,
    sid: SidOption = None,
    side: Annotated[
        Side | None, typer.Option("--side", help="Whose chain: where calls leave the program, or reach it.")
    ] = None,
    socket: SocketOption = None,
    timeout: WaitOption = USUAL_WAIT,
    output: OutputOption = Format.TEXT,
) -> None:
    """Take a chain away from the calls of a program that uses mRPC, while it runs. Its state goes with it."""
    with service(socket, timeout) as found:
        answer = found.detach(pid_given(pid), sid, side)
    tell_answer(answer, output, "detached")
