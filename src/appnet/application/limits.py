"""How files and options write what holds for calls: sizes as `16MiB`, times as `90s`, shares as `1%`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from appnet.application.model import Limits
from appnet.diagnostics.yaml_reader import Section

SIZE = "a size from 1 byte to 1 GiB, such as `16MiB`"
SHARE = "a share from `0%` to `100%`, such as `1%` or `0.1%`"
TIME = "a time up to 365 days, such as `90s`, `5m` or `1h`; 0 means none"

_UNITS_OF_SIZE = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_UNITS_OF_TIME = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_MESSAGE = 1 << 30
_LONGEST_SECONDS = 365 * 86400
_Amount = TypeVar("_Amount", int, float)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")
_WRITTEN = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]*)")


def size(text: str, most: int = _LONGEST_MESSAGE) -> int | None:
    """The bytes of a size as written; None for what is none, or more than ``most``."""
    found = _amount(text, _UNITS_OF_SIZE)
    return int(found) if found is not None and found == int(found) and 1 <= found <= most else None


def seconds(text: str) -> float | None:
    """The seconds of a time as written; None for what is none."""
    found = _amount(text, _UNITS_OF_TIME)
    return found if found is not None and found <= _LONGEST_SECONDS else None


def share(text: str) -> float | None:
    """The share of all, from 0 to 1, as written; None for what is none."""
    found = _PERCENT.fullmatch(text.strip())
    part = None if found is None else float(found[1]) / 100
    return part if part is not None and part <= 1 else None


def share_text(part: float) -> str:
    """The share as written."""
    return f"{part * 100:.6f}".rstrip("0").rstrip(".") + "%"


def read_limits(section: Section, longest: str, idle: str) -> Limits:
    """What the section says under these keys, and under ``traces``. What is wrong is told and left out."""
    return Limits(
        read_amount(section, longest, size, SIZE),
        read_amount(section, idle, seconds, TIME),
        read_amount(section, "traces", share, SHARE),
    )


def _amount(text: str, units: Mapping[str, float]) -> float | None:
    found = _WRITTEN.fullmatch(text.strip())
    return float(found[1]) * units[found[2]] if found and found[2] in units else None


def read_amount(section: Section, key: str, parse: Callable[[str], _Amount | None], wanted: str) -> _Amount | None:
    """What ``parse`` makes of what the section says under the key; None, after an error, where that is nothing.

    ``wanted``: what to write there, which begins with its kind, such as "a size".
    """
    found = section.scalar(key) if key in section else None
    if found is None:
        return None
    value, span = found
    amount = None if isinstance(value, bool) else parse(str(value))
    if amount is None:
        kind = " ".join(wanted.split()[:2])
        section.problems.add("C012", f"`{key}` must be {kind}", span, "invalid value", f"write {wanted}")
    return amount
