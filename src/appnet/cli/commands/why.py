"""`appnetctl why`: which row of which element refused a call, what it had read, and the same on the interpreter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from appnet.behaviour.reader import load_behaviour
from appnet.behaviour.run import INTERPRETER, run_behaviour
from appnet.behaviour.saved import case_text
from appnet.behaviour.telling import told
from appnet.cli.cluster import ControllerOption
from appnet.cli.errors import FAILURE, open_screens, told_errors
from appnet.cli.live import plain
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.watched import StatusOption, watched
from appnet.deploy.kubernetes.client.records import Controller
from appnet.diagnostics.source import TextSource

EXAMPLES = (
    "appnetctl why 8e0e04a1-9c9d-4ef1-b2e6-9dd2a1bb3c3e --status 127.0.0.1:18002",
    "appnetctl why --last firewall --save firewall.behaviour.yaml",
)
PAGE = "telemetry.md"

_NOT_THERE = "Envoys and programs with a gRPC library tell why they refuse, and that is kept for a while"


def command(
    call: Annotated[
        str | None, typer.Argument(metavar="ID", help="The call: its x-request-id, or the id of its trace.")
    ] = None,
    *,
    last: Annotated[
        str | None, typer.Option(metavar="ELEMENT", help="The last call that this element refused.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a behaviour file that `appnetctl test` runs.")
    ] = None,
    status: StatusOption = None,
    controller: ControllerOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show why a call was refused: the row, what the element read, and whether the interpreter comes to the same.

    Of a cluster, or with --status, of an application that `run` or `serve` has on this machine. What is secret is not
    shown. With --save, the refusal becomes a case for `appnetctl test`.
    """
    if (call is None) == (last is None):
        raise typer.BadParameter("name a call, or an element with --last", param_hint="ID")
    with watched(status, controller) as asked:
        found = _found(asked, call or "", last or "")
    if output is not Format.TEXT:
        print_data(found, output)
    else:
        out = open_screens().out
        for number, it in enumerate(found):
            for line in ([""] if number else []) + list(told(it)):
                out.print(plain(line), markup=False, highlight=False, soft_wrap=True)
    if save is not None:
        _save(found[-1], save)


def _found(asked: Controller, call: str, element: str) -> list[dict[str, Any]]:
    """The refusals, the latest last; ends the command where there is none."""
    answer = asked.refusals(call, element)
    if not answer["refusals"]:
        open_screens().err.print(
            f"error: {plain(str(answer.get('missing')))}; {_NOT_THERE}", markup=False, soft_wrap=True
        )
        raise typer.Exit(FAILURE)
    return list(answer["refusals"])


# --- a behaviour file ---


def _beside(case: dict[str, Any], path: Path) -> dict[str, Any]:
    """The case with its files as they are called from the folder of ``path``."""
    folder = path.absolute().parent
    chain = [{**it, "file": os.path.relpath(it["file"], folder)} for it in case["chain"]]
    return {**case, "proto": os.path.relpath(case["proto"], folder), "chain": chain}


def _save(refusal: dict[str, Any], path: Path) -> None:
    """Writes the case, once it passes; ends the command where there is none."""
    screens = open_screens()
    case = refusal["case"]
    because = refusal["replay"].get("because") or (case if isinstance(case, str) else "")
    if not isinstance(case, dict):
        screens.err.print(f"error: {path} is not written, because {because}", markup=False, soft_wrap=True)
        raise typer.Exit(FAILURE)
    about = f"{refusal['element']} of version {refusal['version']} refused a call of {refusal['method']}."
    text = case_text(_beside(case, path), about)
    with told_errors():
        behaviour = load_behaviour(TextSource(path.absolute(), text))
        failed = any(it.failures for it in run_behaviour(behaviour, [INTERPRETER]))
        if not failed:
            path.write_text(text, encoding="utf-8")
    if failed:
        told = f"error: {path} is not written, because a behaviour file cannot say all that the element read"
        screens.err.print(told, markup=False, soft_wrap=True)
        raise typer.Exit(FAILURE)
    screens.err.print(f"wrote {path}; run it with: appnetctl test {path}", markup=False, soft_wrap=True)
