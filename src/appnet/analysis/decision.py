"""What can be said of swapping two neighbours on a chain, and of how two chains are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from appnet.interpret.values import Value


class Strength(Enum):
    """How much has to be the same for two chains to be the same (docs/analysis.md)."""

    STRONG = "strong"
    WEAK = "weak"


@dataclass(frozen=True)
class Proved:
    """Nobody can tell the two orders apart, in any state, whatever RPCs come.

    ``status_may_differ``: where both orders refuse an RPC, the gRPC status, or metadata of the error, may be another
    one (weak only). An element before the two that reads `status`, or whose `resp` reads metadata, sees it, so such a
    pair may swap only where there is none.
    ``settled``: false where the solver was out of time before it could say that the status is the same.
    """

    reason: str
    status_may_differ: bool = False
    settled: bool = True


@dataclass(frozen=True)
class Event:
    """What reaches the pair. ``kind``: "headers", "request", "response" or "end"; ``call``: number of its call, from 1.

    Headers may come before the first message of their call, or with it. ``after_ns``: time since the event before.
    ``status`` of a response: other than 0 is an error response; of an end: how the call ended.
    """

    kind: str
    call: int
    after_ns: int = 0
    fields: Mapping[str, Value] = field(default_factory=dict)
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    status: int = 0


@dataclass(frozen=True)
class Counterexample:
    """A run on which the interpreter tells the two orders apart, at the last of its events.

    ``start``: values of state variables before the first event, as ``{"ELEMENT": {"VARIABLE": value}}``; empty
    where the run starts from what `init` left. ``seed``: of the draws. ``as_written``, ``swapped``: what differed,
    in words, in the order first-second and in the order second-first.
    """

    events: tuple[Event, ...]
    as_written: str
    swapped: str
    start: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Refuted:
    """The two orders are told apart, as the interpreter shows."""

    counterexample: Counterexample


@dataclass(frozen=True)
class Unknown:
    """Neither was shown; the elements stay in order.

    ``settled``: false where the solver was out of time, so that another try, or a faster machine, may say more.
    """

    reason: str
    settled: bool = True


Decision = Proved | Refuted | Unknown
