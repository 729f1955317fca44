"""What the compiler infers about an element, as data."""

from __future__ import annotations

import dataclasses
from typing import Any

from appnet.ir.nodes import Element, Handler
from appnet.ir.sharing import Share, shares

_SHOWN_AS = {"req": "request", "resp": "response"}


def properties(element: Element, method: str) -> dict[str, Any]:
    """What the compiler infers about the element; nothing of it is declared."""
    return {
        "element": element.name,
        "method": method,
        "state": state_properties(element),
        **{_SHOWN_AS.get(name, name): handler_properties(it) for name, it in element.handlers.items()},
    }


def state_properties(element: Element) -> dict[str, Any]:
    """The type and the class of each state variable, and how it is shared."""
    shared = shares(element)
    return {
        it.name: {"type": str(it.type), "class": it.state_class.value, **share_properties(shared[it.name])}
        for it in element.state
    }


def share_properties(share: Share) -> dict[str, Any]:
    """How a state variable is shared."""
    combiner = {"combiner": share.combiner} if share.combiner else {}
    sharded = {"sharded": True} if share.sharded else {}
    part = {"part": share.part} if share.part else {}
    return {"sharing": share.sharing.value, "because": share.reason, **combiner, **sharded, **part}


def handler_properties(handler: Handler) -> dict[str, Any]:
    """What a handler reads, writes and can do."""
    effects = handler.effects
    return {
        "reads": [it.path for it in effects.fields if it.read],
        "writes": [it.path for it in effects.fields if it.written],
        "state_read": sorted(effects.state_read),
        "state_written": sorted(effects.state_written),
        **{
            it.name: getattr(effects, it.name)
            for it in dataclasses.fields(effects)
            if isinstance(getattr(effects, it.name), bool)
        },
    }
