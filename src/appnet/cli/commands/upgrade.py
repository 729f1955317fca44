"""`appnetctl upgrade`: another module for a chain that is attached to a program's calls."""

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
    tell_answer,
)
from appnet.cli.output import Format, OutputOption

EXAMPLES = ("appnetctl upgrade graph/gen/frontend_server/client/chain.mrpc --pid 4242",)
PAGE = "mrpc.md"


def command(
    file: Annotated[Path, typer.Argument(help="A chain.mrpc of `compile --backend mrpc`.")],
    *,
    pid: PidOption = None,
    sid: SidOption = None,
    socket: SocketOption = None,
    timeout: WaitOption = USUAL_WAIT,
    output: OutputOption = Format.TEXT,
) -> None:
    """Replace what an attached engine of mRPC runs, while calls go on.

    State goes on, and calls that have begun end on the version that they began with. An engine that refuses the new
    module says why, and runs on as it did.
    """
    with service(socket, timeout) as found:
        answer = found.upgrade(file, pid_given(pid), sid)
    tell_answer(answer, output, "runs")
