"""What telemetry costs a call that passes: the same native chains as they are, without metrics, without noting what
handlers read in case they refuse, and without traces, taking turns. Then with spans of one call in a hundred, and of
all.

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
_FLAGS = HOSTS[NATIVE].flags
_HOSTS = {
    "whole": HOSTS[NATIVE],
    "uncounted": replace(HOSTS[NATIVE], name="uncounted", flags=(*_FLAGS, "-DAN_COUNT=0")),
    "unexplained": replace(
        HOSTS[NATIVE], name="unexplained", flags=tuple(it for it in _FLAGS if not it.startswith("-DAN_WHY"))
    ),
    "untraced": replace(
        HOSTS[NATIVE], name="untraced", flags=tuple(it for it in _FLAGS if not it.startswith("-DAN_TRACE"))
    ),
}
_HERE = Path(__file__).parent


def main() -> None:
    """Prints a line for each chain: nanoseconds a call, and the medians of what it takes less without a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=200_000)
    given = parser.parse_args()
    loop = compile_c((_HERE / "telemetry.c").read_text(), [RUNTIME, HTTP], ["-std=c11", "-O2", "-D_GNU_SOURCE", "-ldl"])
    loop.chmod(0o755)
    columns = ("elements", "a call", "metrics", "why", "traces", "1 %", "all")
    print(" ".join(f"{it:>8}" for it in columns), "  nanoseconds of CPU a call, medians")
    for names in CHAINS:
        code = print_chain(ChainSource("benchmark", "1", ((METHOD, [element(it) for it in names]),)))
        with tempfile.TemporaryDirectory(prefix="telemetry-") as folder:
            files = {name: Path(folder, f"{name}.so") for name in _HOSTS}
            for name, file in files.items():
                file.write_bytes(build(code, _HOSTS[name]))
            rounds = []
            for _ in range(given.rounds):
                found: dict[str | int, float] = {name: _measured(loop, it, given.calls) for name, it in files.items()}
                found |= {every: _measured(loop, files["whole"], given.calls, every) for every in (100, 1)}
                rounds.append(found)
        whole = statistics.median(it["whole"] for it in rounds)
        less = [statistics.median(it["whole"] - it[of] for it in rounds) for of in _HOSTS if of != "whole"]
        more = [statistics.median(it[of] - it["whole"] for it in rounds) for of in (100, 1)]
        print(f"{len(names):>8}", " ".join(f"{it:>8.1f}" for it in (whole, *less, *more)))


def _measured(loop: Path, chain: Path, calls: int, traced: int = 0) -> float:
    ran = subprocess.run([loop, chain, str(calls), str(traced)], capture_output=True, text=True, check=True)
    return float(ran.stdout)


if __name__ == "__main__":
    main()
