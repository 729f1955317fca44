"""What the programs of the samples have in common."""

from __future__ import annotations

import asyncio
import signal
from urllib.parse import quote

import grpc


def told_status(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Headers by which a page tells how its RPC failed, so that a tool can tell an injected fault from a failure."""
    message = quote(error.details() or "", safe=" /:,;'()")
    return {"grpc-status": str(error.code().value[0]), "grpc-message": message}


def told_to_end() -> asyncio.Event:
    """Set when SIGTERM or SIGINT comes."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told
