"""What processors have counted of calls, beside what the load generator saw of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appnet.measure.load import LoadResult
from appnet.observe.points import (
    CALLS,
    DIRECTION,
    DURATIONS,
    ELEMENT,
    EVICTIONS,
    HANDLER,
    IN_FLIGHT,
    INSTANCE,
    MESSAGE_BYTES,
    NOW,
    PROCESSOR,
    REFUSALS,
    REPLIES,
    ROW,
    ROW_HITS,
    STARTS,
    STATUS,
    STAYS,
    VARIABLE,
    Histogram,
    Point,
    Value,
)
from appnet.observe.totals import Totals
from benchmarks.dataplane import message
from benchmarks.journey import KEPT, PASSES, ROWS, STOPS, Stop
from tests.support.raw_grpc import frame

SIZE = len(message(PASSES))
_ABORTED_BY_PROXY, _PERMISSION_DENIED = 14, 7
_NOBODY_THERE = "connection failure"
_DETAILS = (ELEMENT, HANDLER, ROW, STATUS, VARIABLE, DIRECTION)


class StrangeOutcomeError(Exception):
    """A call ended as none should."""


@dataclass(frozen=True)
class Seen:
    """What the load generator saw, while at most one processor was ``killed``.

    ``ended``: calls by what was said to them; `PASSES` of those that came through. ``unreached`` found nobody where the
    killed processor should be. ``unanswered`` were under way when it was killed.
    """

    killed: Stop | None
    ended: Mapping[str, int]
    unreached: int = 0
    unanswered: int = 0

    @classmethod
    def of(cls, result: LoadResult, killed: Stop | None) -> Seen:
        """Raises `StrangeOutcomeError`."""
        known: dict[tuple[int | None, str, bytes], str]
        known = {(_PERMISSION_DENIED, it.name, b""): it.refused for it in STOPS}
        known |= {(0, "", frame(message(it.name))): it.answered for it in STOPS}
        known |= {(0, "", frame(message("You've hit server"))): PASSES}
        ended, unreached, unanswered = Counter[str](), 0, 0
        for it in result.outcomes:
            what = known.get((it.status, it.message, it.body))
            if what is not None:
                ended[what] += it.count
            elif killed is None or it.status not in {None, _ABORTED_BY_PROXY}:
                raise StrangeOutcomeError(f"{it.count} calls ended with {it.status} {it.message!r} {it.body!r}")
            elif it.status is not None and _NOBODY_THERE in it.message:
                unreached += it.count
            else:
                unanswered += it.count
        return cls(killed, ended, unreached, unanswered)

    def reached(self, stop: Stop) -> int:
        """How many calls reached its processor for sure."""
        further = STOPS[STOPS.index(stop) :]
        certain = self.ended.get(PASSES, 0) + sum(
            self.ended.get(it, 0) for one in further for it in (one.refused, one.answered)
        )
        return certain + (self.unreached + self.unanswered if self.killed in further[1:] else 0)

    def perhaps(self, stop: Stop) -> int:
        """How many more may have reached it."""
        return self.unanswered if self.killed in STOPS[: STOPS.index(stop) + 1] else 0


@dataclass(frozen=True)
class Line:
    """A counter of a processor. ``more`` and ``less``: by how much it may differ from what is ``expected``."""

    stop: Stop
    counter: str
    counted: int
    expected: int
    more: int = 0
    less: int = 0

    @property
    def difference(self) -> int:
        """How many more were counted."""
        return self.counted - self.expected

    @property
    def right(self) -> bool:
        """Whether it differs by no more than it may."""
        return -self.less <= self.difference <= self.more


@dataclass(frozen=True)
class Untold:
    """The most calls, and the most evictions, that a processor had not told of when it was killed."""

    calls: int = 0
    evictions: int = 0


class Posts:
    """When processors told their counts, and how many calls each of their instances had in flight then; a subscriber of
    ``OtlpReceiver``."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, int], int] = {}
        self._flying: dict[tuple[str, str, int], int] = {}

    def __call__(self, point: Point) -> None:
        key = (point.resource[PROCESSOR], point.resource[INSTANCE], point.start_ns)
        self._told[key] = max(point.time_ns, self._told.get(key, 0))
        if point.name == IN_FLIGHT and isinstance(point.value, int):
            self._flying[key] = point.value

    def last(self, node: str, since_ns: int = 0, before_ns: int = 2**63) -> int:
        """When instances of a processor that started in this time told their counts last, in nanoseconds since the
        epoch; 0: never."""
        times = (at for (name, _, start), at in self._told.items() if name == node and since_ns <= start < before_ns)
        return max(times, default=0)

    def flying(self, node: str, since_ns: int) -> int:
        """How many calls those instances of it have in flight that started since then."""
        return sum(it for (name, _, start), it in self._flying.items() if name == node and start >= since_ns)


def counted(totals: Totals) -> Counter[tuple[str, str]]:
    """All counters, by processor and name: what they count of, versions and instances together. Of durations, how many
    there are. Not what is there now, nor times in the chain, which are those of one call in 64."""
    found = Counter[tuple[str, str]]()
    for name, labels, value in totals.series():
        if name not in NOW and name != STAYS:
            details = (labels[it] for it in _DETAILS if it in labels)
            found[labels[PROCESSOR], " ".join((name, *details))] += _number(value)
    return found


def _number(value: Value) -> int:
    return value.count if isinstance(value, Histogram) else value


def expected(seen: Seen, stop: Stop, *, begun: int, lives: int) -> dict[str, int]:
    """What the load generator's calls make of each counter of a processor. ``begun``: chains that began to run there;
    ``lives``: how often it was started, as each time its state begins anew."""
    reached, name = seen.reached(stop), stop.name
    refused, answered = (seen.ended.get(it, 0) for it in (stop.refused, stop.answered))
    found = {
        CALLS: reached,
        STARTS: begun,
        f"{REFUSALS} {name} req PERMISSION_DENIED": refused,
        f"{REPLIES} {name} req": answered,
        f"{ROW_HITS} {name} req {ROWS['refuse']}": refused,
        f"{ROW_HITS} {name} req {ROWS['reply']}": answered,
        f"{ROW_HITS} {name} req {ROWS['pass']}": reached - refused - answered,
        f"{EVICTIONS} {name}": reached - KEPT * lives,
    }
    if stop.is_proxy:  # libraries have no clock for chains that do not ask, and no bytes
        found[DURATIONS["client" if stop.at_client else "server"]] = reached
        found[f"{MESSAGE_BYTES} request"] = reached * SIZE
    return found


def lines(
    seen: Seen, stop: Stop, found: Mapping[str, int], wanted: Mapping[str, int], untold: Untold
) -> Iterable[Line]:
    """All counters of a processor, also those that nobody expects."""
    more = seen.perhaps(stop)
    for counter in sorted({*found, *wanted}):
        each = SIZE if counter.startswith(MESSAGE_BYTES) else 0 if counter == STARTS else 1
        less = untold.evictions if counter.startswith(EVICTIONS) else untold.calls
        yield Line(stop, counter, found.get(counter, 0), wanted.get(counter, 0), more * each, less * each)
