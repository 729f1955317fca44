"""`--observed`: what a running application counts, as the traffic that plans are made for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from appnet.application.load import LoadedChain
from appnet.cli.errors import open_screens
from appnet.cli.screen import tell
from appnet.cli.watched import watched
from appnet.diagnostics.source import FileSource
from appnet.optimize import Profile
from appnet.optimize.profile import load_profiles
from appnet.optimize.seen import Seen, seen

ObservedOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|cluster",
        help="Plan for traffic as it is now: where `run`, `serve` or a controller tells its status, or `cluster`.",
    ),
]
IntervalOption = Annotated[
    float, typer.Option(min=0.1, max=3600, help="Seconds for which --observed looks at the traffic.")
]
USUAL_INTERVAL = 10.0

_CLUSTER = "cluster"


@dataclass(frozen=True)
class Traffic:
    """Where plans have it from: a file that says it, the ``observed`` application, or neither. Making one of both ends
    the command."""

    file: Path | None
    observed: str | None
    interval: float

    def __post_init__(self) -> None:
        if self.file is not None and self.observed is not None:
            raise typer.BadParameter("traffic comes from one place: leave out --profile", param_hint="--observed")

    def profiles(self, chains: Sequence[LoadedChain]) -> list[Profile]:
        """What is known of each chain. Raises `DiagnosticError` for a wrong file."""
        if self.observed is not None:
            return observed(self.observed, chains, self.interval)
        if self.file is not None:
            return load_profiles(FileSource(self.file), [it.chain for it in chains])
        return [Profile()] * len(chains)


def observed(where: str, chains: Sequence[LoadedChain], interval: float) -> list[Profile]:
    """What is seen of each chain within ``interval`` seconds. Tells what that is."""
    err = open_screens().err
    with watched(None if where == _CLUSTER else where, None, option="--observed") as asked:
        before = asked.totals()
        time.sleep(interval)
        found = seen(before, asked.totals(), chains)
    for it in found:
        tell(err, _told(it))
    return [it.profile for it in found]


def _told(found: Seen) -> str:
    profile = found.profile
    assert profile.rate is not None
    text = f"{found.chain.chain.edge} {', '.join(found.chain.chain.edge.methods)}: {profile.rate:.1f} RPCs per second"
    shares = [f"{name} ended {share * 100:.3g} %" for name, share in profile.refused.items() if share]
    few = [name for name in found.ended if name not in profile.refused]
    open_ = [f"too few RPCs to tell of {', '.join(few)}"] if few else []
    return "; ".join([text, *shares, *open_])
