"""Pages that show what runs, and what it does: the same for `run`, `serve` and the controller."""

from appnet.dashboard.running import Running
from appnet.dashboard.server import Dashboard

__all__ = ["Dashboard", "Running"]
