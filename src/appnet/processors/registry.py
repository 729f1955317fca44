"""Every processor by the name that configurations use. A new one is a folder beside this file and a line here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from appnet.processors.processor import Processor, Target


@dataclass(frozen=True)
class Entry:
    """``summary`` says what it is. ``room``: the module whose ``PROCESSOR`` it is; empty where it is not there yet."""

    summary: str
    room: str = ""


ENTRIES: dict[str, Entry] = {
    "grpc": Entry("interceptors in the application's own gRPC library"),
    "mrpc": Entry("engines of the mRPC service"),
    "sidecar": Entry("an Envoy next to each service", "appnet.processors.envoy.sidecar"),
    "ambient": Entry("an Envoy that a node's services share (Istio's waypoint)"),
}
"""From the application outwards: on its way a request passes them in this order, and backwards on the other side."""


@cache
def _of_room(room: str) -> Processor:
    processor: Processor = import_module(room).PROCESSOR
    return processor


def processor(name: str) -> Processor:
    """The processor of this name, which has to be there."""
    return _of_room(ENTRIES[name].room)


def processors() -> Mapping[str, Processor]:
    """All that are there."""
    return {name: processor(name) for name in ready()}


def ready() -> list[str]:
    """Names of the processors that chains can be run on."""
    return [name for name, it in ENTRIES.items() if it.room]


def target_names() -> list[str]:
    """The names of all targets, each once."""
    return list(dict.fromkeys(name for it in processors().values() for name in it.targets))


def targets() -> Mapping[str, tuple[Processor, Target]]:
    """All targets by name; by ``PROCESSOR/NAME`` where several processors have one of the name."""
    every = [(it, target) for it in processors().values() for target in it.targets.values()]
    count = Counter(target.name for _, target in every)
    return {it.name if count[it.name] == 1 else f"{owner.name}/{it.name}": (owner, it) for owner, it in every}


def targets_named(name: str) -> list[Target]:
    """The targets of this name, of whatever processors; there is one at least."""
    return [it.targets[name] for it in processors().values() if name in it.targets]
