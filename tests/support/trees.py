"""Syntax trees without their places, to be compared."""

from __future__ import annotations

import dataclasses
from typing import Any

_PLACES = frozenset({"span", "direction_span", "file", "source"})


def without_places(node: Any) -> Any:
    """``node`` as tuples of what its classes and fields say, places and source text left out."""
    if isinstance(node, tuple):
        return tuple(without_places(it) for it in node)
    if not dataclasses.is_dataclass(node):
        return node
    kept = (field.name for field in dataclasses.fields(node) if field.name not in _PLACES)
    return (type(node).__name__, *((name, without_places(getattr(node, name))) for name in kept))
