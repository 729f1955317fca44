"""Versions for the proxies of a cluster: each filter asks for its configuration by a stream of its own (ECDS)."""

from __future__ import annotations

from appnet.processors.envoy.cluster.server import cluster_delivery

__all__ = ["cluster_delivery"]
