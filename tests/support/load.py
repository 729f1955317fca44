"""Load for tests: many unary calls to a port, and what became of them, told apart and timed.

result = run_load(port, [Request(b"\\x0a\\x05hello")], LoadSettings(connections=4, streams=8, count=10_000))
with Load(port, requests, LoadSettings(seconds=30, capture=("version",))) as load:
    ...  # change the world meanwhile
    load.stop()
    result = load.result()
"""

from appnet.measure.load import CallOutcome, Load, LoadError, LoadResult, LoadSettings, Request, Upstream, run_load

__all__ = ["CallOutcome", "Load", "LoadError", "LoadResult", "LoadSettings", "Request", "Upstream", "run_load"]
