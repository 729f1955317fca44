"""The machine that something is measured on, in words."""

from __future__ import annotations

import platform
from pathlib import Path


def machine() -> str:
    """Its processor, as the kernel names it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names) or 'unknown'} cores of {names[0]}" if names else platform.machine()
