"""What counting costs a call: the same native chains with their metrics and without, taking turns.

    python -m benchmarks.telemetry [--rounds N] [--calls N]

The chains are called by a C program, as the loader does but without a proxy, so that a difference of nanoseconds shows.
An RPC passes two chains where it has a sidecar at both ends.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from appnet.codegen.c import ChainSource, print_chain
from appnet.codegen.c.build import RUNTIME, build
from appnet.processors.envoy.build import HOSTS, HTTP
from appnet.processors.envoy.targets import NATIVE
from appnet.system.zig import compile_c
from benchmarks.elements import METHOD, element

CHAINS = (
    ("firewall",),
    ("acl", "fault", "firewall", "rate_limit"),
    ("acl", "bandwidth_limit", "circuit_breaker", "concurrency_limit", "fault", "firewall", "rate_limit", "timeout"),
)
_UNCOUNTED = replace(HOSTS[NATIVE], name="uncounted", flags=("-DAN_COUNT=0",))
_HERE = Path(__file__).parent


def main() -> None:
    """Prints a line for each chain: nanoseconds a call with metrics, without, and the median of the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=200_000)
    given = parser.parse_args()
    loop = compile_c((_HERE / "telemetry.c").read_text(), [RUNTIME, HTTP], ["-std=c11", "-O2", "-D_GNU_SOURCE", "-ldl"])
    loop.chmod(0o755)
    print(f"{'elements':>8} {'counted':>10} {'uncounted':>10} {'more':>8}   nanoseconds of CPU a call, medians")
    for names in CHAINS:
        code = print_chain(ChainSource("benchmark", "1", ((METHOD, [element(it) for it in names]),)))
        with tempfile.TemporaryDirectory(prefix="telemetry-") as folder:
            files = [Path(folder, "counted.so"), Path(folder, "uncounted.so")]
            for file, host in zip(files, (HOSTS[NATIVE], _UNCOUNTED), strict=True):
                file.write_bytes(build(code, host))
            rounds = [[_measured(loop, it, given.calls) for it in files] for _ in range(given.rounds)]
        counted, uncounted = (statistics.median(it) for it in zip(*rounds, strict=True))
        more = statistics.median(one - other for one, other in rounds)
        print(f"{len(names):>8} {counted:>10.1f} {uncounted:>10.1f} {more:>8.1f}")


def _measured(loop: Path, chain: Path, calls: int) -> float:
    ran = subprocess.run([loop, chain, str(calls)], capture_output=True, text=True, check=True)
    return float(ran.stdout)


if __name__ == "__main__":
    main()
