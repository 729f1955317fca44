"""gRPC's status codes."""

from __future__ import annotations

STATUS_CODES = {
    name: code
    for code, name in enumerate(
        (
            *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
            *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
            *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
        )
    )
}
"""The number of each code, by its name."""


def status_name(code: int) -> str:
    """The name of the code; of one that has none, its number."""
    names = {number: name for name, number in STATUS_CODES.items()}
    return names.get(code, f"status {code}")
