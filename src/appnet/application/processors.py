"""Where elements can run. A new backend adds one line here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Processor:
    """``summary`` says what it is; ``runs`` whether this version of AppNet compiles chains for it."""

    name: str
    summary: str
    runs: bool


_ALL = (
    Processor("sidecar", "an Envoy beside each service", runs=True),
    Processor("ambient", "an Envoy that a node's services share (Istio's waypoint)", runs=False),
    Processor("grpc", "interceptors in the application's own gRPC library", runs=False),
    Processor("mrpc", "engines of the mRPC service", runs=False),
)

PROCESSORS: dict[str, Processor] = {it.name: it for it in _ALL}
"""By the names that an AppNetConfig uses."""


def ready() -> list[str]:
    """Names of the processors that chains can be run on."""
    return [it.name for it in _ALL if it.runs]
