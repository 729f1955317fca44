"""A history of calls, made while things break, and what Porcupine says of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.system import lifetime
from appnet.system.address import Address
from tests.judges.linearizability.scene import Trouble, scene, shuffled
from tests.support.go import find_go, run_go

ELEMENTS = Path(__file__).parent / "elements"
CHECKER = Path(__file__).parent / "checker"
CLIENTS = 8
_LINE_SECONDS = 120


@dataclass(frozen=True)
class Verdict:
    """``result``: Ok, Illegal, or Unknown where checking took too long. ``unknown``: calls that may have happened.
    ``by``: how many each instance has answered or refused, by its number. ``troubles``: how often what went wrong meanwhile."""

    result: str
    answered: int
    refused: int
    unknown: int
    seconds: float
    check_seconds: float
    by: dict[str, int]
    troubles: Counter[str]


def built_checker(folder: Path) -> Path:
    """The checker, built there. Raises `NoToolsError` where Go is missing."""
    program = folder / "checker"
    run_go([find_go(), "build", "-o", str(program), "."], CHECKER)
    return program


def element_source(name: str, limit: int = 0) -> TextSource:
    """One of `ELEMENTS`; ``limit``: how many calls pass, if it is the one that limits them."""
    return TextSource(Path(f"{name}.appnet"), (ELEMENTS / f"{name}.appnet").read_text().replace("4000", str(limit)))


async def judged(
    checker: Path,
    element: str,
    folder: Path,
    *,
    calls: int,
    seed: int = 1,
    durable: bool = True,
    troubles: Sequence[Trouble] | None = None,
) -> Verdict:
    """Makes so many calls to one of `ELEMENTS`, of which `limit` lets most pass, and one trouble after another meanwhile.
    ``seed``: of what clients draw, and of the order of ``troubles``, if they are not given."""
    coming = shuffled(seed) if troubles is None else troubles
    limit = calls * 4 // 5
    command = [
        checker, "-element", element, "-clients", str(CLIENTS), "-calls", str(calls), "-limit", str(limit),
        "-seed", str(seed), "-parts", str(len(coming) + 1), "-picture", str(folder / "history.html"),
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin = process.stdin

    def place(number: int, address: Address) -> None:
        stdin.write(f"{number} {address}\n".encode())

    async def line() -> dict[str, object]:
        assert process.stdout is not None
        read = await asyncio.wait_for(process.stdout.readline(), _LINE_SECONDS)
        assert read, "the checker ended"
        told: dict[str, object] = json.loads(read)
        return told

    try:
        async with scene(element_source(element, limit), folder, place, durable=durable) as it:
            stdin.write(b"go\n")
            for trouble in coming:
                assert "Part" in await line()
                await trouble(it)
                stdin.write(b"go\n")
            assert "Part" in await line()
            return Verdict(*(await line()).values(), it.troubles)  # type: ignore[arg-type, call-arg]
    finally:
        await lifetime.stop(process, 1)
