"""How many entries a Map or Vec may have."""

from __future__ import annotations

DEFAULT_CAPACITY = 65_536
"""Of a state variable where `@capacity` gives no other number, and of every container that is no state variable."""

UNBOUNDED = 2**63
"""The capacity of a container that never drops anything."""
