"""Each judge once alone, and once through each chain on each target; what was run is kept for all tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.judges.chains import Judged, compiled
from tests.judges.sidecars import reserved_port, sidecars
from tests.judges.suite import Outcomes, Suite


class Runs:
    """``folder`` receives all files. ``alone`` and ``through`` run what has not been run yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._judged: dict[str, Judged] = {}
        self._outcomes: dict[tuple[str, ...], Outcomes] = {}

    def alone(self, suite: Suite) -> Outcomes:
        """How the cases end without AppNet."""
        key = (suite.name,)
        if key not in self._outcomes:
            with reserved_port() as upstream:
                self._outcomes[key] = asyncio.run(suite.alone(upstream))
        return self._outcomes[key]

    def through(self, suite: Suite, chain: str, target: str) -> Outcomes:
        """How they end through both sidecars with one of `CHAINS`."""
        key = (suite.name, chain, target)
        if key not in self._outcomes:
            self._outcomes[key] = asyncio.run(self._through(suite, chain, target))
        return self._outcomes[key]

    async def _through(self, suite: Suite, chain: str, target: str) -> Outcomes:
        folder = self._folder / suite.name / f"{chain}-{target}"
        if suite.name not in self._judged:
            self._judged[suite.name] = suite.judged(self._folder / suite.name / "proto")
        version = compiled(chain, self._judged[suite.name], target, folder)
        with reserved_port() as upstream:
            async with sidecars(version, upstream, folder / "nodes") as entrance:
                return await suite.through(entrance, upstream)
