"""What chains tell, on its way to the receiver."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from contextlib import closing

_SECONDS = 5.0


LOGS, SPANS, METRICS = "/v1/logs", "/v1/traces", "/v1/metrics"


def post(receiver: str, path: str, telemetry: bytes, complain: Callable[[str], None]) -> bool:
    """Sends what OTLP has the ``path`` for, once: it is the receiver's to be there. Whether it took it."""
    if not telemetry:
        return True
    try:
        with closing(http.client.HTTPConnection(receiver, timeout=_SECONDS)) as connection:
            connection.request("POST", path, telemetry, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            return answer.status // 100 == 2
    except (OSError, ValueError, http.client.HTTPException) as error:  # a ValueError: it is no address
        complain(f"telemetry is lost: {error}")
        return False
