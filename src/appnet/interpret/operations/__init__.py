"""The meaning of each operation of `appnet.language.operations`: one function each, of the same name."""

from __future__ import annotations

from appnet.interpret.operations import (
    chance,
    containers,
    conversion,
    hosts,
    metadata,
    numbers,
    rpc,
    secrets,
    text,
    time,
)
from appnet.interpret.operations.machine import Backends, Machine, Meaning

_FAMILIES = (numbers, conversion, text, containers, chance, time, rpc, metadata, hosts, secrets)

MEANINGS: dict[str, Meaning] = {name: it for family in _FAMILIES for name, it in family.MEANINGS.items()}

__all__ = ["MEANINGS", "Backends", "Machine", "Meaning"]
