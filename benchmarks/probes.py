"""What gRPC-Go's interceptors take around a chain, and the prices of `library` that come with AppNet.

    python -m benchmarks.probes [--rounds N]

The probes of `appnetctl calibrate` go through the Go module's interceptor, and through the loop in C that calibration
runs on any machine. What is more in Go is the interceptors': `INTERCEPTORS` of `processors/grpc/calibrate` has it.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import subprocess
import tempfile
from pathlib import Path

import yaml

from appnet.codegen.c.printer import ChainSource, print_by_content
from appnet.measure.probes import METHOD, Probe, all_probes
from appnet.measure.solve import Effort, solve
from appnet.optimize.cost import TargetCosts
from appnet.processors.grpc.build import build
from appnet.processors.grpc.calibrate.calibrate import calibrate_chains
from appnet.processors.grpc.versions import message_class, signed
from benchmarks.signing import RUN_KEY
from tests.processors.grpc.go_module import MODULE
from tests.support.go import find_go


def _chain_file(probe: Probe) -> bytes:
    code = print_by_content(ChainSource(probe.finds, "", [(METHOD, (probe.element,))]), "library")
    version = message_class("Version")(id=code.version, node="frontend-grpc", client="frontend", server="server")
    version.chains.add(name=probe.finds, version=code.version, max_message=4 << 20, code=build(code.text))
    encoded: bytes = signed(version, RUN_KEY).SerializeToString()
    return encoded


def in_go(rounds: int) -> TargetCosts:
    """The prices by which each probe costs what it takes in Go."""
    probes = all_probes()
    with tempfile.TemporaryDirectory() as folder:
        for it in probes:
            (Path(folder) / f"{it.finds}.client.chains").write_bytes(_chain_file(it))
        names = ",".join(it.finds for it in probes)
        variables = {"APPNET_CHAINS": folder, "APPNET_PROBES": names, "APPNET_BENCH": str(rounds)}
        command = [find_go(), "test", "-count=1", "-run", "TestProbes$", "-v", "-timeout", "60m", "."]
        run = subprocess.run(
            command, cwd=MODULE, env=os.environ | variables, capture_output=True, text=True, check=True
        )
    rows = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    took = {it["probe"]: it["ns"] / 1000 for it in rows}
    return solve(probes, {it.finds: it.copies * took[it.finds] for it in probes})


def flat(prices: TargetCosts) -> dict[str, float]:
    """The prices by name, parts and kinds of operations alike."""
    found = dataclasses.asdict(prices)
    operations = found.pop("operations")
    return {**found, **operations}


def main() -> None:
    arguments = argparse.ArgumentParser(description="what interceptors take around a chain")
    arguments.add_argument("--rounds", type=int, default=200)
    rounds = arguments.parse_args().rounds
    go, chain = in_go(rounds), asyncio.run(calibrate_chains(Effort(rounds=20, seconds=1.0), lambda _: None))
    more = {name: round(price - flat(chain)[name], 4) for name, price in flat(go).items()}
    for title, found in (("in Go", flat(go)), ("the chain alone", flat(chain)), ("more in Go", more)):
        print(f"# {title}\n{yaml.safe_dump(found, sort_keys=False)}")


if __name__ == "__main__":
    main()
