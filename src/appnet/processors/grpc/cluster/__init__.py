"""Versions for programs of a cluster that have the library in them: each of their ends follows by a stream."""

from __future__ import annotations

from appnet.processors.grpc.cluster.server import library_delivery

__all__ = ["library_delivery"]
