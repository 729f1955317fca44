"""What elements record and count, on its way to the receiver."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from contextlib import closing

_SECONDS = 5.0


LOGS, METRICS = "/v1/logs", "/v1/metrics"


def post(receiver: str, path: str, telemetry: bytes, complain: Callable[[str], None]) -> None:
    """Sends what OTLP has the ``path`` for, once: it is the receiver's to be there."""
    if not telemetry:
        return
    try:
        with closing(http.client.HTTPConnection(receiver, timeout=_SECONDS)) as connection:
            connection.request("POST", path, telemetry, {"Content-Type": "application/x-protobuf"})
            connection.getresponse().read()
    except (OSError, ValueError, http.client.HTTPException) as error:  # a ValueError: it is no address
        complain(f"telemetry is lost: {error}")
