"""Values and times as people read them, on a terminal or a page."""

from __future__ import annotations

from appnet.observe.records import RecordValue

_LONGEST_VALUE = 60


def value_text(value: RecordValue, longest: int = _LONGEST_VALUE) -> str:
    """A record's value on one line, cut where it is long."""
    text = f"{value:.6g}" if isinstance(value, float) else repr(_begun(value, longest))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _begun(value: RecordValue, most: int) -> RecordValue:
    """So much of a value that may be megabytes as there can be room for."""
    if isinstance(value, tuple):
        return tuple(_begun(it, most) for it in value[: most + 1])
    return value[: most + 1] if isinstance(value, str | bytes) else value


def time_shown(seconds: float | None) -> str:
    """The time in its unit; empty where there is none."""
    if seconds is None:
        return ""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
