"""Load for measurements, benchmarks and tests: a gRPC load generator and the upstream it ends at.

Both are small C programs (``c/``), built once with the compiler that builds AppNet's modules, so that what they cost
is little beside the proxy between them. Traffic never leaves the loopback interface.
"""

from appnet.measure.load.generator import (
    CallOutcome,
    Latency,
    Load,
    LoadError,
    LoadResult,
    LoadSettings,
    Request,
    run_load,
)
from appnet.measure.load.upstream import Upstream, UpstreamReport

__all__ = [
    "CallOutcome",
    "Latency",
    "Load",
    "LoadError",
    "LoadResult",
    "LoadSettings",
    "Request",
    "Upstream",
    "UpstreamReport",
    "run_load",
]
