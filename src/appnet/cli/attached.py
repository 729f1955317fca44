"""What `attach`, `upgrade` and `detach` share: the service whose engines they change, and how they tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from appnet.cli.errors import FAILURE, open_screens, told_errors
from appnet.cli.output import Format, print_data
from appnet.processors import registry
from appnet.processors.managed import Service, Subscribed
from appnet.processors.processor import Acceptance, NodeAnswer, ProcessorError

MRPC = "mrpc"
PidOption = Annotated[int | None, typer.Option("--pid", min=1, help="The program's process.")]
SidOption = Annotated[
    int | None, typer.Option("--sid", min=0, help="Its subscription of mRPC, where it has several that fit.")
]
SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", help="Phoenix's control socket; default: as $PHOENIX_PREFIX and $PHOENIX_CONTROL say."),
]
WaitOption = Annotated[
    float, typer.Option("--timeout", min=0.01, max=600, metavar="SECONDS", help="How long to wait for each answer.")
]
USUAL_WAIT = 5.0


@contextmanager
def service(socket: Path | None, timeout_seconds: float) -> Iterator[Service]:
    """The mRPC service of this machine. What goes wrong is told, and ends the command."""
    managed = registry.managed(MRPC)
    assert managed is not None
    with told_errors(ProcessorError), managed.service(socket, timeout_seconds) as found:
        yield found


def pid_given(pid: int | None) -> int:
    """The process, which has to be named."""
    if pid is None:
        raise typer.BadParameter("name the program's process; `appnetctl attach` alone shows which there are")
    return pid


def tell_answer(answer: NodeAnswer, output: Format, done: str) -> None:
    """Shows how the subscription stands to what it was told; ends with an error code where it has not taken it."""
    accepted = answer.acceptance is Acceptance.ACKED
    if output is not Format.TEXT:
        facts = {"node": answer.node, "version": answer.version, "status": answer.acceptance.value}
        print_data({**facts, "error": answer.error}, output)
    else:
        screens = open_screens()
        pid, _, sid = answer.node.partition("/")
        version = f" {answer.version}" if answer.version else ""
        told = f"{done}{version}" if accepted else f"{answer.acceptance.value}{version}: {answer.error}"
        screen = screens.out if accepted else screens.err
        screen.print(f"process {pid}, subscription {sid}: {told}", markup=False, highlight=False, soft_wrap=True)
    if not accepted:
        raise typer.Exit(FAILURE)


def show_subscriptions(found: list[Subscribed], output: Format) -> None:
    """Every program's calls, and what runs on them."""
    if output is not Format.TEXT:
        print_data({"subscriptions": [_plain(it) for it in found]}, output)
        return
    table = Table("process", "subscription", "side", "version", "status", box=None, padding=(0, 2, 0, 0))
    for it in found:
        others = f"has {', '.join(it.others)}" if it.others else ""
        if not it.engines:
            table.add_row(str(it.pid), str(it.sid), "", "", others or "nothing attached")
        for one in it.engines:
            facts = one.facts
            counted = f"{facts.get('calls')} calls, {facts.get('refused')} refused, {facts.get('underWay')} under way"
            told = str(facts["error"]) if "error" in facts else counted
            table.add_row(str(it.pid), str(it.sid), one.side.value, str(facts.get("version", "")), told)
    screens = open_screens()
    if found:
        screens.out.print(table)
    else:
        screens.out.print("no program makes calls by mRPC", markup=False)


def _plain(it: Subscribed) -> dict[str, Any]:
    engines = [{"engine": one.engine, "side": one.side.value, **one.facts} for one in it.engines]
    return {"pid": it.pid, "sid": it.sid, "engines": engines, "others": list(it.others)}
