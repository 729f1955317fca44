"""Every processor by the name that configurations use. A new one is a folder beside this file and a line here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from appnet.processors.managed import Managed
from appnet.processors.processor import Processor, Target


@dataclass(frozen=True)
class Entry:
    """``summary`` says what it is. ``room``: the module whose ``PROCESSOR`` it is."""

    summary: str
    room: str


ENTRIES: dict[str, Entry] = {
    "grpc": Entry("interceptors in the application's own gRPC library", "appnet.processors.grpc.library"),
    "mrpc": Entry("engines of the mRPC service", "appnet.processors.mrpc.engines"),
    "sidecar": Entry("an Envoy next to each service", "appnet.processors.envoy.sidecar"),
    "ambient": Entry("an Envoy before each service (Istio's waypoint)", "appnet.processors.envoy.ambient"),
}
"""From the application outwards: on its way a request passes them in this order, and backwards on the other side."""


@cache
def _of_room(room: str) -> Processor:
    processor: Processor = import_module(room).PROCESSOR
    return processor


def processor(name: str) -> Processor:
    """The processor of this name."""
    return _of_room(ENTRIES[name].room)


def processors() -> Mapping[str, Processor]:
    """All of them."""
    return {name: processor(name) for name in ENTRIES}


def managed(name: str) -> Managed | None:
    """The processor of this name where it is a service of its own, which runs chains for programs."""
    found = processor(name)
    return found if isinstance(found, Managed) else None


def target_names() -> list[str]:
    """The names of all targets, each once."""
    return list(dict.fromkeys(name for it in processors().values() for name in it.targets))


def targets() -> Mapping[str, tuple[Processor, Target]]:
    """All targets with code of their own by name; by ``PROCESSOR/NAME`` where several processors have one of the name,
    and not the same."""
    every = [(owner, it) for owner, it in _owned() if not it.borrowed]
    count = Counter(target.name for _, target in every)
    return {it.name if count[it.name] == 1 else f"{owner.name}/{it.name}": (owner, it) for owner, it in every}


def targets_named(name: str) -> list[Target]:
    """The targets of this name, of whatever processors; there is one at least."""
    return [target for _, target in _owned() if target.name == name]


def _owned() -> list[tuple[Processor, Target]]:
    """All targets, each with the first processor that has it."""
    found: dict[int, tuple[Processor, Target]] = {}
    for it in processors().values():
        for target in it.targets.values():
            found.setdefault(id(target), (it, target))
    return list(found.values())
